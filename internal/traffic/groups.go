package traffic

import (
	"bytes"
	"cmp"
	"slices"
	"strings"

	"graft/internal/accesslog"
	"graft/internal/sketch"
)

// Group is what the requests to one server, or one part of a site, came to.
type Group struct {
	Sums
	// Most groups of a log that clients fill at will are seen a few times: those have no sketch yet.
	first []int32
	time  *sketch.Sketch
}

// firstTimes is how many durations a group holds before it has a sketch of them.
const firstTimes = 32

// Time is the sketch of $request_time.
func (g *Group) Time() *sketch.Sketch {
	s := new(sketch.Sketch)
	if g.time != nil {
		s.Merge(g.time)
	}
	for _, ms := range g.first {
		s.Add(ms)
	}
	return s
}

func (g *Group) add(r *accesslog.Record) {
	g.Sums.count(r)
	if r.RequestTime < 0 {
		return
	}
	if g.time != nil {
		g.time.Add(r.RequestTime)
		return
	}
	if g.first = append(g.first, r.RequestTime); len(g.first) == firstTimes {
		g.time, g.first = g.Time(), nil
	}
}

func (g *Group) merge(o *Group) {
	g.Sums.Add(&o.Sums)
	if g.time == nil && len(g.first)+len(o.first) < firstTimes && o.time == nil {
		g.first = append(g.first, o.first...)
		return
	}
	s := g.Time()
	s.Merge(o.Time())
	g.time, g.first = s, nil
}

// Groups are requests by a name: the server's, or the beginning of the path. Memory is bounded: where there
// are too many names, those with the fewest requests are counted together as the rest. The zero value is empty.
type Groups struct {
	named map[string]*Group
	rest  Group
	// missed is how many requests of a group may be among the rest at most.
	missed int64
}

const (
	groupRoom = 512 // groups
	groupName = 128 // bytes of a name that are kept
)

// Add counts a request under the name, which is copied.
func (gs *Groups) Add(name []byte, r *accesslog.Record) {
	if len(name) > groupName {
		name = name[:groupName]
	}
	g := gs.named[string(name)]
	if g == nil {
		g = gs.new(string(name))
	}
	g.add(r)
}

func (gs *Groups) new(name string) *Group {
	if gs.named == nil {
		gs.named = make(map[string]*Group)
	}
	if len(gs.named) >= groupRoom {
		gs.foldRare()
	}
	g := new(Group)
	gs.named[name] = g
	return g
}

func (gs *Groups) foldRare() {
	names := gs.Names()
	rare := names[len(names)/2:]
	gs.missed += gs.named[rare[0]].Requests
	for _, name := range rare {
		gs.rest.merge(gs.named[name])
		delete(gs.named, name)
	}
}

// Merge adds what other groups came to.
func (gs *Groups) Merge(o *Groups) {
	for _, name := range o.Names() {
		g := gs.named[name]
		if g == nil {
			g = gs.new(name)
		}
		g.merge(o.named[name])
	}
	gs.rest.merge(&o.rest)
	gs.missed += o.missed
}

// Names are those of all groups, those with the most requests first.
func (gs *Groups) Names() []string {
	names := make([]string, 0, len(gs.named))
	for name := range gs.named {
		names = append(names, name)
	}
	slices.SortFunc(names, func(a, b string) int {
		return cmp.Or(cmp.Compare(gs.named[b].Requests, gs.named[a].Requests), strings.Compare(a, b))
	})
	return names
}

// Of is the group of that name; an empty one if there is none.
func (gs *Groups) Of(name string) *Group {
	if g := gs.named[name]; g != nil {
		return g
	}
	return new(Group)
}

// Rest are the requests of groups that there was no room for, and at most how many of them one group may miss.
func (gs *Groups) Rest() (rest *Group, missed int64) { return &gs.rest, gs.missed }

// FirstPart is the beginning of a path that a location is likely to have: "/api/" of "/api/v1/users", and all
// of a path with no further slash.
func FirstPart(path []byte) []byte {
	if len(path) == 0 || path[0] != '/' {
		return path
	}
	if end := bytes.IndexByte(path[1:], '/'); end >= 0 {
		return path[:end+2]
	}
	return path
}
