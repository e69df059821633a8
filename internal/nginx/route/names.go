package route

import (
	"strings"
)

// names finds a server by its name, as ngx_http_find_virtual_server.
type names struct {
	exact    map[string]named
	leading  map[string]named // "*.example.com" and ".example.com", by what stands behind the first dot
	trailing map[string]named // "www.example.*", by what stands before the last dot
	dotted   map[string]named // ".example.com", by itself
	patterns []namedPattern
}

type named struct {
	server *Server
	name   string // as written
}

type namedPattern struct {
	named
	pattern *Pattern
}

func newNames(servers []*Server, hostname string) *names {
	n := &names{exact: map[string]named{}, leading: map[string]named{}, trailing: map[string]named{}, dotted: map[string]named{}}
	for _, s := range servers {
		for _, written := range s.Names {
			n.add(s, written, hostname)
		}
	}
	return n
}

// add takes one name; the first server that has it keeps it.
func (n *names) add(s *Server, written, hostname string) {
	entry := named{s, written}
	if expr, ok := strings.CutPrefix(written, "~"); ok {
		caseless := strings.ContainsFunc(expr, func(r rune) bool { return r >= 'A' && r <= 'Z' })
		n.patterns = append(n.patterns, namedPattern{entry, Compile(expr, caseless)})
		return
	}
	name := lower(written)
	if name == "$hostname" {
		name = lower(hostname)
	}
	if strings.Contains(name, "..") || strings.Count(name, "*") > 1 {
		return // "invalid server name or wildcard … on …": nginx warns and ignores it
	}
	if rest, ok := strings.CutPrefix(name, "."); ok && rest != "" {
		// It is refused where the bare name is taken, and then for names below it, too.
		if n.taken(rest) {
			return
		}
		n.dotted[rest] = entry
		put(n.leading, rest, entry)
		return
	}
	if rest, ok := strings.CutPrefix(name, "*."); ok && rest != "" {
		put(n.leading, rest, entry)
		return
	}
	if rest, ok := strings.CutSuffix(name, ".*"); ok && rest != "" {
		put(n.trailing, rest, entry)
		return
	}
	if !strings.Contains(name, "*") && !n.taken(name) {
		n.exact[name] = entry
	}
}

func (n *names) taken(name string) bool {
	_, exact := n.exact[name]
	_, dotted := n.dotted[name]
	return exact || dotted
}

func put(m map[string]named, key string, entry named) {
	if _, ok := m[key]; !ok {
		m[key] = entry
	}
}

// find looks a host up. An error is an expression that could not be tried and may have matched.
func (n *names) find(host string) (named, bool, error) {
	if e, ok := n.exact[host]; ok {
		return e, true, nil
	}
	if e, ok := n.dotted[host]; ok && n.leading[host] == e {
		return e, true, nil
	}
	for i := 0; i < len(host); i++ { // the longest comes first
		if host[i] == '.' && i > 0 {
			if e, ok := n.leading[host[i+1:]]; ok {
				return e, true, nil
			}
		}
	}
	for i := len(host) - 1; i > 0; i-- {
		if host[i] == '.' {
			if e, ok := n.trailing[host[:i]]; ok {
				return e, true, nil
			}
		}
	}
	var unknown error
	if host != "" {
		for _, p := range n.patterns {
			matched, err := p.pattern.Match(host)
			if err != nil && unknown == nil {
				unknown = err
			}
			if matched {
				return p.named, true, unknown
			}
		}
	}
	return named{}, false, unknown
}
