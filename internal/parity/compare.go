package parity

import (
	"fmt"
	"strings"

	"graft/internal/probe"
)

// Compare judges the new binary's answers by the old one's, request by request. The lists are parallel;
// an answer that is missing counts as none. again may hold a second run of the old binary, or of those
// of the requests that are [Doubtful]: what differs between its two runs is not held against the new one.
func Compare(requests []Request, old, new, again []Answer) *Report {
	second := make(map[int]*Answer, len(again))
	for i := range again {
		second[again[i].ID] = &again[i]
	}
	b := newReportBuilder()
	for i := range requests {
		p := pair{request: &requests[i], old: answerAt(old, i), new: answerAt(new, i), again: second[requests[i].ID]}
		p.compare()
		b.add(&p)
	}
	return b.report()
}

// Doubtful are the requests that the old binary has to be asked once more, before a difference is held
// against the new one: all of the locations where there is one, in order, since what one request leaves
// behind the next one may find.
func Doubtful(requests []Request, old, new []Answer) []Request {
	lanes := make(map[string]bool)
	for i := range requests {
		p := pair{request: &requests[i], old: answerAt(old, i), new: answerAt(new, i)}
		p.compare()
		for _, d := range p.found {
			if d.class == Breaking || d.class == Suspicious {
				lanes[requests[i].lane()] = true
			}
		}
	}
	var doubtful []Request
	for _, r := range requests {
		if lanes[r.lane()] {
			doubtful = append(doubtful, r)
		}
	}
	return doubtful
}

func answerAt(answers []Answer, i int) *Answer {
	if i < len(answers) {
		return &answers[i]
	}
	return &Answer{}
}

// difference is one that was found in a pair of answers.
type difference struct {
	class Class
	kind  string
	diff  []string
	// counters: it is Volatile since the configuration has counters told there.
	counters bool
}

// pair is both answers to a request.
type pair struct {
	request         *Request
	old, new, again *Answer // again is nil if the old binary was not asked a second time
	found           []difference
	// known are words that differ in what the upstreams saw, as expected: bodies may repeat them.
	known    map[[2]string]bool
	notAsked bool
}

func (p *pair) differ(class Class, kind string, diff ...string) {
	p.found = append(p.found, difference{class: class, kind: kind, diff: diff})
}

// count notes a difference of counters.
func (p *pair) count(kind string, diff ...string) {
	p.found = append(p.found, difference{class: Volatile, kind: kind, diff: diff, counters: true})
}

func (p *pair) compare() {
	if p.unasked() {
		p.notAsked = true
		return
	}
	if !p.fates() {
		return
	}
	p.tls()
	if !p.statuses() {
		return
	}
	p.headers()
	p.upstream()
	p.body()
}

// unasked tells whether a request was not sent to one of the binaries, or only failed here.
func (p *pair) unasked() bool {
	for _, a := range []*Answer{p.old, p.new} {
		if a.Fate == probe.Unknown || a.Fate == probe.Local {
			return true
		}
	}
	return false
}

// silent tells whether neither binary said anything. To close the connection, or to reject the
// handshake, is an answer: "return 444" does the one, ssl_reject_handshake the other.
func (p *pair) silent() bool {
	none := func(f probe.Fate) bool {
		return f == probe.Timeout || f == probe.Refused || f == probe.Unreachable
	}
	return none(p.old.Fate) && none(p.new.Fate)
}

// fates compares what became of the request. It returns false if there are no two answers.
func (p *pair) fates() bool {
	o, n := p.old.Fate, p.new.Fate
	if o == n {
		if o != probe.OK {
			p.upstream() // what went up is comparable all the same
		}
		return o == probe.OK
	}
	class := Suspicious
	switch {
	case p.again != nil && p.again.Fate != o:
		class = Volatile
	case o == probe.OK:
		class = Breaking
	}
	p.differ(class, fmt.Sprintf("connection: %s → %s", o, n), "- "+fateLine(p.old), "+ "+fateLine(p.new))
	return false
}

func fateLine(a *Answer) string {
	if a.Fate == probe.OK {
		return statusLine(a)
	}
	return fmt.Sprintf("%s: %s", a.Fate, a.Err)
}

