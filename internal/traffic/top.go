package traffic

import (
	"cmp"
	"slices"
	"strings"

	"graft/internal/accesslog"
)

// Named is how often something of that name was counted.
type Named struct {
	Name string `json:"name"`
	N    int64  `json:"n"`
}

// Top counts names in bounded memory, so that the most frequent ones are told. The zero value is empty.
//
// It is exact for up to [topRoom] names. Of more, the rarest half is dropped now and then: a count may
// then be short by [Top.Short] at most.
type Top struct {
	counts map[string]*int64
	short  int64
}

const (
	topRoom = 4096 // names
	topName = 512  // bytes of a name that are kept
)

// Add counts the name once more. The name is copied.
func (t *Top) Add(name []byte) {
	if len(name) > topName {
		name = name[:topName]
	}
	if n := t.counts[string(name)]; n != nil {
		*n++
		return
	}
	t.addNew(string(name), 1)
}

func (t *Top) addNew(name string, n int64) {
	if t.counts == nil {
		t.counts = make(map[string]*int64)
	}
	if len(t.counts) >= topRoom {
		t.dropRare()
	}
	t.counts[name] = &n
}

func (t *Top) dropRare() {
	all := t.sorted()
	for _, r := range all[len(all)/2:] {
		delete(t.counts, r.Name)
	}
	t.short += all[len(all)/2].N
}

// Merge adds what another one counted.
func (t *Top) Merge(o *Top) {
	for name, n := range o.counts {
		if have := t.counts[name]; have != nil {
			*have += *n
		} else {
			t.addNew(name, *n)
		}
	}
	t.short += o.short
}

// Short is by how much a count may be too low.
func (t *Top) Short() int64 { return t.short }

// First are the n most frequent names, the most frequent first; all of them if n is negative.
func (t *Top) First(n int) []Named {
	all := t.sorted()
	if n < 0 {
		return all
	}
	return all[:min(n, len(all))]
}

func (t *Top) sorted() []Named {
	all := make([]Named, 0, len(t.counts))
	for name, n := range t.counts {
		all = append(all, Named{name, *n})
	}
	slices.SortFunc(all, func(a, b Named) int {
		return cmp.Or(cmp.Compare(b.N, a.N), strings.Compare(a.Name, b.Name))
	})
	return all
}

// Failing counts the URIs that were answered with 5xx.
type Failing struct{ Top }

// Add counts the request's URI if the server was at fault.
func (f *Failing) Add(r *accesslog.Record) {
	if !r.Is5xx() {
		return
	}
	if uri := r.URI(); uri != nil {
		f.Top.Add(uri)
	}
}
