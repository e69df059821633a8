// Package parity asks two binaries the same requests and tells where their answers differ.
//
// The requests come from the access logs ([Sample]) and from the configuration ([FromConfig]), get
// their numbers from [Number], and are sent by a [Client] in the sandbox of each binary. What the
// stub upstreams saw of them joins the answers ([Attach]); [Compare] judges.
//
//	requests := parity.Number(sampled.Requests, fromConfig)
//	answers := parity.Client{Dial: dial}.Run(ctx, requests) // once with each binary
//	report := parity.Compare(requests, old, new, again)
//
// Requests and answers hold secrets of real clients; reports do not.
package parity
