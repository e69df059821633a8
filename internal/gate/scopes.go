package gate

import (
	"bytes"
	"maps"
	"slices"

	"graft/internal/accesslog"
)

// scope is a part of the traffic that is compared on its own: one broken location, one server with a
// broken configuration drowns in the whole.
type scope struct {
	Name string `json:"name"` // for people; "": all
	limits
}

const (
	maxLogScopes = 24 // logs compared on their own, those with the most traffic
	maxHosts     = 16
	maxPlaces    = 24 // beginnings of URIs
)

// scopes are all parts. A request belongs to the first, to its log, to its host and to its place.
type scopes struct {
	List   []scope        `json:"list"`
	Logs   map[string]int `json:"logs,omitempty"` // index in List by path; those that are not in it have none
	Hosts  map[string]int `json:"hosts,omitempty"`
	Places map[string]int `json:"places,omitempty"`
	// Where hosts or places are told apart, the others have scopes of their own, together.
	OtherHosts  int `json:"other_hosts,omitempty"`
	OtherPlaces int `json:"other_places,omitempty"`
	// PerLog are the limits of the logs, those without a scope too: in the whole a request is slow if it is
	// slow for its log.
	PerLog map[string]limits `json:"per_log,omitempty"`
}

// of calls fn with each scope but the first that a request belongs to.
func (s *scopes) of(log int, r *accesslog.Record, fn func(scope int)) {
	if log > 0 {
		fn(log)
	}
	if s.OtherHosts > 0 && r.Host != nil {
		if i, ok := s.Hosts[string(r.Host)]; ok {
			fn(i)
		} else {
			fn(s.OtherHosts)
		}
	}
	if s.OtherPlaces == 0 {
		return
	}
	if uri := r.URI(); uri != nil {
		deep, flat := places(uri)
		if i, ok := s.Places[string(deep)]; ok {
			fn(i)
		} else if i, ok := s.Places[string(flat)]; ok {
			fn(i)
		} else {
			fn(s.OtherPlaces)
		}
	}
}

// strata are the scopes that together have each request that tells its kind once: by place if the logs tell
// them, else by server, else by log.
func (s *scopes) strata() []int {
	of := func(names map[string]int, others int) []int {
		list := slices.Sorted(maps.Values(names))
		if others > 0 {
			list = append(list, others)
		}
		return list
	}
	switch {
	case s.OtherPlaces > 0:
		return of(s.Places, s.OtherPlaces)
	case s.OtherHosts > 0:
		return of(s.Hosts, s.OtherHosts)
	}
	return of(s.Logs, 0)
}

// places are the first two and the first part of a URI, as "/a/b/" and "/a/"; what lies directly below
// is itself.
func places(uri []byte) (deep, flat []byte) {
	if len(uri) == 0 || uri[0] != '/' {
		return uri, uri
	}
	first := bytes.IndexByte(uri[1:], '/')
	if first < 0 {
		return uri, uri
	}
	first += 2
	second := bytes.IndexByte(uri[first:], '/')
	if second < 0 {
		return uri, uri[:first]
	}
	return uri[:first+second+1], uri[:first]
}
