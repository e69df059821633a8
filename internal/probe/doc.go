// Package probe is a client that counts the fate of every request it sends.
//
// It writes HTTP/1.1, HTTP/2, WebSocket and gRPC itself on connections of its own, because the usual
// clients hide what it is there to see: Go's http.Transport sends a failed request again in silence,
// and several load generators do not count a refused connection. Here one request is one try, and each
// has exactly one [Fate]. Of HTTP/3 it takes QUIC's connection from a library, and none of its retries.
//
// [Start] and [Run] put a bounded [Load] on a [Target]; [Once] sends a single request; a [Connection]
// is asked many times, and [Owners] tell which process has it; [AnsweredBy] and [AcceptedBy] prove which process took a connection, which no header could.
package probe