func statusLine(a *Answer) string {
	return strings.TrimSpace(fmt.Sprintf("%s %d %s", a.Proto, a.Status, a.Reason))
}

// tls compares what the handshake came to.
func (p *pair) tls() {
	if o, n := p.old.TLSVersion, p.new.TLSVersion; o != n {
		p.differ(Suspicious, "TLS version", "- "+o, "+ "+n)
	}
	if o, n := p.old.Certificate, p.new.Certificate; o != n {
		p.differ(Breaking, "certificate", "- SHA-256 "+o, "+ SHA-256 "+n)
	}
}

// statuses compares the status. All else that differs with it follows from it, and is shown with it.
func (p *pair) statuses() bool {
	if p.old.Status == p.new.Status {
		switch {
		case p.old.Proto != p.new.Proto:
			p.differ(Suspicious, "protocol version", "- "+statusLine(p.old), "+ "+statusLine(p.new))
		case p.old.Reason != p.new.Reason:
			p.differ(Suspicious, "reason phrase", "- "+statusLine(p.old), "+ "+statusLine(p.new))
		}
		return true
	}
	class := Breaking
	if p.again != nil && p.again.Status != p.old.Status {
		class = Volatile
	}
	diff := []string{"- " + statusLine(p.old), "+ " + statusLine(p.new)}
	for _, name := range []string{"Location", "Content-Type"} {
		if o, n := p.old.Header(name), p.new.Header(name); o != n {
			diff = append(diff, valueDiff(name, o, n)...)
		}
	}
	diff = append(diff, textDiff(string(p.old.Body), string(p.new.Body))...)
	if len(p.old.Upstream) != len(p.new.Upstream) {
		diff = append(diff, p.upstreamLines()...)
	}
	p.differ(class, fmt.Sprintf("status %d → %d", p.old.Status, p.new.Status), diff...)
	return false
}

func valueDiff(name, old, new string) (diff []string) {
	if old != "" {
		diff = append(diff, "- "+name+": "+old)
	}
	if new != "" {
		diff = append(diff, "+ "+name+": "+new)
	}
	return diff
}

// texts prepares to compare two texts of this pair.
func (p *pair) texts(old, new string, again *string) texts {
	return texts{old: old, new: new, again: again, known: p.known, sent: p.old.At, apart: p.new.At.Sub(p.old.At)}
}

// values compares two values of a header; its name tells whether numbers must differ. counts: the
// configuration tells that they do.
func (p *pair) values(name, old, new string, again *string, counts bool) likeness {
	t := p.texts(old, new, again)
	t.counts = counts
	t.counter, t.anyCase = counterName.MatchString(name), true
	return t.compare()
}

// body compares what the answers carry.
func (p *pair) body() {
	if p.old.SHA256 == p.new.SHA256 {
		if p.old.Bytes != p.new.Bytes && p.old.Header("Content-Encoding") == p.new.Header("Content-Encoding") {
			p.differ(Expected, "size of the packed body", fmt.Sprintf("- %d bytes", p.old.Bytes), fmt.Sprintf("+ %d bytes", p.new.Bytes))
		}
		return
	}
	if echoes(p.old) && echoes(p.new) && p.upstreamDiffers() {
		return // the body repeats what the upstream saw, which is told by itself
	}
	o, n := string(p.old.Body), string(p.new.Body)
	var again *string
	if p.again != nil {
		s := string(p.again.Body)
		again = &s
	}
	how := different
	if len(o) < maxKept && len(n) < maxKept {
		t := p.texts(o, n, again)
		t.counts = p.request.countsIn(BodyCounts)
		how = t.compare()
	} else if p.again != nil && p.again.SHA256 != p.old.SHA256 {
		how = unsteady
	}
	diff := textDiff(o, n)
	switch {
	case how == alike:
		p.differ(Expected, "body", diff...)
	case how == unsteady:
		p.differ(Volatile, "body", diff...)
	case how == counted:
		p.count("body", diff...)
	case how == spacing:
		p.differ(Suspicious, "white space in the body", diff...)
	case p.old.Status >= 300:
		p.differ(Suspicious, fmt.Sprintf("text of the %d page", p.old.Status), diff...)
	default:
		p.differ(Breaking, "body", diff...)
	}
}
