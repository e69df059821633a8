package route

import (
	"slices"
	"strings"

	"graft/internal/nginx/conf"
)

// level is the locations of one block.
type level struct {
	exact    map[string]*Location
	prefixes map[string]*Location
	lengths  []int                // of the prefixes, longest first
	slashes  map[string]*Location // locations "X/" that redirect "X" there, by X
	patterns []*Location
	all      []*Location
}

// Kind is how a location is chosen.
type Kind string

// The kinds.
const (
	Exact         Kind = "="
	Prefix        Kind = ""
	PrefixNoRegex Kind = "^~"
	Regex         Kind = "~"
	RegexCaseless Kind = "~*"
	Named         Kind = "@"
)

// Location is a location block.
type Location struct {
	Block   *conf.Directive
	Kind    Kind
	Name    string   // the prefix, the URI, or the expression
	Pattern *Pattern // of Regex and RegexCaseless
	Nested  []*Location
	Under   string // the prefix of the location that it is nested in; "/" if none

	inside *level
}

func newLevel(block *conf.Directive, under string) *level {
	lv := &level{exact: map[string]*Location{}, prefixes: map[string]*Location{}, slashes: map[string]*Location{}}
	for _, d := range block.Block {
		if d.Name != "location" || !d.IsBlock || len(d.Args) == 0 {
			continue
		}
		lv.add(newLocation(d, under))
	}
	for prefix := range lv.prefixes {
		if !slices.Contains(lv.lengths, len(prefix)) {
			lv.lengths = append(lv.lengths, len(prefix))
		}
	}
	slices.Sort(lv.lengths)
	slices.Reverse(lv.lengths)
	return lv
}

func newLocation(d *conf.Directive, under string) *Location {
	l := &Location{Block: d, Under: under}
	l.Kind, l.Name = modifier(d.Args)
	if l.Kind == Regex || l.Kind == RegexCaseless {
		l.Pattern = Compile(l.Name, l.Kind == RegexCaseless)
	}
	if l.Pattern == nil {
		under = l.Name
	}
	l.inside = newLevel(d, under)
	l.Nested = l.inside.all
	return l
}

// modifier splits a location's arguments; the modifier may stick to the name.
func modifier(args []string) (Kind, string) {
	if len(args) > 1 {
		return Kind(args[0]), args[1]
	}
	name := args[0]
	for _, k := range []Kind{Exact, PrefixNoRegex, RegexCaseless, Regex} {
		if rest, ok := strings.CutPrefix(name, string(k)); ok {
			return k, rest
		}
	}
	if strings.HasPrefix(name, "@") {
		return Named, name
	}
	return Prefix, name
}

func (lv *level) add(l *Location) {
	lv.all = append(lv.all, l)
	switch l.Kind {
	case Exact:
		lv.exact[l.Name] = l
	case Prefix, PrefixNoRegex:
		lv.prefixes[l.Name] = l
	case Regex, RegexCaseless:
		lv.patterns = append(lv.patterns, l)
	}
	if l.Kind == Exact || l.Kind == Prefix || l.Kind == PrefixNoRegex {
		if shorter, ok := strings.CutSuffix(l.Name, "/"); ok && passes(l.Block) {
			// Of "= X/" and "X/" the exact one takes it.
			if had := lv.slashes[shorter]; had == nil || l.Kind == Exact {
				lv.slashes[shorter] = l
			}
		}
	}
}

// passes tells whether the block hands requests to an upstream; such a location redirects the URI
// without its last slash (clcf->auto_redirect).
func passes(block *conf.Directive) bool {
	return slices.ContainsFunc(block.Block, func(d *conf.Directive) bool {
		switch d.Name {
		case "proxy_pass", "fastcgi_pass", "uwsgi_pass", "scgi_pass", "grpc_pass", "memcached_pass":
			return true
		}
		return false
	})
}

// verdict is what one level says.
type verdict uint8

const (
	declined verdict = iota // nothing fits
	again                   // a prefix fits: expressions may still win
	final
	slash
)

// search finds the location of a URI.
type search struct {
	uri     string
	found   *Location
	unknown error // the first expression that could not be tried
}

// find is ngx_http_core_find_location.
func (s *search) find(lv *level) verdict {
	v := s.static(lv)
	noRegex := false
	if v == again {
		chosen := s.found
		noRegex = chosen.Kind == PrefixNoRegex
		v = s.find(chosen.inside)
	}
	if v == final || v == slash || noRegex {
		return v
	}
	for _, l := range lv.patterns {
		matched, err := l.Pattern.Match(s.uri)
		if err != nil && s.unknown == nil {
			s.unknown = err
		}
		if matched {
			s.found = l
			s.find(l.inside)
			return final // even where a level below asks for a slash
		}
	}
	return v
}

// static is ngx_http_core_find_static_location.
func (s *search) static(lv *level) verdict {
	if l := lv.exact[s.uri]; l != nil {
		s.found = l
		return final
	}
	if l := lv.prefixes[s.uri]; l != nil {
		s.found = l
		return again
	}
	if l := lv.slashes[s.uri]; l != nil {
		s.found = l
		return slash
	}
	for _, n := range lv.lengths {
		if n >= len(s.uri) {
			continue
		}
		if l := lv.prefixes[s.uri[:n]]; l != nil {
			s.found = l
			return again
		}
	}
	return declined
}
