package stub

import (
	"net"
	"strings"

	"graft/internal/nginx/conf"
)

// pool notes the servers of an upstream block that has more than one.
func (f *finder) pool(block *conf.Directive) {
	var addresses []string
	for _, server := range block.Block {
		if server.Name == "server" && server.Arg(0) != "" {
			addresses = append(addresses, f.meets(server.Arg(0))...)
		}
	}
	if len(addresses) < 2 {
		return
	}
	if f.out.Pools == nil {
		f.out.Pools = map[string]string{}
	}
	for _, a := range addresses {
		name := "upstream " + block.Arg(0)
		if other := f.out.Pools[a]; other != "" && other != name {
			name = other + " or " + block.Arg(0)
		}
		f.out.Pools[a] = name
	}
}

// meets lists the addresses at which stubs meet what is sent to a server of an upstream block.
func (f *finder) meets(server string) []string {
	if path, ok := strings.CutPrefix(server, "unix:"); ok {
		return []string{path}
	}
	host, port := hostPort(server)
	if port == "" {
		port = "80"
	}
	addrs := f.addresses(host)
	if len(addrs) == 0 {
		addrs = append(addrs, Address(strings.ToLower(host)), Address6(strings.ToLower(host)))
	}
	var list []string
	for _, a := range addrs {
		list = append(list, net.JoinHostPort(a.String(), port))
	}
	return list
}
