package accesslog

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
)

// Class is what entries of an error log have in common that complain of the same thing. ID is
// stable: the same in every version of graft, on every host, before and after a restart.
type Class struct {
	ID       string `json:"id"`
	Kind     string `json:"kind"`
	Template string `json:"template"` // the message, with … for what varies, reworded as the newest nginx has it
}

// The kinds of classes.
const (
	KindExit        = "exit"        // a process of nginx ended on a signal
	KindUpstream    = "upstream"    // what a server behind nginx did or did not
	KindLua         = "lua"         // Lua code failed, or logged
	KindPHP         = "php"         // a FastCGI server wrote to stderr
	KindCertificate = "certificate" // TLS: handshakes, certificates, OCSP
	KindResource    = "resource"    // memory, file descriptors, connections, shared zones, space
	KindFile        = "file"        // a file could not be opened, read, written
	KindLimit       = "limit"       // limit_req, limit_conn
	KindRequest     = "request"     // what a client sent, was denied, or that it went away
	KindStart       = "start"       // configuration, listening sockets, processes
	KindOther       = "other"
)

const (
	maxMessage  = 1024 // bytes of a message that are looked at
	maxTemplate = 200
)

// ClassOf tells what an entry complains of. A message has few classes however often it comes: what
// requests, times, places and processes put into it is masked, what tells failures apart stays (the
// errno, what nginx was doing to its upstream, OpenSSL's reason, the place of a Lua or PHP error, the
// signal that ended a worker).
func ClassOf(l ErrorLine) Class {
	message := withoutRequest(l.Message[:min(len(l.Message), maxMessage)])
	var template string
	if e, ok := ParseExit(message); ok {
		template = exitTemplate(e)
	} else if stderr, ok := strings.CutPrefix(message, `FastCGI sent in stderr: "`); ok {
		template = phpTemplate(stderr)
	} else if isLua(message) {
		template = luaTemplate(message)
	} else {
		template = reworded(withErrnoNames(mask(message, variesInNginx)))
	}
	template = shorten(template)
	kind := kindOf(template)
	return Class{idOf(template), kind, template}
}

// withoutRequest cuts off what nginx adds of the client, the server, the request. A client can put such
// a mark into a path, which stands in quotes.
func withoutRequest(message string) string {
	const mark = ", client: "
	end := strings.Index(message, mark)
	if end < 0 {
		return message
	}
	for at := end; ; {
		if strings.Count(message[:at], `"`)%2 == 0 {
			return message[:at]
		}
		next := strings.Index(message[at+1:], mark)
		if next < 0 {
			return message[:end]
		}
		at += 1 + next
	}
}

// idOf leaves out an errno's text, which is the C library's.
func idOf(template string) string {
	h := sha256.New()
	for i := 0; i < len(template); i++ {
		h.Write([]byte{template[i]})
		if n := errnoLength(template[i:]); n > 0 {
			number, _, _ := strings.Cut(template[i+1:i+n], ":")
			h.Write([]byte(number))
			i += n - 1
		}
	}
	return hex.EncodeToString(h.Sum(nil)[:6])
}

// shorten cuts a template at a word.
func shorten(template string) string {
	if len(template) <= maxTemplate {
		return template
	}
	cut := template[:maxTemplate]
	if at := strings.LastIndexByte(cut, ' '); at > 0 {
		cut = cut[:at]
	}
	return strings.ToValidUTF8(cut, "")
}
