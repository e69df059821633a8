package report

import (
	"time"

	"graft/internal/analysis"
	"graft/internal/traffic"
)

// Report is what two periods came to, or one. Its JSON is read by other programs.
type Report struct {
	// Periods are "before" and "after", or "all" alone.
	Periods []*Period `json:"periods"`
	Formats []string  `json:"formats"` // of the log lines, as log_format has them
	// Readings are one for each period, or one if both periods are in the same files.
	Readings []Reading `json:"readings"`
	// Verdict says whether after is worse than before; it and what it rests on are absent of one period.
	Verdict  *analysis.Verdict  `json:"verdict,omitempty"`
	Why      []string           `json:"why,omitempty"`
	Findings []analysis.Finding `json:"findings,omitempty"`
	// Concurrent says that both periods are one time, so that both sides were compared block by block.
	Concurrent bool `json:"concurrent,omitempty"`

	FailingURIs []URI `json:"failing_uris,omitempty"` // by 5xx
	// FailingShort is by how much their counts may be too low, where there were too many to count each.
	FailingShort int64   `json:"failing_uris_short,omitempty"`
	Hosts        []Group `json:"hosts,omitempty"`
	Paths        []Group `json:"paths,omitempty"`
	// ErrorLog is what the error logs told, the most changed classes first; nil if none was given.
	ErrorLog []ErrorClass `json:"error_log,omitempty"`
}

// Period is one of the periods.
type Period struct {
	Name        string    `json:"name"`
	From        time.Time `json:"from,omitzero"` // the second of the first request
	To          time.Time `json:"to,omitzero"`   // the end of the second of the last one
	Requests    int64     `json:"requests"`
	PerSecond   float64   `json:"per_second"`
	Statuses    []Status  `json:"statuses"`
	Bytes       int64     `json:"bytes"`
	Upstream    *Upstream `json:"upstream,omitempty"` // nil: none was asked, or the format does not tell
	Time        *Times    `json:"request_time,omitempty"`
	Untimed     int64     `json:"untimed,omitempty"` // requests without a time, in Requests but in no plot and no test
	StepSeconds int64     `json:"step_seconds"`      // of the timeline
	Timeline    []Point   `json:"timeline"`
}

// Status is how many requests were answered so.
type Status struct {
	Name  string  `json:"name"` // 1xx to 5xx, 499, other; 499 are not among the 4xx here
	N     int64   `json:"n"`
	Share float64 `json:"share"`
}

// Upstream is how the upstreams did.
type Upstream struct {
	Requests int64   `json:"requests"` // that asked one
	Failed   int64   `json:"failed"`   // with a try that was not answered, or with 5xx
	Share    float64 `json:"share"`
	Time     *Times  `json:"time,omitempty"`
}

// Times are quantiles in ms, off by 1/128 of themselves at most.
type Times struct {
	N   int64   `json:"n"`
	P50 float64 `json:"p50"`
	P95 float64 `json:"p95"`
	P99 float64 `json:"p99"`
}

// Reading is how some files were read.
type Reading struct {
	Files     []string `json:"files"`
	Lines     int64    `json:"lines"`     // whole lines read
	Malformed int64    `json:"malformed"` // of them, those that fit no format
	Samples   []string `json:"samples,omitempty"`
	Notes     []string `json:"notes,omitempty"` // what was not read
}

// Point is one step of a timeline.
type Point struct {
	At        int64    `json:"at"` // Unix time
	PerSecond float64  `json:"per_second"`
	Classes   [6]int64 `json:"classes"` // 1xx to 5xx by number, 0: other; 499 are among the 4xx
	P50       float64  `json:"p50"`     // of $request_time; 0 where not told
	P95       float64  `json:"p95"`
	P99       float64  `json:"p99"`
}

// URI is how often one was answered with 5xx.
type URI struct {
	URI    string `json:"uri"`
	Before int64  `json:"before"`
	After  int64  `json:"after"`
}

// Group is a server, or a part of a site.
type Group struct {
	Name   string    `json:"name"`
	Before GroupSums `json:"before"` // zero of one period
	After  GroupSums `json:"after"`
	// Changed says how it differs, if it does by much. That is a remark, no test.
	Changed string `json:"changed,omitempty"`
}

// GroupSums is what a group's requests came to.
type GroupSums struct {
	Requests  int64   `json:"requests"`
	Errors5xx int64   `json:"errors_5xx"`
	Share     float64 `json:"share"` // of 5xx
	P95       float64 `json:"p95"`   // of $request_time in ms; 0 where not told
	times     int64
}

// ErrorClass is one kind of line of the error log.
type ErrorClass struct {
	ID       string `json:"id"`
	Kind     string `json:"kind"`
	Level    string `json:"level"`
	Template string `json:"template"`
	Before   int64  `json:"before"`
	After    int64  `json:"after"`
	Sample   string `json:"sample,omitempty"` // a line of it

	seconds int64 // different ones in which the period had it
	last    int64
	first   time.Time
}

// Input is what was read of one period.
type Input struct {
	Name   string
	Counts *traffic.Overview
	Errors *ErrorLog // nil: none was given
}

// Options say how the periods are compared.
type Options struct {
	Formats  []string // as the report tells them
	Readings []Reading
	Alpha    float64 // of all signals together; 0: 1 %
	Margin   float64 // the rise that is no fault; 0: the tests' own
}
