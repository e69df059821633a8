package preflight

import (
	"fmt"
	"strings"
)

// quicBPF looks for QUIC, whose packets the kernel or an old worker may hand to the wrong process while two
// masters live. Workers that shut down keep reading their QUIC sockets (ngx_close_listening_sockets passes
// over them) and refuse new connections; with quic_bpf the sockets are not even inherited.
func quicBPF(e *examination) Check {
	var quic []string
	for _, l := range e.Instance.Config.Listens() {
		if l.QUIC {
			quic = append(quic, fmt.Sprintf("%s (%s)", l.Address, l.Directive.Pos()))
		}
	}
	if len(quic) == 0 {
		return ok("no quic in the listen directives of %s", e.Instance.Paths.Conf)
	}
	list := strings.Join(quic, ", ")
	if strings.EqualFold(e.Instance.Config.Value("quic_bpf"), "on") {
		return warning("finish soon after the swap, or take HTTP/3 away before: remove the Alt-Svc header, wait for its ma= to pass, and migrate then",
			"quic_bpf on (%s), with quic on %s: nginx does not hand these sockets to the new master, which opens its own beside them; until the old master is gone the kernel gives it a part of the new QUIC connections, and nobody answers those",
			e.where("quic_bpf"), list)
	}
	return note("finish soon after the swap; clients that get no answer by HTTP/3 fall back to TCP",
		"quic on %s: while old workers finish their connections they still read these sockets and refuse the new QUIC connections that the kernel happens to give them", list)
}
