package cli_test

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"graft/internal/nginxtest"
)

// checks are the blockers that graft plan -o json tells, by ID, with their evidence.
func (h *host) blockers(to string, more ...string) map[string]string {
	h.t.Helper()
	r := h.graft(append([]string{"plan", "--to", to, "-o", "json"}, more...)...)
	var plan struct {
		Checks []struct{ ID, Severity, Evidence, Remedy string }
	}
	// A blocked plan still is a plan: JSON on stdout, the reason on stderr.
	if err := json.NewDecoder(bytes.NewReader([]byte(r.stdout))).Decode(&plan); err != nil {
		h.t.Fatalf("%v in %s", err, r)
	}
	found := make(map[string]string)
	for _, c := range plan.Checks {
		if c.Severity == "blocker" {
			found[c.ID] = c.Evidence
			if c.Evidence == "" || c.Remedy == "" {
				h.t.Errorf("%s blocks without evidence or remedy: %+v", c.ID, c)
			}
		}
	}
	if (r.code == 4) != (len(found) > 0) {
		h.t.Errorf("exit %d with the blockers %v", r.code, found)
	}
	return found
}

// blocked sees that the plan is blocked by that check, that apply refuses it, and that nothing was done.
func (h *host) blocked(id, to string) {
	h.t.Helper()
	log, sum := h.inst.ErrorLogText(h.t), h.sha256(h.inst.Exe)
	found := h.blockers(to, "--out", filepath.Join(h.state, "plan.json"))
	if _, ok := found[id]; !ok {
		h.t.Fatalf("%s does not block; what does: %v", id, found)
	}
	h.must(4, with("apply", filepath.Join(h.state, "plan.json"))...)
	if now := h.inst.ErrorLogText(h.t); strings.Contains(strings.TrimPrefix(now, log), "signal") {
		h.t.Errorf("a signal was sent:\n%s", strings.TrimPrefix(now, log))
	}
	if h.sha256(h.inst.Exe) != sum {
		h.t.Error("the binary was replaced")
	}
}

func TestArgv0Relative(t *testing.T) {
	// The runbook's own misfortune: export PATH=…:$PATH; nginx -c /etc/nginx/nginx.conf
	h := newHost(t, nginxtest.Options{Args: []string{"nginx", "-p", "{{.Prefix}}/", "-c", "{{.Conf}}"}})
	h.blocked("argv0-relative", nginxtest.Release(t, "1.26.3").Path)
	// What the runbook tells happens without the check.
	h.inst.Signal(t, h.inst.MasterPID, syscall.SIGUSR2)
	h.eventually("nginx fails as the runbook tells", func() bool {
		return strings.Contains(h.inst.ErrorLogText(t), `execve() failed while executing new binary process "nginx" (2: No such file or directory)`)
	})
}

func TestPidFileNamesAnotherProcess(t *testing.T) {
	h := newHost(t, nginxtest.Options{})
	if err := os.WriteFile(h.inst.PidFile, []byte("1\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	h.blocked("usr2-poison", nginxtest.Release(t, "1.26.3").Path)
}

func TestUsr2PoisonByAMissingPidFile(t *testing.T) {
	h := newHost(t, nginxtest.Options{})
	if err := os.Remove(h.inst.PidFile); err != nil {
		t.Fatal(err)
	}
	h.blocked("usr2-poison", nginxtest.Release(t, "1.26.3").Path)
}

func TestUsr2PoisonByAReadOnlyPidDirectory(t *testing.T) {
	h := newHost(t, nginxtest.Options{})
	dir := filepath.Dir(h.inst.PidFile)
	if err := syscall.Mount(dir, dir, "", syscall.MS_BIND, ""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Unmount(dir, syscall.MNT_DETACH) })
	if err := syscall.Mount("", dir, "", syscall.MS_REMOUNT|syscall.MS_BIND|syscall.MS_RDONLY, ""); err != nil {
		t.Fatal(err)
	}
	h.blocked("usr2-poison", nginxtest.Release(t, "1.26.3").Path)
}

func TestColdStartDiffers(t *testing.T) {
	// Started as Debian's unit does, without -c; the target has another configuration compiled in.
	debian := nginxtest.Debian(t)
	nginxtest.Install(t, debian)
	h := newHost(t, nginxtest.Options{
		Args: []string{"{{.Exe}}", "-g", "daemon on; master_process on;"},
		Conf: "/etc/nginx/nginx.conf", PidFile: "/run/nginx.pid",
		ErrorLog: "/var/log/nginx/error.log", AccessLog: "/var/log/nginx/access.log",
	})
	other := nginxtest.Foreign(t)
	found := h.blockers(other.Path)
	if _, ok := found["argv-reused"]; !ok {
		t.Errorf("argv-reused does not block; what does: %v", found)
	}
	h.blocked("argv-reused", other.Path)
}

func TestLibraryMissingInTheStrippedEnvironment(t *testing.T) {
	// A binary that starts only with LD_LIBRARY_PATH set: the shell's nginx -t is fine, USR2's is not.
	binary, dir := missingLibrary(t), t.TempDir()
	libraries, err := filepath.Glob("/lib/*-linux-gnu/libcrypt.so.1")
	if err != nil || len(libraries) == 0 {
		t.Fatalf("no libcrypt: %v", err)
	}
	if err := os.Symlink(libraries[0], filepath.Join(dir, "libcrypt.so.7")); err != nil {
		t.Fatal(err)
	}
	t.Setenv("LD_LIBRARY_PATH", dir)
	run(t, binary, "-V") // in this shell's environment it starts
	h := newHost(t, nginxtest.Options{})
	if r := h.must(4, "plan", "--to", binary); !strings.Contains(r.stderr, "library-missing") || !strings.Contains(r.stderr, "libcrypt.so.7") {
		t.Errorf("want a refusal that names the library: %s", r)
	}
}

func run(t testing.TB, name string, args ...string) {
	t.Helper()
	if err := execute(exec.CommandContext(t.Context(), name, args...)); err != nil {
		t.Fatal(err)
	}
}

func TestAStalePlanIsRefused(t *testing.T) {
	h := newHost(t, nginxtest.Options{})
	file := h.plan(nginxtest.Release(t, "1.26.3").Path)
	conf, err := os.OpenFile(h.inst.Conf, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := conf.WriteString("\n# edited since\n"); err != nil {
		t.Fatal(err)
	}
	conf.Close()
	if r := h.must(8, with("apply", file)...); !strings.Contains(r.stderr, h.inst.Conf) {
		t.Errorf("the refusal does not name what changed: %s", r)
	}
}

func TestASecondGraftIsRefusedWhileOneWorks(t *testing.T) {
	h := newHost(t, nginxtest.Options{})
	file := h.plan(nginxtest.Release(t, "1.26.3").Path)
	first := exec.CommandContext(t.Context(), graftPath(), "apply", file, "--no-rehearsal", "--overlap", "1m", "--state-dir", h.state)
	if err := first.Start(); err != nil {
		t.Fatal(err)
	}
	h.eventually("the overlap", func() bool { return h.graft("status").code == 0 && h.status().Phase == "overlap" })
	if r := h.must(7, with("apply", file)...); !strings.Contains(r.stderr, "graft apply") {
		t.Errorf("the refusal does not name the holder: %s", r)
	}
	// Rollback is not refused: it asks the one that works.
	h.must(0, "rollback")
	err := first.Wait()
	if code := first.ProcessState.ExitCode(); code != 5 {
		t.Errorf("the first graft: exit %d (%v), want 5: it was told to roll back", code, err)
	}
	h.phase("rolled-back")
}
