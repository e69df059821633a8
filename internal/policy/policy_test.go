package policy

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"graft/internal/analysis"
)

const example = `gates:
  overlap: 10m
  park: 2d
alpha: 0.005
signals:
  4xx: {action: rollback, margin: 3}
  memory:
    action: ignore
  5xx: {required: true}
blackout:
  - name: nightly batch
    days: [mon, Tuesday]
    from: 23:30
    to: "01:30"
    zone: Europe/Berlin
  - date: 2026-11-27
    from: 00:00
    to: 24:00
degraded: proceed
`

func TestWhatAFileLeavesOutIsAsEver(t *testing.T) {
	p, err := Parse("policy.yaml", []byte(example))
	if err != nil {
		t.Fatal(err)
	}
	want := Defaults()
	want.Gates = Gates{Overlap: Duration(10 * time.Minute), Park: Duration(48 * time.Hour)}
	want.Alpha, want.Degraded = 0.005, Proceed
	want.Signals = map[analysis.Signal]Signal{
		analysis.Errors4xx: {Action: analysis.Rollback, Margin: 3}, analysis.Memory: {Action: analysis.Ignore}, analysis.Errors5xx: {Required: true},
	}
	want.Blackout = []Window{
		{Name: "nightly batch", Days: []Day{Day(time.Monday), Day(time.Tuesday)}, From: 23*60 + 30, To: 90, Zone: "Europe/Berlin"},
		{Date: "2026-11-27", To: 24 * 60},
	}
	if diff := cmp.Diff(want, p); diff != "" {
		t.Error(diff)
	}
	gate := p.Gate(time.Minute)
	if gate.Action(analysis.Errors4xx) != analysis.Rollback || gate.Action(analysis.Memory) != analysis.Ignore || gate.Action(analysis.Errors5xx) != analysis.Rollback {
		t.Errorf("actions %v", gate.Actions)
	}
	calendar, err := p.Blackouts()
	if err != nil {
		t.Fatal(err)
	}
	if !calendar.Covers(time.Date(2026, 11, 23, 22, 45, 0, 0, time.UTC)) || calendar.Covers(time.Date(2026, 11, 23, 23, 45, 0, 0, time.UTC).Add(time.Hour)) {
		t.Error("23:45 of a Monday in Berlin is 22:45 of UTC, and 01:45 is past it")
	}
	if part, err := Parse("part", []byte("gates: {park: 1h}\n")); err != nil || part.Gates.Overlap != Defaults().Gates.Overlap {
		t.Errorf("one key of two: %v, %v", part.Gates, err)
	}
	if empty, err := Parse("empty", []byte("# nothing\n")); err != nil || cmp.Diff(Defaults(), empty) != "" {
		t.Errorf("an empty file: %v, %v", empty, err)
	}
}

func TestMistakesAreShownWhereTheyAre(t *testing.T) {
	for name, c := range map[string]struct{ text, where, says string }{
		"unknown key":          {"gates:\n  overlap: 5m\n  parc: 24h\n", "p.yaml:3:3:", `unknown key "parc": did you mean park?`},
		"unknown key, far":     {"colour: red\n", "p.yaml:1:1:", `unknown key "colour"`},
		"no duration":          {"gates:\n  park: 24\n", "p.yaml:2:9:", `"24" is no duration: want one as`},
		"no number":            {"alpha: much\n", "p.yaml:1:8:", "alpha: want a number, as alpha: 0.01"},
		"no whole number":      {"minimum: {requests: many}\n", "p.yaml:1:21:", "minimum.requests: want a whole number, as requests: 100"},
		"too large a number":   {"minimum: {requests: 99999999999999999999}\n", "p.yaml:1:21:", "minimum.requests: want a smaller number"},
		"no truth":             {"signals: {5xx: {required: maybe}}\n", "p.yaml:1:", "signals.5xx.required: want true or false"},
		"one for many":         {"gates: 5m\n", "p.yaml:1:8:", "gates: want keys with values, as gates: {overlap: 5m"},
		"no list":              {"blackout:\n  from: 01:00\n  to: 02:00\n", "p.yaml:2:", "blackout: want a list, as blackout: [{"},
		"a list for a word":    {"undetermined: [hold]\n", "p.yaml:1:15:", "undetermined: want one word or text, as undetermined: hold"},
		"an action alone":      {"signals: {5xx: warn}\n", "p.yaml:1:16:", "signals.5xx: want keys with values, as signals: {5xx: {action"},
		"a negative time":      {"gates: {park: -5m}\n", "p.yaml:1:15:", "-5m is negative"},
		"too many hours":       {"gates: {park: 9999999h}\n", "p.yaml:1:15:", "9999999h is too long"},
		"too many days":        {"gates: {park: 40000d}\n", "p.yaml:1:15:", "40000d is too long"},
		"no unit":              {"gates: {park: -5x}\n", "p.yaml:1:15:", "is no duration"},
		"no probability":       {"margin: 2\nalpha: 7\n", "p.yaml:2:8:", "7 is no probability"},
		"no end":               {"undetermined: prceed\n", "p.yaml:1:15:", `"prceed": want hold, proceed or rollback: did you mean proceed?`},
		"unknown signal":       {"signals:\n  5xx: {action: warn}\n  slow-p96: {action: warn}\n", "p.yaml:3:", "did you mean slow-p9"},
		"unknown action":       {"signals:\n  5xx: {action: warm}\n", "p.yaml:2:", "did you mean warn?"},
		"a margin of a count":  {"signals:\n  memory: {margin: 2}\n", "p.yaml:2:", "memory has no margin"},
		"no day":               {"blackout:\n  - days: [mon, someday]\n", "p.yaml:2:17:", `"someday" is no day`},
		"no time":              {"blackout:\n  - from: 25:00\n", "p.yaml:2:11:", `"25:00" is no time of the day`},
		"no time at all":       {"blackout:\n  - {from: 03:00, to: 03:00}\n", "p.yaml:2:", "both 03:00"},
		"a day's end":          {"blackout:\n  - {from: 24:00, to: 03:00}\n", "p.yaml:2:", "end of a day"},
		"always black":         {"alpha: 0.1\nblackout:\n  - {from: 06:00, to: 24:00}\n  - {to: 06:00}\n", "p.yaml:3:", "every minute of the week"},
		"never to end":         {"finish_only:\n  - date: 2020-01-01\n  - date: 2020-02-01\n", "p.yaml:2:", "all its dates are past"},
		"no zone":              {"blackout:\n  - zone: Europe/Atlantis\n", "p.yaml:2:", "Europe/Atlantis"},
		"a list for a time":    {"calm: [1m]\n", "p.yaml:1:7:", "want one value"},
		"twice the same":       {"alpha: 0.1\nalpha: 0.2\n", "p.yaml:2:1:", "already defined"},
		"no YAML":              {"gates: [\n", "p.yaml:1:", ""},
		"required and ignored": {"signals:\n  5xx: {action: ignore, required: true}\n", "p.yaml:2:", "both required and ignored"},
		"no value":             {"alpha: 0.1\ngates:\nmargin: 2\n", "p.yaml:2:", "a key without a value"},
		"two documents":        {"alpha: 0.1\n---\nalpha: 0.2\n", "policy p.yaml:", "second document"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Parse("p.yaml", []byte(c.text))
			if err == nil {
				t.Fatal("taken")
			}
			if text := err.Error(); !strings.Contains(text, c.where) || !strings.Contains(text, c.says) || c.where != "policy p.yaml:" && !strings.Contains(text, "^") {
				t.Errorf("want %s %s and a caret:\n%s", c.where, c.says, text)
			}
		})
	}
}

