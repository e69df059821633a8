package cli

import (
	"fmt"
	"io/fs"
	"net"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"graft/internal/migrate"
	"graft/internal/systemd"
)

func TestHowARunEndedHasItsCodeAndItsReason(t *testing.T) {
	contradicted := &migrate.UnitSeen{Unit: systemd.Unit{Name: "nginx.service"}, Problem: "master 7 serves, but systemd has 6", Help: "reload by nginx -s reload"}
	for name, tt := range map[string]struct {
		outcome migrate.Outcome
		code    Code
		says    []string
		hint    string
	}{
		"rolled back":     {migrate.Outcome{Phase: migrate.RolledBack, Reason: "workers crashed"}, CodeRolledBack, []string{"rolled back: workers crashed"}, "the old binary serves"},
		"untouched":       {migrate.Outcome{Phase: migrate.RolledBack, Reason: "no room", Untouched: true}, CodeFailed, []string{"no room"}, "nothing was changed"},
		"halted":          {migrate.Outcome{Phase: migrate.Halted, Reason: "both are gone"}, CodeHalted, []string{"halted: both are gone"}, "graft history"},
		"halted by guard": {migrate.Outcome{Phase: migrate.Halted, Reason: "another file", Remedy: "(1) go on"}, CodeHalted, []string{"halted: another file"}, "(1) go on"},
		"held":            {migrate.Outcome{Phase: migrate.Overlap, Held: true, Reason: "the gate could not decide", Why: []string{"3 requests"}}, CodeInconclusive, []string{"could not decide", "3 requests"}, "--undetermined proceed"},
		"held, blind":     {migrate.Outcome{Phase: migrate.Overlap, Held: true, Blind: true, Reason: "the gate could not decide"}, CodeInconclusive, nil, "log errors to a file"},
		"interrupted":     {migrate.Outcome{Phase: migrate.Parked, Interrupted: true}, CodeInterrupted, []string{"parked"}, "graft resume"},
		"systemd differs": {migrate.Outcome{Phase: migrate.Finished, Unit: contradicted}, CodeInconclusive, []string{"finished; master 7"}, "nginx -s reload"},
		"rolled back, and systemd differs": {migrate.Outcome{Phase: migrate.RolledBack, Reason: "workers crashed", Unit: contradicted}, CodeInconclusive,
			[]string{"rolled-back: workers crashed", "master 7 serves"}, "nginx -s reload"},
	} {
		err := classify(outcomeError(tt.outcome))
		if err.Code != tt.code || !strings.Contains(err.Hint, tt.hint) {
			t.Errorf("%s: exit %d with the hint %q", name, err.Code, err.Hint)
		}
		for _, want := range tt.says {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %q does not say %q", name, err, want)
			}
		}
	}
}

func TestFinishTellsWhatLeadsToThePark(t *testing.T) {
	for _, tt := range []struct {
		phase, goal migrate.Phase
		want        string
	}{
		{migrate.Planned, "", "graft resume --until parked"},
		{migrate.Swapped, "", "graft resume --until parked"},
		{migrate.Overlap, "", "graft resume --until parked"},
		{migrate.Overlap, migrate.RolledBack, "on its way back"},
		{migrate.RolledBack, migrate.RolledBack, "graft plan"},
		{migrate.Halted, migrate.RolledBack, "graft status"},
	} {
		if got := waysToPark(migrate.Status{Phase: tt.phase, Goal: tt.goal}); !strings.Contains(got, tt.want) {
			t.Errorf("%s, goal %q: %q, want %q", tt.phase, tt.goal, got, tt.want)
		}
	}
}

func TestAStateDirectoryThatIsClosedIsToldApartFromOtherFiles(t *testing.T) {
	a := &app{stateDir: "/var/lib/graft"}
	socket := &net.OpError{Op: "dial", Net: "unix", Addr: &net.UnixAddr{Name: "/var/lib/graft/runner.sock", Net: "unix"}, Err: unix.EACCES}
	for _, tt := range []struct {
		err  error
		hint bool
	}{
		{&fs.PathError{Op: "mkdir", Path: "/var/lib/graft", Err: unix.EACCES}, true},
		{&fs.PathError{Op: "open", Path: "/var/lib/graft/lock", Err: unix.EACCES}, true},
		{&fs.PathError{Op: "mkdir", Path: "/var/lib", Err: unix.EACCES}, true},
		{socket, true},
		{&fs.PathError{Op: "open", Path: "/var/lib/graft/lock", Err: unix.ENOSPC}, false},
		{&fs.PathError{Op: "open", Path: "/var/lib/graftage", Err: unix.EACCES}, false},
		{&fs.PathError{Op: "open", Path: "plan.json", Err: unix.EACCES}, false},
		{unix.EACCES, false},
	} {
		e := a.ofStateDir(classify(fmt.Errorf("graft: %w", tt.err)))
		if got := strings.Contains(e.Hint, "--state-dir or GRAFT_STATE_DIR"); got != tt.hint || e.Code != CodeFailed {
			t.Errorf("%v: hint %q", tt.err, e.Hint)
		}
	}
}
