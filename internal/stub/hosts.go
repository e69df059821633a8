package stub

import (
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"strings"

	"graft/internal/nginx/conf"
)

// ReadHosts reads a hosts file: names in lower case, and their addresses. A
// file that is not there has none.
func ReadHosts(path string) (map[string][]netip.Addr, error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the host's names: %w", err)
	}
	names := map[string][]netip.Addr{}
	for line := range strings.Lines(string(text)) {
		line, _, _ = strings.Cut(line, "#")
		words := strings.Fields(line)
		if len(words) < 2 {
			continue
		}
		a, err := netip.ParseAddr(words[0])
		if err != nil {
			continue // the resolver passes over such lines, too
		}
		for _, name := range words[1:] {
			name = strings.ToLower(name)
			names[name] = append(names[name], a.Unmap())
		}
	}
	return names, nil
}

// names gives an address to every name that nginx resolves at start.
func (f *finder) names(config *conf.Config) {
	given := map[string]bool{}
	for _, h := range config.Hostnames() {
		name := strings.ToLower(h.Name)
		if given[name] || f.addresses(name) != nil {
			continue
		}
		given[name] = true
		a := Address(name)
		if h.Directive.Name == "listen" {
			a = listenAddress(name)
		}
		f.out.Hosts = append(f.out.Hosts, a.String()+" "+name)
	}
}

// listenAddress is the address of a name that nginx listens on: one that is
// local inside.
func listenAddress(name string) netip.Addr {
	a := Address(name).As4()
	a[0] = 127
	return netip.AddrFrom4(a)
}
