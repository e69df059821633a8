package analysis

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

var probesBegan = time.Unix(1_700_000_000, 0)

// probesTold are tries a second apart, in letters: o and n are right answers of the old and the new binary,
// u of nobody known; O, N and U differ, with X and Y grave ones of the new binary and of nobody known; - is lost.
func probesTold(tries string, before Count) (Finding, *ProbeTries) {
	p := NewProbeTries("GET /", before)
	now := probesBegan
	for _, c := range tries {
		now = now.Add(time.Second)
		try := ProbeTry{At: now}
		switch c {
		case 'o', 'O':
			try.By = OldSide
		case 'n', 'N', 'X':
			try.By = NewSide
		}
		switch c {
		case '-':
			try.Lost = "refused"
		case 'O', 'N', 'U':
			try.Differs = "body differs"
		case 'X', 'Y':
			try.Differs, try.Grave = "500 instead of 200", true
		}
		p.Add(try)
	}
	return p.Finding(now), p
}

func TestWhatProbesSay(t *testing.T) {
	for _, c := range []struct {
		tries  string
		before Count
		want   State
	}{
		{tries: "", want: TooLittle},
		{tries: "ooooooo", want: TooLittle}, // nothing is known of the new one
		{tries: "nnn", want: Quiet},
		{tries: "nnnn-nnnn", want: Suspect},
		{tries: "nnn-nn-nn", want: Alarm},
		{tries: "nnn-" + strings.Repeat("n", 100) + "-", want: Suspect}, // more than a minute apart
		{tries: "nnn-" + strings.Repeat("n", 70) + "-" + strings.Repeat("n", 70) + "-", want: Alarm}, // three in five minutes
		{tries: "-nnnnn" + strings.Repeat("n", 301), want: Quiet},                                    // forgotten
		{tries: "nn-nnn--", before: Count{Bad: 1, Total: 4}, want: Suspect},                          // it lost some before, too
		{tries: "n------", before: Count{Bad: 1, Total: 4}, want: Alarm},
		{tries: "onNoN", want: Suspect},
		{tries: "onNoNN", want: Alarm},
		{tries: "oooonNNNNNNNN", want: Suspect}, // the old one has not been heard since: both may differ now
		{tries: "oNONONONONON", want: Suspect},  // the old one does the same
		{tries: "nnnnXXXX", want: Suspect},
		{tries: "nnnnXXXXX", want: Alarm},
		{tries: "uuuuYYYYY", want: Alarm},
		{tries: "nnnnNNNNNNNNNN", want: Suspect}, // parked: it may be new content
		{tries: "nXnXnXnXnnXn", want: Alarm},     // every other one, but never five in a row
		{tries: "onNonNonNonNonNon", want: Alarm},
	} {
		if f, _ := probesTold(c.tries, c.before); f.State != c.want {
			t.Errorf("%s: %q, want %q: %s", c.tries, f.State, c.want, f.Words)
		}
	}
	f, _ := probesTold("ooXoXXo", Count{})
	if want := "GET /: 500 instead of 200, from the new generation (3 of 3 tries), the old answers as before (4 of 4)"; f.Words != want || f.State != Alarm {
		t.Errorf("%s: %q, want %q", f.State, f.Words, want)
	}
	if f.Before != (Count{0, 4}) || f.After != (Count{3, 3}) {
		t.Errorf("counts %v, %v", f.Before, f.After)
	}
}

func TestQUICLossesOfTwoGenerationsAreNobodys(t *testing.T) {
	_, p := probesTold("n---------", Count{})
	p.Share(true)
	if f := p.Finding(probesBegan); f.State != Suspect || !strings.Contains(f.Words, "quic-bpf") {
		t.Errorf("%s: %s", f.State, f.Words)
	}
}

func TestWhatTheOldBinaryDoesTooIsForgiven(t *testing.T) {
	f, p := probesTold("ooNNNNOO", Count{})
	p.Forgive()
	p.Add(ProbeTry{At: probesBegan.Add(9 * time.Second), By: OldSide})
	if g := p.Finding(probesBegan.Add(9 * time.Second)); f.State != Suspect || g.State != Quiet || g.After.Bad != 0 {
		t.Errorf("%s, then %s: %s", f.State, g.State, g.Words)
	}
}

// Whatever is seen: only what differs or is lost speaks against the new binary, one single event never
// raises an alarm, the old binary's answers alone never do, and one more bad answer never makes an
// alarm go away.
func TestProbeRulesKeepTheirWord(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		tries := string(rapid.SliceOfN(rapid.SampledFrom([]rune("onuONUXY-")), 0, 80).Draw(t, "tries"))
		f, _ := probesTold(tries, Count{})
		bad := len(strings.Trim(strings.Map(func(r rune) rune {
			if strings.ContainsRune("onuO", r) {
				return -1
			}
			return r
		}, tries), ""))
		switch {
		case bad == 0 && (f.State == Suspect || f.State == Alarm):
			t.Fatalf("%s of nothing: %s", f.State, f.Words)
		case bad == 1 && f.State == Alarm:
			t.Fatalf("alarm of one: %s", f.Words)
		case bad > 0 && f.State == Quiet && strings.ContainsAny(tries, "NUXY-"):
			t.Fatalf("quiet in spite of %d: %s", bad, f.Words)
		case f.Words == "":
			t.Fatal("no words")
		}
		if f.State == Alarm {
			if g, _ := probesTold(tries+"--", Count{}); g.State != Alarm {
				t.Fatalf("alarm gone by two losses more: %s", g.Words)
			}
		}
	})
}

func TestProbeTriesStayBounded(t *testing.T) {
	p := NewProbeTries("GET /", Count{})
	for i := range 3 * probeKept {
		p.Add(ProbeTry{At: probesBegan.Add(time.Duration(i) * time.Millisecond), By: NewSide})
	}
	if len(p.tries) > probeKept {
		t.Errorf("%d tries are kept", len(p.tries))
	}
	if f := p.Finding(probesBegan.Add(time.Minute)); f.State != Quiet || !strings.Contains(f.Words, fmt.Sprint(3*probeKept)) {
		t.Errorf("%s: %s", f.State, f.Words)
	}
}
