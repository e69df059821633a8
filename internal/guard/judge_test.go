package guard

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"graft/internal/nginx"
	"graft/internal/pkgmanager"
	"graft/internal/procfs"
)

// healthy is a parked pair of masters with nothing to tell.
func healthy() Sight {
	return Sight{
		View: View{
			Old:    Side{Master: nginx.Process{PID: 10}},
			New:    Side{Master: nginx.Process{PID: 20}, Workers: []nginx.Process{{PID: 21}, {PID: 22}}},
			Parked: true,
		},
		Host: Host{Binary: "/usr/sbin/nginx", Backup: "/state/backup/nginx", PidFile: "/run/nginx.pid", Workers: 2},
	}
}

func workers(n int) []nginx.Process {
	list := make([]nginx.Process, n)
	for i := range list {
		list[i] = nginx.Process{PID: 11 + i}
	}
	return list
}

func TestEachFindingHasItsConsequence(t *testing.T) {
	rotated := Stale{Master: 10, PIDs: []int{10, 11}, Path: "/l/access.log", At: "/l/access.log.1", From: procfs.FileID{Inode: 1}, To: procfs.FileID{Inode: 2}}
	for _, tt := range []struct {
		name    string
		change  func(*Sight)
		id      string // empty: nothing is found
		follows Consequence
		words   string // of evidence and remedy
	}{
		{"a healthy park", func(*Sight) {}, "", "", ""},
		{"a healthy overlap", func(s *Sight) { s.Parked, s.Old.Workers = false, workers(2) }, "", "", ""},
		{"a socket that nobody accepts on, parked", func(s *Sight) { s.Hanging = "127.0.0.1:80 hangs" }, Reuseport, Turn, "127.0.0.1:80 hangs"},
		{"the same while the old workers accept", func(s *Sight) { s.Parked, s.Old.Workers, s.Hanging = false, workers(2), "it hangs" }, Reuseport, Warn, "kill -HUP 20"},
		{"the same on the way back", func(s *Sight) { s.Hanging, s.Back = "it hangs", true }, "", "", ""},
		{"the same after QUIT", func(s *Sight) { s.Hanging, s.Quitting = "it hangs", true }, "", "", ""},
		{"the parked master's workers are back", func(s *Sight) { s.Parked, s.CameBack, s.Old.Workers = false, true, workers(2) }, HupOld, Warn, "kill -HUP 20"},
		{"more workers in the overlap", func(s *Sight) { s.Parked, s.Old.Workers = false, workers(4) }, HupOld, Warn, "runs 4 workers, 2 before"},
		{"sent by a unit", func(s *Sight) {
			s.Parked, s.Old.Workers, s.Host.Unit, s.Host.Reload = false, workers(4), "nginx.service", "ExecReload=/bin/kill -HUP $MAINPID (/u:7)"
		}, HupOld, Warn, "nginx.service reloads with ExecReload=/bin/kill -HUP $MAINPID (/u:7)"},
		{"a rotated log", func(s *Sight) { s.Stale = []Stale{rotated} }, LogRotation, Act, "kill -USR1 10"},
		{"the same on the way back", func(s *Sight) { s.Stale, s.Back = []Stale{rotated}, true }, LogRotation, Act, "process 10, 11 writes"},
		{"one for which USR1 was sent", func(s *Sight) { again := rotated; again.Told = true; s.Stale = []Stale{again} }, LogRotation, Warn, "did not help"},
		{"one that nothing created anew", func(s *Sight) { gone := rotated; gone.To = procfs.FileID{}; s.Stale = []Stale{gone} }, LogRotation, Warn, "there is none"},
		{"an overwritten binary", func(s *Sight) {
			s.Foreign = &Foreign{Owner: &pkgmanager.Owner{Manager: pkgmanager.Dpkg, Package: "nginx-core", Version: "1.22.1-9"}}
		}, Package, Halt, "apt-mark hold nginx-core"},
		{"one of rpm's", func(s *Sight) {
			s.Foreign = &Foreign{Owner: &pkgmanager.Owner{Manager: pkgmanager.RPM, Package: "nginx-core", Version: "1.20"}}
		}, Package, Halt, "dnf versionlock add nginx-core"},
		{"a file that is not the package's", func(s *Sight) {
			s.Foreign = &Foreign{Owner: &pkgmanager.Owner{Manager: pkgmanager.Dpkg, Package: "nginx", Version: "1", DivertedTo: "/usr/sbin/nginx.graft-distrib"}}
		}, Package, Halt, "whose own file goes to /usr/sbin/nginx.graft-distrib: it is not the package's"},
		{"nobody knows whose", func(s *Sight) { s.Foreign = &Foreign{Unknown: errors.New("no status file")} }, Package, Halt, "whose it is cannot be told: no status file"},
		{"a removed binary", func(s *Sight) { s.Foreign = &Foreign{Missing: true} }, Package, Halt, "no file at /usr/sbin/nginx"},
		{"an overwritten binary on the way back", func(s *Sight) { s.Foreign, s.Back = &Foreign{}, true }, "", "", ""},
		{"an edited configuration", func(s *Sight) { s.Drift.Changes = []Change{{Path: "/e/nginx.conf", How: "edited"}} }, ConfigDrift, Warn, "the new master 20 has not read it"},
		{"one that is in effect", func(s *Sight) { s.Drift = Drift{Changes: []Change{{Path: "/e/a", How: "new"}}, Loaded: true} }, ConfigDrift, Warn, "was reloaded and serves it"},
		{"one that the old binary refuses", func(s *Sight) {
			s.Drift = Drift{Changes: []Change{{Path: "/e/a", How: "new"}}, New: Trial{Done: true, Took: true}, Old: Trial{Done: true, Said: "unknown directive"}}
		}, ConfigDrift, Warn, "-t of the old binary refuses it, so that after the finish a rollback would fail: unknown directive"},
		{"one that could not be tried", func(s *Sight) {
			s.Drift = Drift{Changes: []Change{{Path: "/e/a", How: "new"}}, New: Trial{Said: "no namespaces"}}
		}, ConfigDrift, Warn, "whether the new binary takes it is not known: no namespaces"},
		{"one that would let go of sockets", func(s *Sight) { s.Drift.Loses = []string{"2 of the 4 reuseport sockets"} }, Reuseport, Warn, "2 of the 4 reuseport sockets"},
		{"a guard that cannot look", func(s *Sight) { s.Blind = []Blind{{LogRotation, errors.New("permission denied")}} }, LogRotation, Warn, "permission denied"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			sight := healthy()
			tt.change(&sight)
			found := Judge(sight)
			if tt.id == "" {
				if len(found) > 0 {
					t.Errorf("found %+v", found)
				}
				return
			}
			if len(found) != 1 || found[0].ID != tt.id || found[0].Follows != tt.follows || found[0].Severity == "" || found[0].Remedy == "" {
				t.Fatalf("%+v, want %s, %s", found, tt.id, tt.follows)
			}
			if !strings.Contains(found[0].Evidence+found[0].Remedy, tt.words) {
				t.Errorf("%q is not told: %+v", tt.words, found[0])
			}
			if (found[0].Stale != nil) != (tt.follows == Act) {
				t.Errorf("whom to tell: %+v", found[0].Stale)
			}
		})
	}
}

