package parity

import (
	"regexp"
	"slices"
	"strings"

	"graft/internal/nginx/conf"
	"graft/internal/nginx/route"
)

// BodyCounts stands in [Request.Counters] for the body; a header's name has no such sign.
const BodyCounts = "(body)"

// statusPages are directives that answer with counters of the running nginx.
var statusPages = []string{"stub_status", "vhost_traffic_status_display", "check_status", "dyups_interface", "status", "api"}

// speakers are directives whose arguments come into the answer.
var speakers = []string{"return", "rewrite", "add_header", "more_set_headers", "sub_filter", "echo", "echo_duplicate",
	"echo_before_body", "echo_after_body"}

// countingVariable tells variables with another value at each request, or in each process.
var countingVariable = regexp.MustCompile(`\$\{?(connections_(active|reading|writing|waiting)|connection(_requests|_time)?|msec|pid|request_id|request_time|time_\w+)\b`)

// counting knows where a configuration has answers hold counters. To ask the old binary again does not tell
// these from other differences: two of its counters may be equal by chance.
type counting struct {
	config *conf.Config
	names  []string // the speakers that use such a variable anywhere
	known  map[*conf.Directive][]string
}

func newCounting(config *conf.Config) *counting {
	c := &counting{config: config, known: map[*conf.Directive][]string{}}
	config.Walk(func(d *conf.Directive) bool {
		if !d.Data && slices.Contains(speakers, d.Name) && !slices.Contains(c.names, d.Name) && usesCounter(d) {
			c.names = append(c.names, d.Name)
		}
		return true
	})
	return c
}

func usesCounter(d *conf.Directive) bool {
	return slices.ContainsFunc(d.Args, countingVariable.MatchString)
}

// of are the parts of the answer that hold counters: names of headers in lower case, and BodyCounts.
func (c *counting) of(choice route.Choice) []string {
	block := choice.Location
	if block == nil {
		block = choice.Server
	}
	if block == nil {
		return nil
	}
	parts, ok := c.known[block]
	if !ok {
		parts = c.find(block)
		c.known[block] = parts
	}
	return parts
}

func (c *counting) find(block *conf.Directive) []string {
	var parts []string
	add := func(part string) {
		if !slices.Contains(parts, part) {
			parts = append(parts, part)
		}
	}
	blocks := []*conf.Directive{block}
	for _, d := range block.Block {
		if d.Name == "if" {
			blocks = append(blocks, d)
		}
	}
	for _, b := range blocks {
		for _, d := range b.Block {
			if slices.Contains(statusPages, d.Name) {
				add(BodyCounts)
			}
		}
		for _, name := range c.names {
			for _, d := range c.config.InEffect(b, name) {
				if d.Name == name && usesCounter(d) {
					speaks(d, add)
				}
			}
		}
	}
	return parts
}

// speaks adds the parts that a directive writes counters into.
func speaks(d *conf.Directive, add func(string)) {
	switch d.Name {
	case "add_header":
		add(strings.ToLower(d.Arg(0)))
	case "more_set_headers":
		for _, arg := range d.Args {
			if name, value, ok := strings.Cut(arg, ":"); ok && countingVariable.MatchString(value) {
				add(strings.ToLower(strings.TrimSpace(name)))
			}
		}
	case "rewrite":
		add("location")
	case "return":
		add("location")
		add(BodyCounts)
	default:
		add(BodyCounts)
	}
}

// countsIn tells whether the part of the answer holds counters. The length of a page with counters is seen by
// itself only in answers to HEAD.
func (r *Request) countsIn(part string) bool {
	return slices.Contains(r.Counters, part) ||
		part == "content-length" && r.Method == "HEAD" && slices.Contains(r.Counters, BodyCounts)
}

// count is a number, in hexadecimal as well; a word that only has letters is none.
var count = regexp.MustCompile(`(?i)^(?:[0-9]+\.[0-9]+|[0-9a-f]*[0-9][0-9a-f]*|[0-9a-f]{32})$`)

// counts tells whether both are numbers or times.
func counts(o, n string) bool {
	_, ok1 := parseTime(o)
	_, ok2 := parseTime(n)
	return ok1 && ok2 || count.MatchString(o) && count.MatchString(n)
}
