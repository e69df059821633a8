package cli_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"graft/internal/nginxtest"
)

// finding is what a guard tells in graft status -o json.
type finding struct {
	ID, Severity, Follows, Evidence, Remedy string
	Since                                   time.Time
}

// found are the findings that graft status shows now, by ID.
func (h *host) found() map[string]finding {
	h.t.Helper()
	r := h.must(0, "status", "-o", "json")
	var status struct{ Guards []finding }
	if err := json.Unmarshal([]byte(r.stdout), &status); err != nil {
		h.t.Fatalf("%v in %s", err, r)
	}
	all := make(map[string]finding)
	for _, f := range status.Guards {
		if f.Severity == "" || f.Evidence == "" || f.Remedy == "" || f.Since.IsZero() {
			h.t.Errorf("a finding lacks something: %+v", f)
		}
		all[f.ID] = f
	}
	return all
}

// finds waits until a guard finds something and its evidence holds all the words.
func (h *host) finds(id string, words ...string) finding {
	h.t.Helper()
	var f finding
	h.eventually(fmt.Sprintf("%s finds %q", id, words), func() bool {
		var shown bool
		f, shown = h.found()[id]
		for _, word := range words {
			shown = shown && strings.Contains(f.Evidence, word)
		}
		return shown
	})
	return f
}

// guardLines are the journal's lines of a step that hold the words.
func (h *host) journaled(step string, words ...string) []string {
	h.t.Helper()
	var lines []string
	for line := range strings.Lines(h.must(0, "history", h.status().Migration).stdout) {
		fields := strings.Fields(line)
		match := len(fields) > 4 && fields[3] == step
		for _, word := range words {
			match = match && strings.Contains(line, word)
		}
		if match {
			lines = append(lines, line)
		}
	}
	return lines
}

// park migrates to the park and leaves graft at work there.
func (h *host) park(to string) (*exec.Cmd, *bytes.Buffer) {
	h.t.Helper()
	cmd, stderr := h.start(append([]string{"apply", h.plan(to), "--no-rehearsal"}, parkFor...)...)
	h.eventuallyPhase("parked")
	return cmd, stderr
}

// ends waits for a graft that was started and checks its exit code.
func ends(t *testing.T, cmd *exec.Cmd, stderr *bytes.Buffer, code int) {
	t.Helper()
	_ = cmd.Wait()
	if got := cmd.ProcessState.ExitCode(); got != code {
		t.Fatalf("exit %d, want %d:\n%s", got, code, stderr)
	}
}

// rotate runs logrotate on the access log as the distribution has it: the signal goes to the pid in
// the pid file.
func (h *host) rotate(options string) {
	h.t.Helper()
	dir := h.t.TempDir()
	conf := filepath.Join(dir, "logrotate.conf")
	text := fmt.Sprintf("%s {\n%s\n}\n", h.inst.AccessLog, options)
	if err := os.WriteFile(conf, []byte(text), 0o644); err != nil {
		h.t.Fatal(err)
	}
	run(h.t, "/usr/sbin/logrotate", "-f", "-s", filepath.Join(dir, "status"), conf)
}

func (h *host) rotateAsDebianDoes() {
	h.rotate("su root root\nrotate 14\nnocompress\nnotifempty\ncreate 0640 root root\nsharedscripts\npostrotate\n" +
		"kill -USR1 `cat " + h.inst.PidFile + "`\nendscript")
}

func (h *host) read(path string) string {
	h.t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		h.t.Fatal(err)
	}
	return string(text)
}

// download begins a request that its server cannot end before the client reads: the worker stays.
func (h *host) download() (end func()) {
	h.t.Helper()
	conn, err := net.Dial("tcp", h.inst.Addr("http"))
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() { conn.Close() })
	fmt.Fprintf(conn, "GET /big?held HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
	answer := bufio.NewReader(conn)
	if line, err := answer.ReadString('\n'); err != nil || !strings.Contains(line, "200") {
		h.t.Fatalf("%q, %v", line, err)
	}
	return func() {
		h.t.Helper()
		if n, err := io.Copy(io.Discard, answer); err != nil || n < nginxtest.BigFileSize {
			h.t.Errorf("%d bytes, %v", n, err)
		}
	}
}

