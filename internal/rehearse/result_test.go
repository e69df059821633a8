package rehearse

import (
	"errors"
	"strings"
	"testing"
	"time"

	"graft/internal/migrate"
	"graft/internal/parity"
)

// green is a result that has seen everything.
func green() Result {
	r := Result{Plan: "p", Fingerprint: "f", Clients: Clients{Sent: 9, Answered: 9, Addresses: []string{"127.0.0.1:80"}},
		Parity: &Parity{Report: &parity.Report{Requests: 3, Expected: 3}}}
	for _, name := range actNames() {
		r.Acts = append(r.Acts, Act{Name: name, OK: true, Took: time.Millisecond})
	}
	return r
}

// Absence of evidence is no success: whatever was not seen has to be told.
func TestWhatWasNotSeenIsNotGreen(t *testing.T) {
	for name, c := range map[string]struct {
		upset func(*Result)
		told  string
	}{
		"no act":                  {func(r *Result) { r.Acts = nil }, "start: it was not played"},
		"the last act is missing": {func(r *Result) { r.Acts = r.Acts[:len(r.Acts)-1] }, "back from the end: it was not played"},
		"an act failed":           {func(r *Result) { r.Acts[2].OK, r.Acts[2].Problem = false, "it broke" }, "parked and back: it broke"},
		"clients lost a request":  {func(r *Result) { r.Clients.Lost = 1 }, "1 of 9 requests were lost"},
		"nothing compared":        {func(r *Result) { r.Parity = nil }, "the answers were not compared"},
		"no request":              {func(r *Result) { r.Parity.Requests = 0 }, "no request was compared"},
		"a request was not sent":  {func(r *Result) { r.Parity.NotAsked = 1 }, "1 of 3 requests were not sent to both binaries"},
		"an address is mute":      {func(r *Result) { r.Parity.Mute = []string{"192.0.2.1:443"} }, "192.0.2.1:443: not one request was answered there"},
		"answers differ":          {func(r *Result) { r.Parity.Breaking = 2 }, "2 of 3 requests are answered otherwise"},
	} {
		r := green()
		c.upset(&r)
		r.judge(true)
		if r.Green || !strings.Contains(strings.Join(r.Problems, "\n"), c.told) {
			t.Errorf("%s: green %v, told %q, want %q", name, r.Green, r.Problems, c.told)
		}
	}
	r := green()
	if r.judge(true); !r.Green {
		t.Errorf("not green: %q", r.Problems)
	}
	r.judge(true, part{role: answersNew, err: errors.New("the clone: signal: killed")})
	if r.Green || !strings.Contains(r.Problems[0], "answer new: the clone: signal: killed") {
		t.Errorf("green although a clone died: %q", r.Problems)
	}
	asked := Clients{Sent: 9, Answered: 9, Addresses: []string{"127.0.0.1:80"}}
	for told, c := range map[string]Clients{
		"play to the end: 127.0.0.1:80 did not answer":     {Silent: []string{"127.0.0.1:80"}},
		"play to the end: clients were to ask 1 addresses": {Addresses: []string{"127.0.0.1:80"}},
	} {
		r := green()
		r.Clients = asked.with(c)
		r.judge(true, part{role: playsBack, clients: asked}, part{role: playsOn, clients: c})
		if r.Green || !strings.Contains(strings.Join(r.Problems, "\n"), told) {
			t.Errorf("green %v, told %q, want %q", r.Green, r.Problems, told)
		}
	}
}

// A host that only passes streams on has no requests to compare, and is not red for that.
func TestWithoutHTTPThereIsNothingToCompare(t *testing.T) {
	r := green()
	r.Parity.Report, r.Clients = &parity.Report{}, Clients{Silent: []string{"127.0.0.1:5432"}}
	if r.judge(false); !r.Green {
		t.Errorf("red: %q", r.Problems)
	}
	if r.judge(true); r.Green {
		t.Error("green though nothing was compared")
	}
}

func TestRequireWantsAGreenResultOfThisPlan(t *testing.T) {
	dir := t.TempDir()
	plan := migrate.Plan{ID: "p", Fingerprint: "f"}
	refused := func(why string) {
		t.Helper()
		_, err := Require(dir, plan)
		var missing *MissingError
		if !errors.As(err, &missing) || !strings.Contains(err.Error(), why) {
			t.Errorf("%v, want %q", err, why)
		}
	}
	save := func(edit func(*Result)) {
		t.Helper()
		r := green()
		r.Green = true
		edit(&r)
		if err := Save(dir, r); err != nil {
			t.Fatal(err)
		}
	}
	refused("it was not rehearsed")
	save(func(r *Result) { r.Green, r.Problems = false, []string{"it broke"} })
	refused("it broke")
	save(func(r *Result) { r.Fingerprint = "g" })
	refused("another state of the host")
	save(func(r *Result) { r.Acts = r.Acts[:3] })
	refused("damaged")
	save(func(r *Result) { r.Problems = []string{"it broke"} })
	refused("damaged")
	save(func(*Result) {})
	if _, err := Require(dir, plan); err != nil {
		t.Error(err)
	}
}
