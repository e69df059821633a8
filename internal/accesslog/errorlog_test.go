package accesslog

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestParseErrorLine(t *testing.T) {
	at := time.Date(2026, 11, 3, 10, 15, 42, 0, time.Local)
	for line, want := range map[string]ErrorLine{
		`2026/11/03 10:15:42 [error] 812#814: *77 open() "/x" failed (2: No such file or directory), client: ::1`: {
			at, Error, 812, 814, 77, `open() "/x" failed (2: No such file or directory), client: ::1`, ""},
		`2026/11/03 10:15:42 [alert] 812#812: worker process 900 exited on signal 11`: {
			at, Alert, 812, 812, 0, `worker process 900 exited on signal 11`, ""},
		`2026/11/03 10:15:42 [emerg] 1#1: *not a connection`: {at, Emerg, 1, 1, 0, `*not a connection`, ""},
		`2026/11/03 10:15:42 [notice] 1#1: `:                 {at, Notice, 1, 1, 0, ``, ""},
	} {
		got, ok := ParseErrorLine([]byte(line))
		if diff := cmp.Diff(want, got); !ok || diff != "" {
			t.Errorf("%s: %v\n%s", line, ok, diff)
		}
	}
}

func TestLinesThatGoOnWithTheOneBefore(t *testing.T) {
	for _, line := range []string{
		"",
		"stack traceback:",
		"\t[C]: in function 'error'",
		"coroutine 0: [alert] 1#1: x",
		"2026/11/03 10:15:42 [fatal] 1#1: no level of nginx",
		"2026/11/03 10:15:42 [error] one#1: x",
		"2026/11/03 10:15:42 [error] 1#1",
		"2026/13/03 10:15:42 [error] 1#1: x",
		"nginx: [emerg] unknown directive",
	} {
		if l, ok := ParseErrorLine([]byte(line)); ok {
			t.Errorf("%q is taken for %+v", line, l)
		}
	}
}

func TestParseExit(t *testing.T) {
	for message, want := range map[string]Exit{
		"worker process 123 exited on signal 11":                {"worker process", 123, 11, false},
		"worker process 123 exited on signal 9 (core dumped)":   {"worker process", 123, 9, true},
		"cache manager process 5 exited on signal 6":            {"cache manager process", 5, 6, false},
		"new binary process 5 exited on signal 6 (core dumped)": {"new binary process", 5, 6, true},
	} {
		if got, ok := ParseExit(message); !ok || got != want {
			t.Errorf("%q: %v %+v", message, ok, got)
		}
	}
	for _, message := range []string{
		"worker process 123 exited with code 0",
		"signal 17 (SIGCHLD) received from 123",
		"worker process exited on signal 11",
		"worker process 123 exited on signal 11, client: x",
	} {
		if e, ok := ParseExit(message); ok {
			t.Errorf("%q is taken for %+v", message, e)
		}
	}
}

func TestEntriesOfManyLines(t *testing.T) {
	at := time.Date(2026, 11, 3, 10, 15, 42, 0, time.Local)
	var got []ErrorLine
	r := NewErrorReader(func(l ErrorLine) { got = append(got, l) })
	expect := func(want ...ErrorLine) {
		t.Helper()
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatal(diff)
		}
		got = nil
	}
	now := time.Now()
	r.Add([]byte("foreign"), now)
	r.Add([]byte("2026/11/03 10:15:42 [error] 8#8: *1 lua entry thread aborted: runtime error: a.lua:1: x"), now)
	r.Add([]byte("stack traceback:"), now)
	r.Add([]byte("\t[C]: in function 'error', client: ::1"), now)
	r.Settle(now.Add(moment / 2))
	expect()
	r.Add([]byte("2026/11/03 10:15:42 [warn] 9#9: one line"), now.Add(moment/2))
	expect(ErrorLine{at, Error, 8, 8, 1, "lua entry thread aborted: runtime error: a.lua:1: x", "stack traceback:\n\t[C]: in function 'error', client: ::1"})
	r.Settle(now.Add(moment))
	expect()
	r.Settle(now.Add(2 * moment))
	expect(ErrorLine{at, Warn, 9, 9, 0, "one line", ""})
	r.Add([]byte("of an entry that was handed over"), now)
	if r.Foreign() != 2 {
		t.Errorf("%d foreign lines", r.Foreign())
	}
	r.Add([]byte("2026/11/03 10:15:43 [warn] 9#9: long"), now)
	for range 10_000 {
		r.Add([]byte("line after line"), now)
	}
	r.Flush()
	if len(got) != 1 || len(got[0].More) > maxMore || len(got[0].More) < maxMore/2 || !got[0].Time.Equal(at.Add(time.Second)) {
		t.Errorf("%d entries, %d bytes", len(got), len(got[0].More))
	}
}
