// Package route tells which server and which location of a configuration nginx chooses for a
// request, as ngx_http_core_module and ngx_http_request do.
//
// What the chosen place then does with the request is not followed: rewrite, try_files, index and
// other internal redirects lead to another location, which answers in its stead.
package route

import (
	"net/netip"

	"graft/internal/nginx/conf"
)

// Request is what the choice depends on.
type Request struct {
	// Local is the address that the connection reached; the zero AddrPort with a Path.
	Local netip.AddrPort
	Path  string // of the unix socket
	TLS   bool
	SNI   string // the name in the TLS handshake; "" if none
	Host  string // the Host header, or the host of an absolute target
	// Target is the request target, path and query.
	Target string
}

// Choice is where a request goes.
type Choice struct {
	Server *conf.Directive // nil: no server listens there
	Name   string          // the server_name that matched, as written; "" for the default server
	// Location is nil where the server answers by itself: by return, or as no location fits.
	Location *conf.Directive
	URI      string // decoded and normalised
	// Slash: nginx redirects to the same URI with a slash behind it, for Location begins there.
	Slash bool
	// Refused: nginx answers 400 to such a request (or 421, or ends the handshake).
	Refused string
	// Unknown tells why the choice cannot be told, such as a regular expression that only PCRE
	// understands. What is set beside it would hold if that expression did not match.
	Unknown string
}

// Place is the location's file and line, or else the server's.
func (c Choice) Place() conf.Pos {
	switch {
	case c.Location != nil:
		return c.Location.Pos()
	case c.Server != nil:
		return c.Server.Pos()
	}
	return conf.Pos{}
}
