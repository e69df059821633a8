package cli_test

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"graft/internal/nginxtest"
)

// severities are the words that lines of a plan begin with.
func severities(plan string) (list []string) {
	for line := range strings.Lines(plan) {
		if first, _, found := strings.Cut(line, " "); found && slices.Contains([]string{"blocker", "warning", "note"}, first) {
			list = append(list, first)
		}
	}
	return list
}

func TestAPlanFitsOneScreenTheWorstFirst(t *testing.T) {
	h := newHost(t, nginxtest.Options{})
	h.edit("worker_processes 2;", "worker_processes 2; # edited since")
	plan := h.must(0, "plan", "--to", nginxtest.Release(t, "1.26.3").Path).stdout
	if lines := strings.Count(plan, "\n"); lines > 45 {
		t.Errorf("%d lines:\n%s", lines, plan)
	}
	for line := range strings.Lines(plan) {
		if n := utf8.RuneCountInString(strings.TrimRight(line, "\n")); n > 110 && !strings.Contains(line, h.inst.Prefix) {
			t.Errorf("%d characters wide: %s", n, line)
		}
	}
	for _, want := range []string{"nginx 1.22.1 → nginx 1.26.3", "warning  hardening-lost", "USR2 to old master", "in order", "Nothing was changed"} {
		if !strings.Contains(plan, want) {
			t.Errorf("%q is not told:\n%s", want, plan)
		}
	}

	h.edit("sendfile on;", "sendfile on; no_such_directive on;")
	plan = h.must(4, "plan", "--to", nginxtest.Release(t, "1.26.3").Path).stdout
	order := severities(plan)
	rank := map[string]int{"blocker": 0, "warning": 1, "note": 2}
	if len(order) < 3 || order[0] != "blocker" || !slices.IsSortedFunc(order, func(a, b string) int { return rank[a] - rank[b] }) {
		t.Errorf("order %v:\n%s", order, plan)
	}
	if words := strings.Join(strings.Fields(plan), " "); !strings.Contains(words, `unknown directive "no_such_directive" in `+h.inst.Conf) || !strings.Contains(words, "Blocked") {
		t.Errorf("the blocker is not told whole:\n%s", plan)
	}
	// All of it where it is asked for.
	whole := h.must(4, "plan", "--to", nginxtest.Release(t, "1.26.3").Path, "-v").stdout
	if !strings.Contains(whole, "ok       same-binary") || strings.Contains(whole, "…\n") {
		t.Errorf("-v leaves something out:\n%s", whole)
	}
}

func TestAPlanSaysWhatTheGatesWillNotSee(t *testing.T) {
	h := newHost(t, nginxtest.Options{})
	conf := h.read(h.inst.Conf)
	conf = regexp.MustCompile(`(?m)^error_log .*$`).ReplaceAllString(conf, "error_log stderr;")
	if err := os.WriteFile(h.inst.Conf, []byte(conf), 0o644); err != nil {
		t.Fatal(err)
	}
	words := strings.Join(strings.Fields(h.graft("plan", "--to", nginxtest.Release(t, "1.26.3").Path).stdout), " ")
	for _, want := range []string{"no gate can pass: log errors to a file", "cannot be watched: error_log stderr"} {
		if !strings.Contains(words, want) {
			t.Errorf("%q is not told:\n%s", want, words)
		}
	}
}
