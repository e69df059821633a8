package accesslog

import "strings"

// kindOf sorts a template. What names its cause most closely comes first: a file that cannot be opened
// for want of descriptors is a matter of resources, a certificate of an upstream one of certificates.
func kindOf(template string) string {
	for _, k := range kinds {
		for _, mark := range k.marks {
			if strings.HasPrefix(mark, "^") && strings.HasPrefix(template, mark[1:]) || strings.Contains(template, mark) {
				return k.kind
			}
		}
	}
	return KindOther
}

// kinds are tried in this order. A mark with ^ is how the template begins, else it is a part of it.
var kinds = []struct {
	kind  string
	marks []string
}{
	{KindExit, []string{" exited on signal ", " exited with code ", " exited with fatal code "}},
	{KindPHP, []string{"^PHP ", "^FastCGI stderr: "}},
	{KindLua, []string{"^lua ", "^[lua]", "_by_lua", "lua entry thread", "Lua file", "ngx.timer"}},
	{KindResource, []string{
		"(12: ", "(23: ", "(24: ", "(28: ", "(122: ", "worker_connections are not enough", "could not allocate", "no memory",
		"ngx_slab_alloc() failed", "^open socket", "is too small", "could not build ",
	}},
	{KindUpstream, []string{"^upstream timed out", "^upstream prematurely", "^connect()"}},
	{KindCertificate, []string{"SSL", "OCSP", "certificate", "TLS", "ssl_", "QUIC"}},
	{KindLimit, []string{"^limiting ", "^delaying "}},
	{KindStart, []string{
		"^bind()", "^listen()", "still could not bind", "unknown directive", " in …", "^host not found in ",
		"fork() failed", "execve() failed", "^socket()", "^setgid", "^setuid", "^getpwnam", "^getgrnam", "^chroot", "^invalid PID", "inherited",
	}},
	{KindRequest, []string{"^client ", "^a client request"}},
	{KindUpstream, []string{"upstream", "DNS response", "could not be resolved", "while resolving", "^peers"}},
	{KindFile, []string{"(2: ", "(13: ", "(20: ", "(21: ", "(30: ", "(36: ", "(40: ", "^open()", "is not found", "directory index of", "^write()", "^rename()", "^unlink()", "^mkdir()"}},
	{KindRequest, []string{"client", "request", "access forbidden", "user ", "header", "redirection cycle", "method", "URI", "recv()", "send()", "writev()"}},
}