func TestTheLedgerTellsOnceAndWhenItIsOver(t *testing.T) {
	var l Ledger
	first := time.Unix(100, 0)
	a, b := find("a", Warn, "do", "seen"), find("b", Warn, "do", "seen")
	for n, step := range []struct {
		found      []Finding
		told, over string
	}{
		{nil, "", ""},
		{[]Finding{a}, "a", ""},
		{[]Finding{a, b}, "b", ""},
		{[]Finding{b, a}, "", ""},
		{[]Finding{find("a", Warn, "do", "seen otherwise"), b}, "a", ""},
		{[]Finding{a}, "a", "b"},
		{nil, "", "a"},
		{nil, "", ""},
	} {
		told, over := l.Update(first.Add(time.Duration(n)*time.Second), step.found)
		if ids(told) != step.told || ids(over) != step.over {
			t.Errorf("step %d: told %q, over %q; want %q, %q", n, ids(told), ids(over), step.told, step.over)
		}
		for _, f := range l.Open() {
			if f.ID == "a" && !f.Since.Equal(first.Add(time.Second)) {
				t.Errorf("step %d: since %s, want when it was first seen", n, f.Since)
			}
		}
	}
}

func ids(found []Finding) string {
	var list []string
	for _, f := range found {
		list = append(list, f.ID)
	}
	return strings.Join(list, " ")
}

func TestRotatedLogsAreKnownByNameAndInode(t *testing.T) {
	logs := map[string]procfs.FileID{"/l/access.log": {Inode: 1}, "/m/access.log": {Inode: 4}, "/l/error.log": {Inode: 2}, "/l/access.log.json": {Inode: 3}}
	file := func(inode uint64, path string) procfs.File {
		return procfs.File{FileID: procfs.FileID{Inode: inode}, Path: path, Writing: true}
	}
	for _, tt := range []struct {
		name  string
		files []procfs.File
		want  []string
	}{
		{"all current", []procfs.File{file(1, "/l/access.log"), file(2, "/l/error.log"), file(3, "/l/access.log.json"), file(4, "/m/access.log")}, nil},
		{"two of one name in two directories", []procfs.File{file(9, "/m/access.log.1"), file(8, "/l/access.log.1")}, []string{"/l/access.log", "/m/access.log"}},
		{"numbered", []procfs.File{file(9, "/l/access.log.1"), file(2, "/l/error.log"), file(3, "/l/access.log.json")}, []string{"/l/access.log"}},
		{"the longer name is another log", []procfs.File{file(1, "/l/access.log"), file(9, "/l/access.log.json.1")}, []string{"/l/access.log.json"}},
		{"dated, in another directory", []procfs.File{file(9, "/old/error.log-20260101")}, []string{"/l/error.log"}},
		{"dated before the extension", []procfs.File{file(9, "/l/error-20260101.log")}, []string{"/l/error.log"}},
		{"a log of another configuration", []procfs.File{file(9, "/l/stream.log")}, nil},
		{"a file that it keeps beside the current one", []procfs.File{file(1, "/l/access.log"), file(4, "/m/access.log"), file(9, "/l/access.log.1")}, nil},
		{"a log of that name elsewhere", []procfs.File{file(9, "/srv/access.log")}, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var got []string
			for _, s := range addStale(nil, 10, 11, logs, tt.files) {
				got = append(got, s.Path)
			}
			if !slices.Equal(got, tt.want) {
				t.Errorf("%v, want %v", got, tt.want)
			}
		})
	}
}