func TestLogRotationWhileParkedReachesBothMasters(t *testing.T) {
	h := newHost(t, nginxtest.Options{})
	load := light(t, h.inst)
	load.warm()
	end := h.download()
	cmd, stderr := h.park(nginxtest.Release(t, "1.26.3").Path)
	h.rotateAsDebianDoes()
	h.eventually("the rotation is over for the old master", func() bool { return len(h.journaled("guard", "log-rotation", `"over":true`)) > 0 })
	if done := h.journaled("reopen", "done"); len(done) != 1 {
		t.Errorf("USR1 was confirmed %d times, want once:\n%s", len(done), stderr)
	}
	h.eventually("no finding", func() bool { return len(h.found()) == 0 })
	end()
	h.eventually("the last line of the old worker", func() bool { return strings.Contains(h.read(h.inst.AccessLog), "/big?held") })
	if strings.Contains(h.read(h.inst.AccessLog+".1"), "/big?held") {
		t.Error("the line is in the rotated file, too")
	}
	h.must(0, "finish")
	ends(t, cmd, stderr, 0)
	load.lostNothing()
}

// Without the guard the old worker's lines go to the file that was moved away, or are lost with it.
func TestLogRotationLosesTheOldMasterWithoutAGuard(t *testing.T) {
	h := newHost(t, nginxtest.Options{})
	end := h.download()
	h.must(0, with("apply", h.plan(nginxtest.Release(t, "1.26.3").Path), "--no-rehearsal", "--until", "parked")...)
	h.rotateAsDebianDoes()
	// Nobody is at work: status looks, and does nothing about it.
	f := h.finds("log-rotation", "the old master's process", h.inst.AccessLog+".1")
	if f.Follows != "act" || !strings.Contains(f.Remedy, fmt.Sprintf("kill -USR1 %d", h.inst.MasterPID)) {
		t.Errorf("the remedy is not told: %+v", f)
	}
	end()
	h.eventually("the line in the rotated file", func() bool { return strings.Contains(h.read(h.inst.AccessLog+".1"), "/big?held") })
	// What the remedy says helps.
	h.inst.Signal(t, h.inst.MasterPID, syscall.SIGUSR1)
	h.eventually("no finding", func() bool { return len(h.found()) == 0 })
}

func TestLogRotationIsActedOnByTheGraftAfterAKilledOne(t *testing.T) {
	for point, more := range map[string]int{"before-usr1": 1, "after-usr1": 0} {
		t.Run(point, func(t *testing.T) {
			h := newHost(t, nginxtest.Options{})
			target := nginxtest.Release(t, "1.26.3").Path
			old, new := h.sha256(h.inst.Exe), h.sha256(target)
			h.must(0, with("apply", h.plan(target), "--no-rehearsal", "--until", "parked")...)
			h.rotateAsDebianDoes()
			h.killed(point, old, new, append([]string{"resume", "--until", "finished"}, parked...)...)
			if more == 0 {
				h.eventually("the signal has done its work", func() bool { return len(h.found()) == 0 })
			}
			cmd, stderr := h.start(append([]string{"resume"}, parked...)...)
			h.eventually("the logs are where they belong", func() bool {
				return len(h.journaled("reopen", "done")) == more && len(h.found()) == 0
			})
			// It takes the lock a moment before it takes orders.
			h.eventually("it takes orders", func() bool { return strings.Contains(h.must(0, "status").stdout, "at work on it") })
			h.must(0, "finish")
			ends(t, cmd, stderr, 0)
			if sent := h.journaled("reopen", "intent"); len(sent) != 1+more {
				t.Errorf("USR1 was announced %d times, want %d", len(sent), 1+more)
			}
		})
	}
}

func TestLogRotationIsActedOnWhileAGateHolds(t *testing.T) {
	h := newHost(t, nginxtest.Options{})
	h.must(0, "apply", h.plan(nginxtest.Release(t, "1.26.3").Path), "--no-rehearsal", "--detach",
		"--overlap", "200ms", "--park", "200ms", "--min-requests", "100000", "--probe-rate", "20")
	h.eventually("the hold", func() bool { return len(h.journaled("hold")) > 0 })
	h.rotateAsDebianDoes()
	h.eventually("the logs are where they belong", func() bool { return len(h.journaled("reopen", "done")) == 1 && len(h.found()) == 0 })
	h.phase("overlap")
	h.must(0, "rollback")
}

func TestLogRotationByCopyingNeedsNothing(t *testing.T) {
	h := newHost(t, nginxtest.Options{})
	load := light(t, h.inst)
	load.warm()
	cmd, stderr := h.park(nginxtest.Release(t, "1.26.3").Path)
	h.rotate("su root root\nrotate 3\nnocompress\ncopytruncate")
	if _, err := os.Stat(h.inst.AccessLog + ".1"); err != nil {
		t.Fatal(err)
	}
	// A deleted log is found at the second look after it: by then the rotation would have been.
	if err := os.Remove(h.inst.ErrorLog); err != nil {
		t.Fatal(err)
	}
	f := h.finds("log-rotation", h.inst.ErrorLog, "deleted", "there is none")
	if f.Follows != "warn" {
		t.Errorf("a log that nothing created anew: %+v", f)
	}
	if about := h.journaled("guard", h.inst.AccessLog); len(about) > 0 {
		t.Errorf("copying is taken for a rotation: %s", about)
	}
	for _, pid := range []int{h.inst.MasterPID, h.master()} {
		h.inst.Signal(t, pid, syscall.SIGUSR1)
	}
	h.eventually("no finding", func() bool { return len(h.found()) == 0 })
	if sent := h.journaled("reopen"); len(sent) > 0 {
		t.Errorf("a signal was sent: %s", sent)
	}
	h.must(0, "finish")
	ends(t, cmd, stderr, 0)
}

