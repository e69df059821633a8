package accesslog

import "strings"

// reworded maps the wording of older nginx to that of the newest, so that a class is the same before
// and after a migration.
func reworded(template string) string {
	for _, r := range rewordings {
		if rest, ok := strings.CutPrefix(template, r.old); ok {
			return r.new + rest
		}
	}
	return template
}

// rewordings were found by comparing the messages in the sources of nginx 1.18.0, 1.22.1 and 1.26.3;
// since is the first of these that has the new words. They are beginnings of templates; a row that changes
// nothing keeps the one below from the new words. What differs only in what is
// masked needs none ("no "…" is defined for the "…" directive in …").
var rewordings = []struct{ old, new, since string }{
	{"client closed prematurely connection", "client prematurely closed connection", "1.18.0, and long before"},
	{"client exceeded http2_max_field_size limit", "client sent too large header field", "1.22.1"},
	{"client exceeded http2_max_header_size limit", "client sent too large header", "1.22.1"},
	{"unexpected response for ", "unexpected DNS response for ", "1.22.1"},
	{"unexpected RR class … in DNS response", "unexpected RR class … in DNS response", "1.22.1"},
	{"unexpected RR class …", "unexpected RR class … in DNS response", "1.22.1"},
	{"unexpected RR type … in DNS response", "unexpected RR type … in DNS response", "1.22.1"},
	{"unexpected RR type …", "unexpected RR type … in DNS response", "1.22.1"},
	{"wrong ident … response for ", "wrong ident … in DNS response for ", "1.22.1"},
	{"upstream sent invalid header while ", `upstream sent invalid header: "…" while `, "1.22.1"},
	{`upstream sent invalid header "…"`, `upstream sent invalid header: "…"`, "1.22.1 (gRPC has both until today)"},
	{"the using of the regex ", "using regex ", "1.26.3"},
	{"SSL_do_handshake() failed (SSL: unexpected eof while reading)", "peer closed connection in SSL handshake", "1.22.1 (with OpenSSL 3: SSL_OP_IGNORE_UNEXPECTED_EOF)"},
	// A listening socket takes connections by the one or the other, as the kernel has it.
	{"accept() failed", "accept4() failed", "any that was built with accept4"},
}