// What graft policy shows is a policy file, with the same meaning.
func TestAPolicyReadsBackFromWhatIsShown(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ends := rapid.SampledFrom([]End{Hold, Proceed, GiveUp})
		p := Defaults()
		p.Gates.Park = Duration(rapid.Int64Range(0, 1e6).Draw(t, "park") * int64(time.Second))
		p.Undetermined, p.Degraded = ends.Draw(t, "undetermined"), ends.Draw(t, "degraded")
		p.Alpha, p.Margin = rapid.Float64Range(1e-6, 0.5).Draw(t, "alpha"), rapid.Float64Range(1, 10).Draw(t, "margin")
		p.Signals = map[analysis.Signal]Signal{
			rapid.SampledFrom(analysis.Signals()).Draw(t, "signal"): {Action: rapid.SampledFrom([]analysis.Action{analysis.Rollback, analysis.Warn}).Draw(t, "action"), Required: rapid.Bool().Draw(t, "required")},
		}
		minutes := rapid.IntRange(0, 1439)
		for range rapid.IntRange(0, 2).Draw(t, "windows") {
			p.Blackout = append(p.Blackout, Window{
				Name: rapid.SampledFrom([]string{"", "a: b", "# c", "'"}).Draw(t, "name"), Days: []Day{Day(rapid.IntRange(0, 6).Draw(t, "day"))},
				From: TimeOfDay(minutes.Draw(t, "from")), To: TimeOfDay(rapid.IntRange(1, 1440).Draw(t, "to")), Zone: rapid.SampledFrom([]string{"", "Asia/Kathmandu"}).Draw(t, "zone"),
			})
		}
		if p.Check() != nil {
			t.Skip("from is to")
		}
		p = p.Effective()
		text, err := p.YAML()
		if err != nil {
			t.Fatal(err)
		}
		got, err := Parse("shown", []byte(text))
		if err != nil {
			t.Fatalf("%v\n%s", err, text)
		}
		if diff := cmp.Diff(p, got); diff != "" {
			t.Fatalf("%s\n%s", text, diff)
		}
		data, err := json.Marshal(p)
		if err != nil {
			t.Fatal(err)
		}
		var back Policy
		if err := json.Unmarshal(data, &back); err != nil || cmp.Diff(p, back) != "" {
			t.Fatalf("the journal's %s: %v", data, err)
		}
	})
}

func TestTheStricterEndWins(t *testing.T) {
	for _, c := range []struct{ a, b, want End }{{Hold, Proceed, Hold}, {Proceed, Proceed, Proceed}, {GiveUp, Proceed, GiveUp}, {Hold, GiveUp, GiveUp}} {
		if got := Stricter(c.a, c.b); got != c.want || Stricter(c.b, c.a) != c.want {
			t.Errorf("%s and %s: %s", c.a, c.b, got)
		}
	}
}

func TestTheDaysEndIsShownAsItIsWritten(t *testing.T) {
	p, err := Parse("p.yaml", []byte("blackout:\n  - {days: [sat], from: 22:00, to: 24:00}\nfinish_only:\n  - {days: [sun]}\n"))
	if err != nil {
		t.Fatal(err)
	}
	text, err := p.YAML()
	if err != nil || strings.Count(text, "24:00") != 2 {
		t.Errorf("%v\n%s", err, text)
	}
	c, err := p.Blackouts()
	if err != nil || !c.Covers(time.Date(2026, 11, 28, 23, 59, 0, 0, time.UTC)) || c.Covers(time.Date(2026, 11, 29, 0, 0, 0, 0, time.UTC)) {
		t.Errorf("%v: %v", c, err)
	}
}
