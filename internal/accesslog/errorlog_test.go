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
