package gate

import (
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"

	"graft/internal/nginx"
	"graft/internal/nginx/conf"
	"graft/internal/parity"
	"graft/internal/probe"
)

// maxExtra bounds the probes that are made from the configuration: the rate is shared by all.
const maxExtra = 200

// ProbeTargets are what is probed beside the listening addresses: each server's "/" in HTTP/1.1 and,
// where it is served, HTTP/2 and HTTP/3; the locations that can be asked without doing anything; and
// what the user names. notes tells what was left out.
func ProbeTargets(i nginx.Instance, specs []ProbeSpec) (targets []Target, notes []string, err error) {
	seen := map[string]bool{}
	add := func(t Target) {
		if !seen[t.Key()] {
			seen[t.Key()] = true
			targets = append(targets, t)
		}
	}
	if i.Config != nil {
		for _, t := range fromConfig(i) {
			add(t)
		}
		if n := len(targets); n > maxExtra {
			targets = spread(targets, maxExtra)
			notes = append(notes, fmt.Sprintf("%d of %d servers and locations are probed, evenly chosen; name others by --probe", maxExtra, n))
		}
		for _, t := range overQUIC(i) {
			add(t)
		}
	}
	for _, s := range specs {
		t, err := s.Target()
		if err != nil {
			return nil, nil, err
		}
		add(Target{Target: t, Name: specName(s, t), Proof: Probed, Spec: s})
	}
	return targets, notes, nil
}

func specName(s ProbeSpec, t probe.Target) string {
	name := s.URL
	if t.Protocol == probe.OverHTTP1 {
		name = withDefault(s.Method, "GET") + " " + name
	}
	if s.Address != "" {
		name += " at " + s.Address
	}
	return name
}

func withDefault(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}

// spread keeps n, evenly.
func spread(all []Target, n int) []Target {
	kept := make([]Target, 0, n)
	for i := range n {
		kept = append(kept, all[i*len(all)/n])
	}
	return kept
}

// fromConfig turns the requests that a rehearsal makes of a configuration into probes, as far as they
// are harmless where clients are served.
func fromConfig(i nginx.Instance) []Target {
	blocks := map[conf.Pos]*conf.Directive{}
	i.Config.Walk(func(d *conf.Directive) bool {
		if d.Name == "location" || d.Name == "server" {
			blocks[d.Pos()] = d
		}
		return true
	})
	requests, _ := parity.FromConfig(parity.Source{Config: i.Config, Prefix: i.Paths.Prefix})
	var targets []Target
	for _, r := range requests {
		if strings.Contains(r.Target, "graft-parity") || strings.Contains(r.Host, "graft-parity") {
			continue // what is made up is not found, and each try would be a line in the error log
		}
		if r.Target != "/" && !harmless(i.Config, blocks[r.Location], r.Target) {
			continue
		}
		t := Target{Proof: Probed, Counters: r.Counters, Target: probe.Target{Network: r.Network, Address: r.Address, TLS: r.TLS, ServerName: r.SNI,
			Host: r.Host, Path: r.Target, ProxyProtocol: r.ProxyProtocol}}
		if r.HTTP2 {
			t.Protocol = probe.OverHTTP2
		}
		t.Name = nameOf(t.Target)
		targets = append(targets, t)
	}
	return targets
}

// nameOf tells a probe in the words of a browser's address line, and over what it is asked.
func nameOf(t probe.Target) string {
	scheme := "http"
	if t.TLS {
		scheme = "https"
	}
	where := ""
	if t.Network == "unix" {
		where = " at unix:" + t.Address
	} else if _, port, err := net.SplitHostPort(t.Address); err == nil {
		where = " at port " + port
	}
	return fmt.Sprintf("GET %s://%s%s over %s%s", scheme, t.Host, t.Path, t.Protocol, where)
}

// harmless tells whether a GET of the location does nothing but read: files, `return`, `stub_status`.
// What is passed on or computed may do anything.
func harmless(c *conf.Config, block *conf.Directive, target string) bool {
	if block == nil {
		return false
	}
	for b := block; b != nil && b.Name != "http"; b = b.Parent {
		for _, d := range b.Block {
			if acts(d) {
				return false
			}
		}
	}
	for _, name := range []string{"access_by_lua_block", "access_by_lua_file", "access_by_lua", "rewrite_by_lua_block",
		"rewrite_by_lua_file", "rewrite_by_lua", "auth_request", "mirror", "limit_req", "limit_conn"} {
		if d := c.Effective(block, name); d != nil && d.Arg(0) != "off" {
			return false
		}
	}
	if strings.HasSuffix(target, "/") {
		if index := c.Effective(block, "index"); index != nil && slices.ContainsFunc(index.Args, func(a string) bool {
			return !strings.HasSuffix(a, ".html") && !strings.HasSuffix(a, ".htm")
		}) {
			return false // it may lead to a location that passes it on
		}
	}
	return true
}

// acts tells of a directive that may do more than to read.
func acts(d *conf.Directive) bool {
	switch d.Name {
	case "location", "server":
		return false // told by itself
	case "try_files":
		last := d.Arg(len(d.Args) - 1)
		return !strings.HasPrefix(last, "=")
	case "rewrite", "if", "dav_methods", "perl", "auth_request", "mirror", "internal", "secure_link", "auth_basic", "random_index":
		return true
	}
	return strings.HasSuffix(d.Name, "_pass") || strings.Contains(d.Name, "_by_lua") ||
		strings.HasPrefix(d.Name, "echo") || strings.HasPrefix(d.Name, "js_")
}

// overQUIC are the default servers behind `listen … quic`.
func overQUIC(i nginx.Instance) []Target {
	var targets []Target
	for _, l := range i.Config.Listens() {
		if !l.QUIC || l.Context != "http" {
			continue
		}
		if _, err := strconv.Atoi(l.Port); err != nil {
			continue
		}
		host := serverName(conf.ServerNames(l.Server))
		t := probe.Target{Network: "tcp", Address: dialAddress(net.JoinHostPort(listenHost(l), l.Port)), TLS: true, ServerName: host,
			Host: host, Path: "/", Protocol: probe.OverHTTP3}
		targets = append(targets, Target{Target: t, Name: nameOf(t), Proof: Probed})
	}
	return targets
}
