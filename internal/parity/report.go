package parity

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"

	"graft/internal/nginx/conf"
)

// Class is how bad a difference is. The names are stable.
type Class string

// The classes, from the worst to none.
const (
	Breaking   Class = "breaking"   // a client or an upstream would notice
	Suspicious Class = "suspicious" // harmless for most clients
	Volatile   Class = "volatile"   // the old binary differs from itself as well, or only counters differ
	Expected   Class = "expected"   // must differ: date, version
	Same       Class = "same"
)

func (c Class) rank() int {
	return slices.Index([]Class{Same, Expected, Volatile, Suspicious, Breaking}, c)
}

// Report is the outcome of a comparison. It holds nothing secret: see [Shown].
type Report struct {
	Requests   int `json:"requests"`  // that there were
	NotAsked   int `json:"not_asked"` // of them, not sent to both binaries: nothing is known about these
	Same       int `json:"same"`      // requests by the worst class of their differences
	Expected   int `json:"expected"`
	Volatile   int `json:"volatile"`
	Suspicious int `json:"suspicious"`
	Breaking   int `json:"breaking"`
	NoAnswer   int `json:"no_answer"` // of them, got none from either binary: nothing is known about these
	// Mute are the addresses that answered no request at all, whichever binary listened.
	Mute   []string `json:"mute,omitempty"`
	Groups []Group  `json:"groups"` // worst first
	// VolatileAt are the places of volatile differences, the one with most requests first.
	VolatileAt []VolatilePlace `json:"volatile_at,omitempty"`
}

// VolatilePlace is a place of the configuration with volatile differences of one cause.
type VolatilePlace struct {
	Location conf.Pos `json:"location"`
	Cause    string   `json:"cause"` // "counters", which the configuration has told there, or oldItself
	Count    int      `json:"count"` // requests
}

const (
	countersDiffer = "counters"
	oldItself      = "the old binary differs from itself"
)

// Green tells whether everything was compared and nothing breaking was found.
func (r *Report) Green() bool {
	return r.Requests > 0 && r.NotAsked == 0 && r.Breaking == 0 && len(r.Mute) == 0
}

// Group is one kind of difference at one place of the configuration.
type Group struct {
	Class    Class    `json:"class"`
	Kind     string   `json:"kind"`     // "status 200 → 404", "header Location", "body", "upstream request line", …
	Location conf.Pos `json:"location"` // what served the requests
	Count    int      `json:"count"`    // requests
	Example  Example  `json:"example"`
}

// Example is one of a group's requests with its difference, as lines that begin with "-" for the
// old answer and "+" for the new one.
type Example struct {
	Request Shown    `json:"request"`
	Diff    []string `json:"diff"`
}

// groupKey is what makes differences one group.
type groupKey struct {
	class Class
	kind  string
	place conf.Pos
}

type reportBuilder struct {
	out    Report
	groups map[groupKey]*Group
	// volatile counts requests by place, without their count.
	volatile map[VolatilePlace]int
	spoke    map[string]bool // by address: a request was answered there
}

func newReportBuilder() *reportBuilder {
	return &reportBuilder{groups: map[groupKey]*Group{}, volatile: map[VolatilePlace]int{}, spoke: map[string]bool{}}
}

func (b *reportBuilder) add(p *pair) {
	b.out.Requests++
	if p.notAsked {
		b.out.NotAsked++
		return
	}
	silent := p.silent()
	if p.request.Method != StreamMethod { // what is behind a stream need not answer a line
		b.spoke[p.request.Address] = b.spoke[p.request.Address] || !silent
	}
	if silent {
		b.out.NoAnswer++
	}
	worst := Same
	secrets := newScrubber(p.request)
	counted := map[groupKey]bool{}
	volatile := map[VolatilePlace]bool{}
	for _, d := range p.found {
		if d.class.rank() > worst.rank() {
			worst = d.class
		}
		if d.class == Volatile {
			cause := oldItself
			if d.counters {
				cause = countersDiffer
			}
			volatile[VolatilePlace{Location: p.request.Location, Cause: cause}] = true
		}
		kind := secrets.scrub(d.kind) // it may hold a header's name, which the request may decide
		key := groupKey{d.class, kind, p.request.Location}
		if d.class == Expected {
			key.place = conf.Pos{} // each answer has a Date: one group for all
		}
		if counted[key] {
			continue
		}
		counted[key] = true
		g := b.groups[key]
		if g == nil {
			g = &Group{Class: d.class, Kind: kind, Location: p.request.Location, Example: p.example(d, secrets)}
			b.groups[key] = g
		}
		g.Count++
	}
	for at := range volatile {
		b.volatile[at]++
	}
	switch worst {
	case Same:
		b.out.Same++
	case Expected:
		b.out.Expected++
	case Volatile:
		b.out.Volatile++
	case Suspicious:
		b.out.Suspicious++
	case Breaking:
		b.out.Breaking++
	}
}

