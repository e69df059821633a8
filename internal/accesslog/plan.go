package accesslog

import "bytes"

// plan is the fast way through a line: at each variable it takes the nearest end that what follows
// fits, as the matcher does first, and never goes back. So whatever fits a plan is what the matcher
// would have found; what does not, the matcher decides, unless no step before had a choice.
type plan struct {
	head  literal
	steps []step
	// combined is that the first step is all of the format combined but its last quote.
	combined bool
	// quotes is how many quotes are in a line whose texts have none; -1 if they have any.
	quotes int
}

// step is a variable and the literal behind it.
type step struct {
	how    method
	read   reading
	shape  string // of digits
	behind literal
	stop   uint64 // the first byte of behind, eight times
	quote  quoting
	// sure says that no step before could have ended elsewhere: a line that fails here has not been
	// written in this format.
	sure bool
}

// method is how the end of a variable is found.
type method uint8

const (
	byStop    method = iota // text of escape=default, to the first byte of the literal, no quote before it
	byQuote                 // text of escape=default, to a quote
	byJSON                  // text of escape=json, to a quote
	byIndex                 // text of escape=none, to the literal
	byEnd                   // the rest of the line
	byList                  // a number for each try
	byDigits                // a number
	bySeconds               // a number with a fraction, or "-"
	byStatus                // three digits
	byLocal                 // $time_local
	byISO                   // $time_iso8601
)

// newPlan makes the plan of a format; nil if some end of a variable cannot be told without trying.
func newPlan(f *Format) *plan {
	p := &plan{}
	ops := f.ops
	if len(ops) > 0 && ops[0].literal != nil {
		p.head = newLiteral(ops[0].literal)
		ops = ops[1:]
	}
	sure := true
	if f.beginsCombined() {
		n := len(combinedOps)
		p.combined = true
		p.steps = append(p.steps, step{behind: newLiteral(f.ops[n-1].literal)})
		ops, sure = f.ops[n:], false
	}
	for len(ops) > 0 {
		s := step{read: ops[0].read, shape: ops[0].shape, quote: f.quote, sure: sure}
		last := len(ops) == 1
		var behind []byte
		if !last {
			behind = ops[1].literal
		}
		s.behind = newLiteral(behind)
		if behind != nil {
			s.stop = ones * uint64(behind[0])
		}
		var ok, choice bool
		if s.how, choice, ok = methodOf(ops[0].shape, f.quote, last, behind); !ok {
			return nil
		}
		sure = sure && !choice
		p.steps = append(p.steps, s)
		if ops = ops[1:]; behind != nil {
			ops = ops[1:]
		}
	}
	p.quotes = -1
	if f.quote != quoteNone {
		p.quotes = 0
		for _, o := range f.ops {
			p.quotes += bytes.Count(o.literal, []byte{'"'})
		}
	}
	return p
}

// methodOf chooses how to find the end of a variable; choice says that it may not be the only one.
func methodOf(shape string, quote quoting, last bool, behind []byte) (how method, choice, ok bool) {
	switch shape {
	case digits, size:
		return byDigits, false, true
	case number:
		return bySeconds, false, true
	case shapes["status"]:
		return byStatus, false, true
	case shapes["time_local"]:
		return byLocal, false, true
	case shapes["time_iso8601"]:
		return byISO, false, true
	case list:
		// A literal that goes on as a list does leaves its end open.
		ok = last || behind != nil && !isDigit(behind[0]) && behind[0] != '.' && behind[0] != '-'
		return byList, true, ok
	}
	switch {
	case last:
		return byEnd, false, true
	case behind == nil:
		return 0, true, false
	case quote == quoteHex && behind[0] == '"':
		return byQuote, false, true
	case quote == quoteHex:
		return byStop, true, true
	case quote == quoteJSON && behind[0] == '"':
		return byJSON, false, true
	case quote == quoteNone:
		return byIndex, true, true
	}
	return 0, true, false
}
