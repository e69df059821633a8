package migrate

import (
	"encoding/json"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"graft/internal/artifact"
	"graft/internal/nginx"
	"graft/internal/nginx/conf"
	"graft/internal/preflight"
	"graft/internal/procfs"
)

// site is what a plan is made on: an instance as inspect found it, with its binary on disk.
type site struct {
	proc     procfs.FS
	boot     string // the file that names the boot
	instance nginx.Instance
	target   artifact.Artifact
}

func newSite(t *testing.T) site {
	t.Helper()
	dir := t.TempDir()
	binary, boot := filepath.Join(dir, "nginx"), filepath.Join(dir, "sys/kernel/random/boot_id")
	write(t, binary, "the old binary")
	write(t, boot, "first\n")
	return site{
		proc: procfs.New(dir), boot: boot,
		instance: nginx.Instance{
			Master:  nginx.Process{PID: 10, StartTime: 100},
			Workers: []nginx.Worker{{Process: nginx.Process{PID: 11, StartTime: 101}, Role: nginx.RoleWorker}},
			Exe:     nginx.Exe{Path: binary, FileID: procfs.FileID{Dev: 1, Inode: 2}, SHA256: "aa"},
			Argv:    []string{binary, "-c", "/etc/nginx.conf"}, Cwd: "/",
			PidFile: nginx.PidFile{Path: "/run/nginx.pid", Holds: 10},
			Listen:  []procfs.Listener{{FD: 6, Inode: 77, Network: "tcp", Addr: "127.0.0.1:80"}},
			Config:  &conf.Config{Files: []conf.File{{Path: "/etc/nginx.conf", SHA256: "c0"}}},
		},
		target: artifact.Artifact{Manifest: artifact.Manifest{
			ID: "ab12", Name: "openresty 1.21.4.1", Binary: "usr/sbin/nginx", Files: []artifact.File{{Path: "usr/sbin/nginx", SHA256: "bb"}},
		}},
	}
}

func (s site) plan(t *testing.T) Plan {
	t.Helper()
	checks := []preflight.Check{{ID: "usr2-ignored", Evidence: "daemon on"}}
	p, err := NewPlan(s.proc, s.instance, s.target, checks)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestAPlanComesBackAsItWasSaved(t *testing.T) {
	p, path := newSite(t).plan(t), filepath.Join(t.TempDir(), "plan.json")
	if err := SavePlan(path, p); err != nil {
		t.Fatal(err)
	}
	got, err := LoadPlan(path)
	if err != nil {
		t.Fatal(err)
	}
	text := cmp.Transformer("text", func(m json.RawMessage) (v any) { _ = json.Unmarshal(m, &v); return v }) // indented
	if diff := cmp.Diff(p, got, text); diff != "" {
		t.Errorf("(-saved +loaded)\n%s", diff)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v: a plan tells what runs here, it is its owner's alone", info.Mode(), err)
	}
}

// Whatever single value somebody edits, apply would do something that no plan was made for.
func TestAnEditedPlanIsRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "plan.json")
	if err := SavePlan(path, newSite(t).plan(t)); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var tree any
	if err := json.Unmarshal(data, &tree); err != nil {
		t.Fatal(err)
	}
	edits := 0
	eachLeaf(tree, "", func(where string) {
		edited, err := json.MarshalIndent(tree, "", "  ")
		if err != nil {
			t.Fatal(err)
		}
		write(t, path, string(edited))
		edits++
		if _, err := LoadPlan(path); err == nil {
			t.Errorf("%s was edited and the plan is taken", where)
		}
	})
	if edits < 50 {
		t.Errorf("only %d values were edited", edits)
	}
	for _, length := range []int{0, 1, len(data) / 2, len(data) - 3} {
		write(t, path, string(data[:length]))
		if _, err := LoadPlan(path); err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("cut to %d bytes: error %v, want one that names the file", length, err)
		}
	}
	missing := filepath.Join(t.TempDir(), "none.json")
	if _, err := LoadPlan(missing); err == nil || !strings.Contains(err.Error(), "graft plan --to") {
		t.Errorf("missing: error %v, want one that tells how to make a plan", err)
	}
}

// eachLeaf changes every string, number and bool of the tree in turn, and puts it back.
func eachLeaf(node any, where string, changed func(where string)) {
	visit := func(value any, where string, set func(any)) {
		var other any
		switch v := value.(type) {
		case string:
			other = v + "x"
			if strings.HasPrefix(where, ".created") {
				other = "2020-02-02T02:02:02Z"
			}
			if strings.HasSuffix(where, ".severity") {
				other = map[bool]string{true: "note", false: "ok"}[v == "ok"]
			}
		case float64:
			other = v + 1
		case bool:
			other = !v
		default:
			eachLeaf(value, where, changed)
			return
		}
		set(other)
		changed(where)
		set(value)
	}
	switch n := node.(type) {
	case map[string]any:
		for _, key := range slices.Sorted(maps.Keys(n)) {
			visit(n[key], where+"."+key, func(v any) { n[key] = v })
		}
	case []any:
		for i := range n {
			visit(n[i], where+"[]", func(v any) { n[i] = v })
		}
	}
}