// example shows a difference without the request's secrets.
func (p *pair) example(d difference, s scrubber) Example {
	e := Example{Request: p.request.Shown()}
	for _, line := range d.diff {
		sign, text := line[:2], line[2:]
		e.Diff = append(e.Diff, sign+clip(s.scrub(text)))
	}
	return e
}

func (b *reportBuilder) report() *Report {
	for _, g := range b.groups {
		b.out.Groups = append(b.out.Groups, *g)
	}
	for at, n := range b.volatile {
		at.Count = n
		b.out.VolatileAt = append(b.out.VolatileAt, at)
	}
	slices.SortFunc(b.out.VolatileAt, func(a, b VolatilePlace) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Location.File, b.Location.File),
			cmp.Compare(a.Location.Line, b.Location.Line), cmp.Compare(a.Cause, b.Cause))
	})
	for address, spoke := range b.spoke {
		if !spoke {
			b.out.Mute = append(b.out.Mute, address)
		}
	}
	slices.Sort(b.out.Mute)
	slices.SortFunc(b.out.Groups, func(a, b Group) int {
		return cmp.Or(cmp.Compare(b.Class.rank(), a.Class.rank()), cmp.Compare(b.Count, a.Count),
			cmp.Compare(a.Location.File, b.Location.File), cmp.Compare(a.Location.Line, b.Location.Line), cmp.Compare(a.Kind, b.Kind))
	})
	return &b.out
}

// Summary is how many requests came to what, in one line.
func (r *Report) Summary() string {
	parts := []string{}
	for _, c := range []struct {
		n    int
		what string
	}{{r.Breaking, "BREAKING"}, {r.Suspicious, "suspicious"}, {r.Volatile, "volatile"},
		{r.Expected + r.Same, "alike"}, // a second that ends between two answers decides between them
		{r.NotAsked, "NOT ASKED"}} {
		if c.n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", c.n, c.what))
		}
	}
	if r.Requests == 0 {
		return "no request was compared"
	}
	summary := strings.Join(parts, ", ")
	if r.NoAnswer > 0 {
		summary += fmt.Sprintf("; %d got no answer from either binary", r.NoAnswer)
	}
	return summary
}

// WriteText writes what [Report.Summary] counts, for people: the places of volatile differences, then at
// most limit groups (0: all), worst first. Expected ones are left out: JSON has them.
func (r *Report) WriteText(w io.Writer, limit int) error {
	var b strings.Builder
	r.writeVolatile(&b)
	left := 0
	for i, g := range r.Groups {
		if g.Class != Breaking && g.Class != Suspicious {
			break
		}
		if limit > 0 && i >= limit {
			left++
			continue
		}
		g.write(&b)
	}
	if left > 0 {
		fmt.Fprintf(&b, "\n… and %d more kinds of differences\n", left)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

const shownPlaces = 4 // of volatile differences

// writeVolatile names the places of volatile differences in one line.
func (r *Report) writeVolatile(b *strings.Builder) {
	var places []string
	for i, at := range r.VolatileAt {
		if i == shownPlaces {
			places = append(places, fmt.Sprintf("%d more", len(r.VolatileAt)-i))
			break
		}
		places = append(places, fmt.Sprintf("%s at %s (%s)", requests(at.Count), at.Location, at.Cause))
	}
	if len(places) > 0 {
		fmt.Fprintf(b, "volatile: %s\n", strings.Join(places, ", "))
	}
}

func requests(n int) string {
	if n == 1 {
		return "1 request"
	}
	return fmt.Sprintf("%d requests", n)
}

func (g *Group) write(b *strings.Builder) {
	name := string(g.Class)
	if g.Class == Breaking {
		name = strings.ToUpper(name)
	}
	fmt.Fprintf(b, "\n%s  %s: %s at %s\n", name, g.Kind, requests(g.Count), g.Location)
	r := g.Example.Request
	fmt.Fprintf(b, "    %s", r)
	if r.Origin == LogOrigin {
		fmt.Fprintf(b, "  (logged with status %d, such requests: %d)", r.Logged, r.Count)
	}
	fmt.Fprintln(b)
	for _, line := range g.Example.Diff {
		fmt.Fprintf(b, "    %s\n", line)
	}
}