func TestHupOldDoublesWhileParkedIsToldAndParkedAgain(t *testing.T) {
	h := newHost(t, nginxtest.Options{})
	load := light(t, h.inst)
	load.warm()
	cmd, stderr := h.park(nginxtest.Release(t, "1.26.3").Path)
	h.inst.Signal(t, h.inst.MasterPID, syscall.SIGHUP)
	h.eventually("the guard tells that it is over", func() bool { return len(h.journaled("guard", "hup-old-doubles", `"over":true`)) > 0 })
	h.phase("parked")
	reload := fmt.Sprintf("kill -HUP %d", h.master())
	if told := h.journaled("guard", "hup-old-doubles", "2 workers again", reload); len(told) == 0 {
		t.Errorf("what came back, or the remedy %q, is not told:\n%s", reload, stderr)
	}
	h.must(0, "finish")
	ends(t, cmd, stderr, 0)
	load.lostNothing()
}

func TestHupOldDoublesWithNoGraftAtWork(t *testing.T) {
	h := newHost(t, nginxtest.Options{})
	h.must(0, with("apply", h.plan(nginxtest.Release(t, "1.26.3").Path), "--no-rehearsal", "--until", "overlap")...)
	if found := h.found(); len(found) > 0 {
		t.Fatalf("found before anything was done: %+v", found)
	}
	h.inst.Signal(t, h.inst.MasterPID, syscall.SIGHUP)
	h.finds("hup-old-doubles", "runs 4 workers, 2 before")
	h.must(0, with("resume", "--until", "parked")...)
	if found := h.found(); len(found) > 0 {
		t.Errorf("WINCH ends them all, and still is found: %+v", found)
	}
	// Once more, with no graft at work: status sees it, resume parks the old master again.
	h.inst.Signal(t, h.inst.MasterPID, syscall.SIGHUP)
	h.finds("hup-old-doubles", "the parked old master", "2 workers again")
	h.must(0, with("resume", "--until", "parked")...)
	h.phase("parked")
}

func TestReuseportBlackholeIsToldBeforeTheReload(t *testing.T) {
	for name, change := range map[string][2]string{
		"fewer workers":    {"worker_processes 4", "worker_processes 2"},
		"a removed listen": {"listen 127.0.0.2", "#listen 127.0.0.2"},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHost(t, nginxtest.Options{Config: strings.Replace(reuseport, "listen unix:", "listen 127.0.0.2:{{.Port \"http\"}};\n listen unix:", 1)})
			cmd, stderr := h.park(nginxtest.Release(t, "1.26.3").Path)
			h.edit(change[0], change[1])
			if f := h.finds("reuseport-blackhole", "would make the next reload"); f.Follows != "warn" {
				t.Errorf("nothing hangs yet: %+v", f)
			}
			h.phase("parked")
			h.inst.Signal(t, h.master(), syscall.SIGHUP)
			ends(t, cmd, stderr, 5)
			if told := h.journaled("guard", "reuseport-blackhole", `"follows":"turn"`); len(told) == 0 {
				t.Errorf("the outage at hand is not told:\n%s", stderr)
			}
			h.phase("rolled-back")
		})
	}
}

// master is the pid in the pid file.
func (h *host) master() int {
	h.t.Helper()
	pid, err := h.inst.PID()
	if err != nil {
		h.t.Fatal(err)
	}
	return pid
}

// newPackage makes and installs a package whose one file is the instance's binary, with other content,
// as an upgrade by dpkg does.
func (h *host) newPackage(name, version string) {
	h.t.Helper()
	root := h.t.TempDir()
	file := filepath.Join(root, h.inst.Exe)
	control := fmt.Sprintf("Package: %s\nVersion: %s\nArchitecture: all\nMaintainer: a test <test@localhost>\nDescription: a test\n", name, version)
	for _, err := range []error{
		os.MkdirAll(filepath.Join(root, "DEBIAN"), 0o755), os.MkdirAll(filepath.Dir(file), 0o755),
		os.WriteFile(filepath.Join(root, "DEBIAN/control"), []byte(control), 0o644),
		os.WriteFile(file, append([]byte(h.read(h.inst.Exe)), "upgraded"...), 0o755),
	} {
		if err != nil {
			h.t.Fatal(err)
		}
	}
	deb := filepath.Join(h.t.TempDir(), "package.deb")
	run(h.t, "dpkg-deb", "-Znone", "--build", root, deb)
	run(h.t, "dpkg", "--install", deb)
}

