package preflight

import (
	"fmt"
	"regexp"
	"strings"

	"graft/internal/nginx/conf"
)

// zoneKind is what becomes of one kind of shared memory when a new master starts with its own.
type zoneKind struct{ what, effect string }

var (
	limits    = zoneKind{"limits", "they count anew, and while both masters serve a client may have twice of each"}
	upstreams = zoneKind{"upstream state", "failed peers are tried again, and balancing starts over"}
	lua       = zoneKind{"Lua dictionaries", "what they hold (sessions, counters, locks) is gone, and while both masters serve each has its own"}
	sessions  = zoneKind{"TLS sessions", "they cannot be resumed: full handshakes"}
	caches    = zoneKind{"cache keys", "the cache loader reads them from disk again, and until it is done max_size is not held"}
	others    = zoneKind{"other zones", "they start empty"}
	kinds     = []zoneKind{limits, upstreams, lua, sessions, caches, others}
)

// sharedZone is a parameter that makes a zone: a name and a size. `limit_req zone=one burst=5` only uses one.
var sharedZone = regexp.MustCompile(`^(?:(keys_zone|zone)=|shared:)([^:]+):(\d+[kKmMgG]?)\b`)

// sharedZonesRestart lists the shared memory that the new master does not take over: zones live in the
// cycle (ngx_init_zone_pool), and a cycle is inherited by a reload, never by another master.
func sharedZonesRestart(e *examination) Check {
	found := map[zoneKind][]string{}
	c := e.Instance.Config
	c.Walk(func(d *conf.Directive) bool {
		if d.Data {
			return false
		}
		if name, kind := zoneOf(d); name != "" {
			found[kind] = append(found[kind], fmt.Sprintf("%s (%s)", name, d.Pos()))
		}
		return true
	})
	var sentences []string
	for _, k := range kinds {
		if list := found[k]; len(list) > 0 {
			sentences = append(sentences, fmt.Sprintf("%s: %s: %s", k.what, firstFew(list), k.effect))
		}
	}
	keyless := withoutTicketKey(c)
	if len(keyless) > 0 {
		sentences = append(sentences, fmt.Sprintf("TLS tickets: servers without ssl_session_ticket_key, whose key is made at the start: %s: tickets of one master are void at the other", firstFew(keyless)))
	}
	if len(sentences) == 0 {
		return ok("no shared zones and no automatic ticket keys in %s: the new master has nothing to begin anew", e.Instance.Paths.Conf)
	}
	remedy := "keep the overlap short if limits or Lua dictionaries must hold (--overlap)"
	if len(keyless) > 0 {
		remedy += "; for tickets: openssl rand 80 > ticket.key, then in http: ssl_session_ticket_key ticket.key; and reload"
	}
	return note(remedy, "the new master starts with empty shared memory. %s", strings.Join(sentences, ". "))
}

// zoneOf names the zone that a directive makes.
func zoneOf(d *conf.Directive) (name string, kind zoneKind) {
	switch d.Name {
	case "lua_shared_dict":
		return d.Arg(0), lua
	case "zone":
		if d.Parent != nil && d.Parent.Name == "upstream" {
			return d.Arg(0), upstreams
		}
	}
	for _, arg := range d.Args {
		m := sharedZone.FindStringSubmatch(arg)
		switch {
		case m == nil:
			continue
		case m[1] == "keys_zone":
			return m[2], caches
		case d.Name == "ssl_session_cache":
			return m[2], sessions
		case d.Name == "limit_req_zone", d.Name == "limit_conn_zone":
			return m[2], limits
		}
		return m[2], others
	}
	return "", zoneKind{}
}

// withoutTicketKey lists the TLS servers whose session tickets are encrypted with a key that is made up at
// the start, by the library or, since 1.23.2, in the shared session cache (ngx_ssl_rotate_ticket_keys).
func withoutTicketKey(c *conf.Config) []string {
	var list []string
	seen := map[*conf.Directive]bool{}
	for _, l := range c.Listens() {
		if !l.SSL && !l.QUIC || seen[l.Server] {
			continue
		}
		seen[l.Server] = true
		if off := c.Effective(l.Server, "ssl_session_tickets"); off != nil && strings.EqualFold(off.Arg(0), "off") {
			continue
		}
		if c.Effective(l.Server, "ssl_session_ticket_key") == nil {
			list = append(list, l.Server.Pos().String())
		}
	}
	return list
}