func TestAStalePlanNamesWhatChanged(t *testing.T) {
	for _, tt := range []struct {
		name, want string
		change     func(t *testing.T, s *site)
	}{
		{"a reboot", "boot changed (was first, is second)", func(t *testing.T, s *site) { write(t, s.boot, "second\n") }},
		{"a restart", "master changed (was 10 started at 100, is 12 started at 200)", func(_ *testing.T, s *site) { s.instance.Master = nginx.Process{PID: 12, StartTime: 200} }},
		{"the same pid again", "is 10 started at 900", func(_ *testing.T, s *site) { s.instance.Master.StartTime = 900 }},
		{"another binary runs", "running binary changed", func(_ *testing.T, s *site) { s.instance.Exe.Inode++ }},
		{"an upgrade of the package", "nginx changed (was ", func(t *testing.T, s *site) { write(t, s.instance.Argv[0], "a newer one") }},
		{"the binary was removed", "no such file", func(t *testing.T, s *site) { os.Remove(s.instance.Argv[0]) }},
		{"the pid file names another", "pid file changed (was /run/nginx.pid holds 10, is /run/nginx.pid holds 13)", func(_ *testing.T, s *site) { s.instance.PidFile.Holds = 13 }},
		{"a reload with another listen", "127.0.0.1:81", func(_ *testing.T, s *site) {
			s.instance.Listen = append(s.instance.Listen, procfs.Listener{Inode: 78, Network: "tcp", Addr: "127.0.0.1:81"})
		}},
		{"the same address on a new socket", "inode 99", func(_ *testing.T, s *site) {
			s.instance.Listen = []procfs.Listener{{Inode: 99, Network: "tcp", Addr: "127.0.0.1:80"}}
		}},
		{"an edited configuration", "file /etc/nginx.conf changed (was c0, is c1)", func(_ *testing.T, s *site) {
			s.instance.Config = &conf.Config{Files: []conf.File{{Path: "/etc/nginx.conf", SHA256: "c1"}}}
		}},
		{"one more file in it", "file /etc/conf.d/new.conf is new", func(_ *testing.T, s *site) {
			s.instance.Config = &conf.Config{Files: append(s.instance.Config.Files, conf.File{Path: "/etc/conf.d/new.conf", SHA256: "d0"})}
		}},
		{"one file less", "file /etc/nginx.conf changed (was c0, is nothing)", func(_ *testing.T, s *site) { s.instance.Config = &conf.Config{} }},
		{"a configuration that cannot be read", "configuration is new", func(_ *testing.T, s *site) { s.instance.ConfigError = errors.New("no such include") }},
		{"an upgrade by hand has begun", "upgrade in progress changed", func(_ *testing.T, s *site) { s.instance.NewMaster = 14 }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newSite(t)
			p := s.plan(t)
			if err := p.CheckFresh(s.proc, s.instance); err != nil {
				t.Fatalf("nothing changed: %v", err)
			}
			tt.change(t, &s)
			err := p.CheckFresh(s.proc, s.instance)
			stale, ok := errors.AsType[*StaleError](err)
			if !ok || !strings.Contains(stale.Error(), tt.want) {
				t.Errorf("error %v, want a *StaleError with %q", err, tt.want)
			}
		})
	}
}

// What comes and goes by itself makes no plan stale.
func TestAPlanStaysFreshWhileTheInstanceLivesOn(t *testing.T) {
	s := newSite(t)
	p := s.plan(t)
	s.instance.Workers = []nginx.Worker{{Process: nginx.Process{PID: 40, StartTime: 400}, Role: nginx.RoleWorker}} // a crashed one was replaced
	s.instance.Listen = append([]procfs.Listener{}, s.instance.Listen...)
	if err := p.CheckFresh(s.proc, s.instance); err != nil {
		t.Error(err)
	}
}

func TestThePlanSaysWhichSignalsGoWhere(t *testing.T) {
	var got []string
	for _, step := range newSite(t).plan(t).Steps {
		if step.Signal != "" {
			got = append(got, step.Signal+" to "+step.To+" ends "+string(step.Ends))
		}
	}
	want := []string{"USR2 to old master 10 ends ", "WINCH to old master 10 ends parked", "QUIT to old master 10 ends finished"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}