func TestPackageManagerOverwritesTheBinaryWhileParked(t *testing.T) {
	for name, choose := range map[string]func(h *host, old, new string){
		"go on with the new binary": func(h *host, _, new string) {
			run(h.t, "sh", "-c", fmt.Sprintf("install -m 755 /proc/%d/exe %s.graft && mv %s.graft %s", h.master(), h.inst.Exe, h.inst.Exe, h.inst.Exe))
			h.must(0, with("resume")...)
			h.phase("finished")
			h.oneMaster(new)
		},
		"go back to the old one": func(h *host, old, _ string) {
			backup := filepath.Join(h.state, "migrations", h.status().Migration, "backup", "nginx")
			run(h.t, "sh", "-c", fmt.Sprintf("install -m 755 %s %s.graft && mv %s.graft %s", backup, h.inst.Exe, h.inst.Exe, h.inst.Exe))
			h.must(0, "rollback")
			h.phase("rolled-back")
			h.oneMaster(old)
		},
		"keep the file": func(h *host, old, _ string) {
			there := h.sha256(h.inst.Exe)
			h.must(6, "rollback")
			h.oneMaster(old)
			if h.sha256(h.inst.Exe) != there {
				h.t.Error("the package's file was touched")
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHost(t, nginxtest.Options{})
			target := nginxtest.Release(t, "1.26.3").Path
			old, new := h.sha256(h.inst.Exe), h.sha256(target)
			load := light(t, h.inst)
			load.warm()
			cmd, stderr := h.park(target)
			name := "graft-test-" + strings.ToLower(filepath.Base(h.inst.Prefix))
			h.newPackage(name, "1.99-1")
			ends(t, cmd, stderr, 6)
			for _, want := range []string{
				"package " + name + " 1.99-1", "install " + name + ":all <none> 1.99-1", "apt-mark hold " + name,
				fmt.Sprintf("/proc/%d/exe", h.master()), "backup/nginx " + h.inst.Exe, "then graft resume", "then graft rollback",
			} {
				if !strings.Contains(stderr.String(), want) {
					t.Errorf("%q is not told:\n%s", want, stderr)
				}
			}
			if f := h.found()["package-manager"]; f.Follows != "halt" || f.Severity != "blocker" {
				t.Errorf("graft status does not show it: %+v", f)
			}
			if masters, err := h.inst.Masters(); err != nil || len(masters) != 2 {
				t.Errorf("masters %v, %v: want both, as they were", masters, err)
			}
			choose(h, old, new)
			load.lostNothing()
		})
	}
}

func TestConfigDriftWhileParkedTellsWhatAReloadWouldRead(t *testing.T) {
	h := newHost(t, nginxtest.Options{})
	cmd, stderr := h.park(nginxtest.Release(t, "1.26.3").Path)
	young := h.master()
	h.edit("keepalive_timeout 65;", "keepalive_timeout 66;")
	h.finds("config-drift", h.inst.Conf+" edited", fmt.Sprintf("the new master %d has not read it", young),
		"-t of the new binary passes", "-t of the old binary passes")
	h.inst.Signal(t, young, syscall.SIGHUP)
	h.finds("config-drift", "it was reloaded and serves it")
	// What the old binary does not know, a rollback after the finish would start with.
	h.edit("sendfile on;", "sendfile on; http2 on;")
	h.finds("config-drift", "-t of the new binary passes", "-t of the old binary refuses it", `unknown directive "http2"`)
	h.edit("sendfile on; http2 on;", "sendfile on;")
	h.edit("keepalive_timeout 66;", "keepalive_timeout 65;")
	h.eventually("no finding", func() bool { return len(h.found()) == 0 })
	h.must(0, "rollback")
	ends(t, cmd, stderr, 5)
}

func TestAHealthyParkIsQuiet(t *testing.T) {
	h := newHost(t, nginxtest.Options{})
	load := light(t, h.inst)
	load.warm()
	cmd, stderr := h.park(nginxtest.Release(t, "1.26.3").Path)
	load.reach(load.requests() + 3000) // some seven seconds, and three looks of the guards
	h.must(0, "finish")
	ends(t, cmd, stderr, 0)
	load.lostNothing()
	if told := append(h.journaled("guard"), h.journaled("reopen")...); len(told) > 0 {
		t.Errorf("the guards are not quiet:\n%s", told)
	}
}
