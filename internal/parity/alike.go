package parity

import (
	"regexp"
	"strconv"
	"strings"
	"time"
)

// likeness is how two texts compare.
type likeness uint8

const (
	different likeness = iota
	spacing            // different in white space only, or in case where that does not matter
	unsteady           // different only where the old binary differs from itself
	counted            // different only in numbers, where the configuration has counters told
	alike              // different only in what must differ: times, versions, random IDs
	equal
)

// texts compares what both binaries said at one place; again is what the old one said the second
// time, nil if it was not asked twice.
type texts struct {
	old, new string
	again    *string
	// apart is the time between the two requests: times may differ by so much.
	apart time.Duration
	sent  time.Time
	// known pairs of words differ elsewhere already, where it is expected, and are repeated here.
	known map[[2]string]bool
	// counter: numbers are expected to differ (a pid, a port), for the name of the place says so.
	counter bool
	// counts: the configuration has counters told here.
	counts  bool
	anyCase bool // of a header, where case rarely matters
}

const slack = 2 * time.Minute // beside the time between the requests, for times in answers

var (
	weekdays = `(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)`
	token    = regexp.MustCompile(weekdays + `\w*, \d\d[ -]\w{3}[ -]\d{2,4} \d\d:\d\d:\d\d [A-Z]{3,4}` +
		`|\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d` +
		`|\d\d[-/]\w{3}[-/]\d{4}[: ]\d\d:\d\d:\d\d` +
		`|\d\d-\w{3}-\d{4} \d\d:\d\d` +
		`|(?i:nginx|openresty)(?:/[0-9][0-9.]*[0-9])?` +
		`|[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}` +
		`|[0-9]+\.[0-9]+|[A-Za-z0-9_]+|\s+|[^\s]`)
	timeLayouts = []string{time.RFC1123, "Mon, 02-Jan-2006 15:04:05 GMT", "Mon, 02-Jan-06 15:04:05 GMT", time.RFC850, "Monday, 02-Jan-2006 15:04:05 MST",
		"2006-01-02T15:04:05", "2006-01-02 15:04:05", "02/Jan/2006:15:04:05", "02-Jan-2006 15:04:05", "02-Jan-2006 15:04"}
	serverToken = regexp.MustCompile(`(?i)^(?:nginx|openresty)(/[0-9.]+)?$`)
	randomID    = regexp.MustCompile(`^(?:[0-9a-f]{32}|[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})$`)
)

func (t texts) compare() likeness {
	if t.old == t.new {
		return equal
	}
	olds, news := token.FindAllString(t.old, -1), token.FindAllString(t.new, -1)
	var seconds []string
	if t.again != nil && *t.again != t.old {
		if seconds = token.FindAllString(*t.again, -1); len(seconds) != len(olds) {
			return unsteady
		}
	}
	if len(olds) == len(news) {
		worst := equal
		for i := range olds {
			worst = min(worst, t.token(olds, news, seconds, i))
		}
		if worst != different {
			return worst
		}
	}
	if o, n := squeeze(t.old), squeeze(t.new); o == n || t.anyCase && strings.EqualFold(o, n) {
		return spacing
	}
	return different
}

func (t texts) token(olds, news, seconds []string, i int) likeness {
	o, n := olds[i], news[i]
	switch {
	case o == n:
		return equal
	case t.mustDiffer(o, n), t.known[[2]string{o, n}]:
		return alike
	case t.counts && counts(o, n):
		return counted
	case seconds != nil && seconds[i] != o:
		return unsteady
	}
	return different
}

// mustDiffer tells pairs that two runs of the same binary would show as well, or two versions.
func (t texts) mustDiffer(o, n string) bool {
	if a, b := serverToken.FindStringSubmatch(o), serverToken.FindStringSubmatch(n); a != nil && b != nil {
		return (a[1] == "") == (b[1] == "")
	}
	if randomID.MatchString(strings.ToLower(o)) && randomID.MatchString(strings.ToLower(n)) {
		return len(o) == len(n)
	}
	if a, ok := parseTime(o); ok {
		b, ok := parseTime(n)
		return ok && (b.Sub(a)).Abs() <= t.apart.Abs()+slack
	}
	a, err1 := strconv.ParseFloat(o, 64)
	b, err2 := strconv.ParseFloat(n, 64)
	if err1 != nil || err2 != nil {
		return false
	}
	if t.counter {
		return true
	}
	for _, unit := range []float64{1, 1e3, 1e6} { // seconds, and finer
		window := (t.apart.Abs() + slack).Seconds() * unit
		now := float64(t.sent.Unix()) * unit
		if abs(a-now) <= window && abs(b-now) <= window {
			return true
		}
	}
	return false
}

func abs(f float64) float64 { return max(f, -f) }

func parseTime(s string) (time.Time, bool) {
	if len(s) < len("02-Jan-2006 15:04") {
		return time.Time{}, false
	}
	for _, layout := range timeLayouts {
		if at, err := time.Parse(layout, s); err == nil {
			return at, true
		}
	}
	return time.Time{}, false
}

// squeeze leaves out white space.
func squeeze(s string) string { return strings.Join(strings.Fields(s), "") }

// counterName tells names of headers that carry a pid, a port, a count or a duration.
var counterName = regexp.MustCompile(`(?i)pid|worker|conn.*(id|num|serial|requests)|serial|^x-connection|_?port$|request-?id|trace|timing|time$|duration|elapsed|msec|^age$|x-runtime`)
