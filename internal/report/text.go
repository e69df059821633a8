package report

import (
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// Lengths of the text's lists: it is one screen.
const (
	textURIs    = 8
	textGroups  = 8
	textClasses = 8
	textSamples = 3
)

// row is a line of the table of numbers.
type row struct {
	Name   string
	Before string
	After  string
	Change string
}

// rows are the table of numbers, for text and HTML.
func (r *Report) rows() []row {
	after := r.Periods[len(r.Periods)-1]
	before := after
	if len(r.Periods) == 2 {
		before = r.Periods[0]
	}
	list := []row{
		{"requests", thousands(before.Requests), thousands(after.Requests), factor(float64(before.Requests), float64(after.Requests))},
		{"  per second", fmt.Sprintf("%.3g", before.PerSecond), fmt.Sprintf("%.3g", after.PerSecond), factor(before.PerSecond, after.PerSecond)},
	}
	for i, b := range before.Statuses {
		if a := after.Statuses[i]; a.N+b.N > 0 || a.Name == "5xx" {
			list = append(list, row{a.Name, percent(b.Share), percent(a.Share), factor(b.Share, a.Share)})
		}
	}
	if b, a := before.Upstream, after.Upstream; b != nil && a != nil {
		list = append(list, row{"upstream failed", percent(b.Share), percent(a.Share), factor(b.Share, a.Share)})
	}
	list = append(list, timeRows("request time", before.Time, after.Time)...)
	if b, a := before.Upstream, after.Upstream; b != nil && a != nil {
		list = append(list, timeRows("upstream time", b.Time, a.Time)...)
	}
	if before.Requests > 0 && after.Requests > 0 && before.Bytes+after.Bytes > 0 {
		b, a := float64(before.Bytes)/float64(before.Requests), float64(after.Bytes)/float64(after.Requests)
		list = append(list, row{"bytes a request", bytesWords(b), bytesWords(a), factor(b, a)})
	}
	return list
}

func timeRows(name string, b, a *Times) []row {
	if b == nil || a == nil {
		return nil
	}
	return []row{
		{name + " p50", millis(b.P50), millis(a.P50), factor(b.P50, a.P50)},
		{"  p95", millis(b.P95), millis(a.P95), factor(b.P95, a.P95)},
		{"  p99", millis(b.P99), millis(a.P99), factor(b.P99, a.P99)},
	}
}

// Text writes the report for a terminal of that many columns.
func (r *Report) Text(w io.Writer, columns int) {
	two := len(r.Periods) == 2
	for _, p := range r.Periods {
		when := "no lines with a time"
		if !p.From.IsZero() {
			when = clock(p.From) + " to " + clock(p.To)
		}
		fmt.Fprintf(w, "%-7s %s\n", p.Name, when)
	}
	for _, read := range r.Readings {
		fmt.Fprintf(w, "%-7s %s: %s\n", "read", Printable(files(read.Files), max(20, columns-35)), counted(read.Lines, "line"))
		for _, note := range read.Notes {
			hang(w, "        ", note, columns)
		}
	}
	fmt.Fprintln(w)
	r.textNumbers(w, two)
	if r.Verdict != nil {
		fmt.Fprintf(w, "\n%s\n", r.Headline())
		for _, why := range r.Why {
			hang(w, "  · ", why, columns)
		}
	}
	r.textURIs(w, two, columns)
	textGroupList(w, "Servers", r.Hosts, two, columns)
	textGroupList(w, "Paths", r.Paths, two, columns)
	r.textErrors(w, two, columns)
	for _, p := range r.Periods {
		if p.Untimed > 0 {
			fmt.Fprintf(w, "\n%s: the format tells no time of %s: counted, and in no plot and no test\n", p.Name, counted(p.Untimed, "request"))
		}
	}
	for _, read := range r.Readings {
		if read.Malformed == 0 {
			continue
		}
		fmt.Fprintf(w, "\n%s of %s lines fit no format, such as\n", thousands(read.Malformed), thousands(read.Lines))
		for _, s := range read.Samples[:min(len(read.Samples), textSamples)] {
			fmt.Fprintf(w, "  %s\n", Printable(s, 300)) // whole: what is odd may be at the end
		}
	}
}

// Headline is the verdict in words.
func (r *Report) Headline() string {
	what := "after is no worse than before"
	switch r.Verdict.String() {
	case "fail":
		what = "after is worse than before"
	case "degraded":
		what = "what clients see is no worse after than before, and the error log is"
	case "inconclusive":
		what = "there is no saying whether after is worse"
	}
	return fmt.Sprintf("%s: %s", r.Verdict, what)
}

func (r *Report) textNumbers(w io.Writer, two bool) {
	if two {
		fmt.Fprintf(w, "%-18s %14s %14s %10s\n", "", r.Periods[0].Name, r.Periods[1].Name, "change")
	}
	for _, row := range r.rows() {
		if two {
			fmt.Fprintf(w, "%-18s %14s %14s %10s\n", row.Name, row.Before, row.After, row.Change)
		} else {
			fmt.Fprintf(w, "%-18s %14s\n", row.Name, row.After)
		}
	}
}

func (r *Report) textURIs(w io.Writer, two bool, columns int) {
	if len(r.FailingURIs) == 0 {
		return
	}
	if two {
		fmt.Fprintf(w, "\n%8s %8s  URIs answered with 5xx\n", "before", "after")
	} else {
		fmt.Fprintf(w, "\n%8s  URIs answered with 5xx\n", "5xx")
	}
	for _, u := range r.FailingURIs[:min(len(r.FailingURIs), textURIs)] {
		if two {
			fmt.Fprintf(w, "%8s ", thousands(u.Before))
		}
		fmt.Fprintf(w, "%8s  %s\n", thousands(u.After), Printable(u.URI, columns-20))
	}
	if r.FailingShort > 0 {
		fmt.Fprintf(w, "there are too many to count each: these may be more, by %s at most\n", thousands(r.FailingShort))
	}
}

// textGroupList tells of two periods what changed, of one what there is.
func textGroupList(w io.Writer, title string, list []Group, two bool, columns int) {
	shown := 0
	for _, g := range list {
		if two && g.Changed == "" || shown == textGroups {
			break
		}
		if shown++; shown == 1 {
			fmt.Fprintf(w, "\n%s", title)
			if two {
				fmt.Fprint(w, " that changed (a remark, no test)")
			}
			fmt.Fprintln(w)
		}
		name := Printable(g.Name, max(20, columns-70))
		if two {
			fmt.Fprintf(w, "  %s: %s (%s → %s)\n", name, g.Changed, thousands(g.Before.Requests), counted(g.After.Requests, "request"))
			continue
		}
		p95 := ""
		if g.After.P95 > 0 {
			p95 = ", p95 " + millis(g.After.P95)
		}
		fmt.Fprintf(w, "  %s: %s, 5xx %s%s\n", name, counted(g.After.Requests, "request"), percent(g.After.Share), p95)
	}
}

func (r *Report) textErrors(w io.Writer, two bool, columns int) {
	if r.ErrorLog == nil {
		return
	}
	fmt.Fprintln(w)
	if len(r.ErrorLog) == 0 {
		fmt.Fprintln(w, "The error logs have no lines of these times")
		return
	}
	if two {
		fmt.Fprintf(w, "%8s %8s  error log, by class\n", "before", "after")
	} else {
		fmt.Fprintf(w, "%8s  error log, by class\n", "lines")
	}
	for _, c := range r.ErrorLog[:min(len(r.ErrorLog), textClasses)] {
		if two {
			fmt.Fprintf(w, "%8s ", thousands(c.Before))
		}
		fmt.Fprintf(w, "%8s  %-6s %s\n", thousands(c.After), c.Level, Printable(c.Template, columns-28))
	}
	if more := len(r.ErrorLog) - textClasses; more > 0 {
		fmt.Fprintf(w, "%s more classes: -o json and --html have them\n", thousands(int64(more)))
	}
}

// files names a few and counts the rest.
func files(list []string) string {
	if len(list) > 3 {
		return fmt.Sprintf("%s, %s and %d more files", list[0], list[1], len(list)-2)
	}
	return strings.Join(list, ", ")
}

// hang writes text under a hanging head, broken at spaces.
func hang(w io.Writer, head, text string, columns int) {
	margin := strings.Repeat(" ", utf8.RuneCountInString(head))
	line, length := head, len(margin)
	for i, word := range strings.Fields(Printable(text, 10_000)) {
		n := utf8.RuneCountInString(word)
		switch {
		case i == 0:
		case length+1+n > columns:
			fmt.Fprintln(w, line)
			line, length = margin, len(margin)
		default:
			line, length = line+" ", length+1
		}
		line, length = line+word, length+n
	}
	fmt.Fprintln(w, line)
}
