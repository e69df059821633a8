package parity

import (
	"graft/internal/nginx/conf"
	"io"
)

// Class is how bad a difference is. The names are stable.
type Class string

// The classes, from the worst to none.
const (
	Breaking   Class = "breaking"   // a client or an upstream would notice
	Suspicious Class = "suspicious" // harmless for most clients
	Volatile   Class = "volatile"   // the old binary differs from itself as well
	Expected   Class = "expected"   // must differ: date, version
	Same       Class = "same"
)

// Report is the outcome of a comparison. It holds nothing secret: see [Shown].
type Report struct {
	Requests   int     `json:"requests"` // compared
	Same       int     `json:"same"`     // requests by the worst class of their differences
	Expected   int     `json:"expected"`
	Volatile   int     `json:"volatile"`
	Suspicious int     `json:"suspicious"`
	Breaking   int     `json:"breaking"`
	Groups     []Group `json:"groups"` // worst first
}

// Green tells whether nothing breaking was found, and anything was compared at all.
func (r *Report) Green() bool { return r.Requests > 0 && r.Breaking == 0 }

// Group is one kind of difference at one place of the configuration.
type Group struct {
	Class    Class    `json:"class"`
	Kind     string   `json:"kind"`     // "status", "header Location", "body", "upstream request line", …
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

// WriteText writes the report for people: at most max groups (0: all), worst first; groups of
// expected differences only as a count.
func (r *Report) WriteText(w io.Writer, max int) error { return nil }
