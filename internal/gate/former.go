package gate

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"graft/internal/parity"
	"graft/internal/probe"
)

// former is how a target answered before the swap, with what the user expects of it.
type former struct {
	request parity.Request
	spec    ProbeSpec // the zero value: not the user's
	answers []parity.Answer
	// by is the Server header of before: an answer with another one is the new binary's.
	by string
}

func newFormer(t Target, b Before) *former {
	f := &former{spec: t.Spec, by: b.Server, request: parity.Request{ID: 1, Method: "GET", Target: t.Path, Host: t.Host,
		Network: t.Network, Address: t.Address, TLS: t.TLS, Counters: t.Counters}}
	if t.Name == "" {
		f.request.Counters = []string{parity.BodyCounts} // what the page of an address has, nobody looked up
	}
	for _, a := range b.Tries {
		if a.Fate == probe.OK {
			f.learn(a)
		}
	}
	return f
}

// maxFormer bounds the answers that are kept to compare with: what varies shows in a few.
const maxFormer = 4

// learn keeps an answer as one of those that are right, unless there is the same already.
func (f *former) learn(a probe.Answer) {
	p := parityAnswer(a)
	if len(f.answers) < maxFormer && !slices.ContainsFunc(f.answers, func(have parity.Answer) bool {
		return have.Status == p.Status && have.SHA256 == p.SHA256 && slices.Equal(have.Headers, p.Headers)
	}) {
		f.answers = append(f.answers, p)
	}
}

// relearn takes the answer that the old binary gives now for the right one.
func (f *former) relearn(answers []probe.Answer) {
	f.answers = nil
	for _, a := range answers {
		f.learn(a)
	}
}

func parityAnswer(a probe.Answer) parity.Answer {
	p := parity.Answer{ID: 1, Fate: a.Fate, Status: a.Status, Bytes: a.Bytes, SHA256: a.SHA256, Body: a.Body, At: a.At}
	for _, h := range a.Headers {
		if !strings.EqualFold(h.Name, "Sec-WebSocket-Accept") { // the answer to a random key
			p.Headers = append(p.Headers, parity.Header{Name: h.Name, Value: h.Value})
		}
	}
	return p
}

// differs tells in which way an answer is not as it was before, or not as the user expects it; grave
// as [analysis.ProbeTry] has it. What the former answers differ in among themselves is not held
// against it.
func (f *former) differs(a probe.Answer) (what string, grave bool) {
	if what := f.unexpected(a); what != "" {
		return what, true
	}
	if len(f.answers) == 0 {
		return "", false
	}
	p := parityAnswer(a)
	old := &f.answers[0]
	for i := range f.answers { // a status that it had before is no news
		if f.answers[i].Status == p.Status {
			old = &f.answers[i]
			break
		}
	}
	if old.Status != p.Status {
		if len(f.spec.Expect.Status) > 0 {
			return "", false // it is one of those that the user named
		}
		return fmt.Sprintf("%s instead of %s", statusText(p.Status), statusText(old.Status)), p.Status >= 400 && old.Status < 400 || p.Status >= 500 && old.Status < 500
	}
	var found map[string]string
	for i := range f.answers {
		again := &f.answers[i]
		if again == old && len(f.answers) > 1 {
			continue
		}
		kinds := f.breaking(old, &p, again)
		if found == nil {
			found = kinds
		}
		maps.DeleteFunc(found, func(kind, _ string) bool { return kinds[kind] == "" })
	}
	for _, kind := range slices.Sorted(maps.Keys(found)) {
		return found[kind], false
	}
	return "", false
}

// breaking are the differences that a client would notice, by kind, in words.
func (f *former) breaking(old, young, again *parity.Answer) map[string]string {
	kinds := map[string]string{}
	report := parity.Compare([]parity.Request{f.request}, []parity.Answer{*old}, []parity.Answer{*young}, []parity.Answer{*again})
	for _, g := range report.Groups {
		if g.Class != parity.Breaking || f.ignores(g.Kind) {
			continue
		}
		kinds[g.Kind] = fmt.Sprintf("%s differs%s", g.Kind, shown(g.Example.Diff))
	}
	if f.spec.Compare == BodyExact && old.SHA256 != young.SHA256 && kinds["body"] == "" {
		kinds["body"] = fmt.Sprintf("body differs (%d bytes, before %d)", young.Bytes, old.Bytes)
	}
	return kinds
}

func (f *former) ignores(kind string) bool {
	if name, ok := strings.CutPrefix(kind, "header "); ok {
		name, _, _ = strings.Cut(name, " ")
		return slices.ContainsFunc(f.spec.Ignore, func(i string) bool { return strings.EqualFold(i, name) })
	}
	return f.spec.Compare == BodyIgnore && strings.Contains(kind, "body")
}

// shown are the first lines of a difference, cut short.
func shown(diff []string) string {
	if len(diff) == 0 {
		return ""
	}
	const most = 80
	var lines []string
	for _, l := range diff[:min(2, len(diff))] {
		if len(l) > most {
			l = l[:most] + "…"
		}
		lines = append(lines, strings.ToValidUTF8(l, "?"))
	}
	return ": " + strings.Join(lines, " ")
}

// unexpected tells what of the user's expectations an answer does not meet.
func (f *former) unexpected(a probe.Answer) string {
	e := f.spec.Expect
	if len(e.Status) > 0 && !slices.Contains(e.Status, a.Status) {
		return fmt.Sprintf("%s, expected %s", statusText(a.Status), strings.Trim(fmt.Sprint(e.Status), "[]"))
	}
	for _, name := range slices.Sorted(maps.Keys(e.Headers)) {
		want, got := e.Headers[name], headersOf(a.Headers, name)
		if len(got) == 0 || want != "*" && !slices.Contains(got, want) {
			return fmt.Sprintf("header %s: %q, expected %q", name, strings.Join(got, ", "), want)
		}
	}
	if e.Body != "" && !strings.Contains(string(a.Body), e.Body) {
		return fmt.Sprintf("the body does not hold %.60q", e.Body)
	}
	if e.SHA256 != "" && !strings.EqualFold(e.SHA256, a.SHA256) {
		return fmt.Sprintf("the body's SHA-256 is %.16s…, expected %.16s…", a.SHA256, e.SHA256)
	}
	return ""
}

func headersOf(hs []probe.Header, name string) (values []string) {
	for _, h := range hs {
		if strings.EqualFold(h.Name, name) {
			values = append(values, h.Value)
		}
	}
	return values
}

func statusText(status int) string {
	if status == 0 { // TCP has none
		return "no status"
	}
	return fmt.Sprint(status)
}
