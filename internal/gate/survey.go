package gate

import (
	"cmp"
	"maps"
	"slices"

	"graft/internal/accesslog"
)

const (
	// minTimes is how many requests it takes to say what is slow.
	minTimes = 200
	// maxTimes are as many as are kept of each name.
	maxTimes = 8192
	// minNamed is how often a host or a place must have come in a sample to be compared on its own.
	minNamed = 20
	// maxNames bounds the names that are counted while scopes are chosen: scanners ask for anything.
	maxNames = 8192
)

// survey learns from samples of the logs which parts of the traffic there are, and what is slow in each.
type survey struct {
	logs, hosts, places map[string]*sampled
}

// sampled are the requests of one name.
type sampled struct {
	n              int
	weight         float64 // how many requests they stand for
	time, upstream []int32 // ms
}

func newSurvey() *survey {
	return &survey{logs: make(map[string]*sampled), hosts: make(map[string]*sampled), places: make(map[string]*sampled)}
}

// add counts a request of a sample. weight is how many each of that sample stands for.
func (s *survey) add(log string, r *accesslog.Record, weight float64) {
	sample(s.logs, []byte(log), r, weight)
	if r.Host != nil {
		sample(s.hosts, r.Host, r, weight)
	}
	if uri := r.URI(); uri != nil {
		deep, flat := places(uri)
		sample(s.places, deep, r, weight)
		if len(flat) < len(deep) {
			sample(s.places, flat, r, weight)
		}
	}
}

func sample(in map[string]*sampled, name []byte, r *accesslog.Record, weight float64) {
	c := in[string(name)]
	if c == nil {
		if len(in) >= maxNames {
			return
		}
		c = new(sampled)
		in[string(name)] = c
	}
	c.n++
	c.weight += weight
	if r.RequestTime >= 0 && len(c.time) < maxTimes {
		c.time = append(c.time, r.RequestTime)
	}
	if r.UpstreamTime >= 0 && len(c.upstream) < maxTimes {
		c.upstream = append(c.upstream, r.UpstreamTime)
	}
}

func (c *sampled) limits() limits {
	var l limits
	if len(c.time) >= minTimes {
		slices.Sort(c.time)
		// At least 1 ms: of a log in which most requests take 0, else every other one would be slow.
		l.P95, l.P99 = max(1, quantile(c.time, 0.95)), max(1, quantile(c.time, 0.99))
	}
	if len(c.upstream) >= minTimes {
		slices.Sort(c.upstream)
		l.Upstream = max(1, quantile(c.upstream, 0.95))
	}
	return l
}

func quantile(sorted []int32, q float64) int32 { return sorted[int(q*float64(len(sorted)-1))] }

// scopes chooses. What was seen too seldom is left to "others".
func (s *survey) scopes() *scopes {
	chosen := &scopes{List: []scope{{}}, PerLog: make(map[string]limits)}
	for path, c := range s.logs {
		chosen.PerLog[path] = c.limits()
	}
	if len(s.logs) == 1 { // the whole is that log
		for _, l := range chosen.PerLog {
			chosen.List[0].limits = l
		}
	} else {
		chosen.Logs = chosen.name("", s.logs, heaviest(s.logs, maxLogScopes, 1))
	}
	if len(s.hosts) > 1 {
		chosen.Hosts = chosen.name("server ", s.hosts, heaviest(s.hosts, maxHosts, minNamed))
		chosen.OtherHosts = chosen.add(scope{Name: "all other servers"})
	}
	if len(s.places) > 1 {
		chosen.Places = chosen.name("", s.places, heaviest(s.places, maxPlaces, minNamed))
		chosen.OtherPlaces = chosen.add(scope{Name: "all other URIs"})
	}
	return chosen
}

func (s *scopes) add(one scope) int {
	s.List = append(s.List, one)
	return len(s.List) - 1
}

func (s *scopes) name(prefix string, from map[string]*sampled, names []string) map[string]int {
	index := make(map[string]int, len(names))
	for _, name := range names {
		index[name] = s.add(scope{prefix + name, from[name].limits()})
	}
	return index
}

// heaviest are the names with the most requests, at most so many.
func heaviest(from map[string]*sampled, most, least int) []string {
	names := slices.DeleteFunc(slices.Collect(maps.Keys(from)), func(name string) bool { return from[name].n < least })
	slices.SortFunc(names, func(a, b string) int {
		return cmp.Or(cmp.Compare(from[b].weight, from[a].weight), cmp.Compare(a, b))
	})
	return names[:min(most, len(names))]
}
