// Package systemdtest has the tests in which a real systemd supervises the nginx that graft migrates: the
// distribution's own installation, booted in namespaces of its own, with graft copied into it.
package systemdtest

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"graft/internal/cli/clitest"
	"graft/internal/nginxtest"
)

func TestMain(m *testing.M) {
	// They wait for gates and boots most of the time. The command line has the last word.
	if err := flag.Set("test.parallel", "4"); err != nil {
		panic(err)
	}
	nginxtest.Main(m, nginxtest.FetchRoot, clitest.BuildGraft, clitest.BuildOpenResty)
}

const (
	stateDir = "/var/lib/graft"
	newer    = "/opt/nginx-1.26.3" // an nginx to migrate to
	onDisk   = "/usr/sbin/nginx"
	pidFile  = "/run/nginx.pid"
	dropIn   = "/etc/systemd/system/nginx.service.d/test.conf"
)

// quick are gates short enough for tests; they still ask for probes.
var quick = []string{"--overlap", "300ms", "--park", "300ms", "--min-requests", "0", "--probe-rate", "20", "--patience", "20s"}

func apply(more ...string) []string {
	return append(append([]string{"apply", "/root/plan.json", "--no-rehearsal"}, quick...), more...)
}

// host is a machine with the distribution's nginx as its service.
type host struct {
	t    testing.TB
	m    *nginxtest.Machine
	root nginxtest.Root
	// among is put before each command line of graft: it leads to other files than the machine's.
	among []string
}

// newHost boots a machine whose nginx.service has these further settings in its [Service] section.
func newHost(t testing.TB, settings ...string) *host {
	t.Helper()
	h := &host{t: t, root: nginxtest.BareRoot(t)}
	h.copyIn(clitest.Graft(), "/usr/local/bin/graft")
	h.copyIn(nginxtest.Release(t, "1.26.3").Path, newer)
	if len(settings) > 0 {
		h.write(dropIn, unit(settings...))
	}
	h.m = nginxtest.Boot(t, h.root)
	if u := h.unit(); u.active != "active" {
		t.Fatalf("nginx.service is %+v\n%s", u, h.in("journalctl", "-u", "nginx", "--no-pager"))
	}
	return h
}

func unit(settings ...string) string { return "[Service]\n" + strings.Join(settings, "\n") + "\n" }

// path is a file of the machine as seen from here.
func (h *host) path(name string) string { return filepath.Join(h.root.Dir, name) }

func (h *host) copyIn(from, to string) {
	h.t.Helper()
	data, err := os.ReadFile(from)
	if err == nil {
		err = errors.Join(os.MkdirAll(filepath.Dir(h.path(to)), 0o755), os.WriteFile(h.path(to), data, 0o755))
	}
	if err != nil {
		h.t.Fatal(err)
	}
}

func (h *host) write(name, text string) {
	h.t.Helper()
	if err := errors.Join(os.MkdirAll(filepath.Dir(h.path(name)), 0o755), os.WriteFile(h.path(name), []byte(text), 0o644)); err != nil {
		h.t.Fatal(err)
	}
}

// in runs a program in the machine.
func (h *host) in(name string, args ...string) string {
	h.t.Helper()
	return h.m.Run(h.t, name, args...)
}

// result is what one run of graft came to.
type result struct {
	args           []string
	code           int
	stdout, stderr string
}

func (r result) String() string {
	return fmt.Sprintf("graft %s: exit %d\n%s%s", strings.Join(r.args, " "), r.code, r.stderr, r.stdout)
}

func (h *host) graftEnv(env []string, args ...string) result {
	h.t.Helper()
	command := append(append([]string{}, h.among...), "graft")
	command = append(command, args...)
	cmd := h.m.Command(h.t.Context(), command[0], command[1:]...)
	cmd.Env = append(cmd.Env, env...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	if _, exited := errors.AsType[*exec.ExitError](err); err != nil && !exited {
		h.t.Fatal(err)
	}
	return result{args, cmd.ProcessState.ExitCode(), stdout.String(), stderr.String()}
}

// must runs graft and fails the test unless it exits with the code.
func (h *host) must(code int, args ...string) result {
	h.t.Helper()
	r := h.graftEnv(nil, args...)
	if r.code != code {
		h.t.Fatalf("want exit %d: %s\n%s\n%s", code, r, h.in("sh", "-c", "systemctl status --no-pager nginx || :"), h.in("sh", "-c", "tail -n 20 /var/log/nginx/error.log"))
	}
	return r
}

// plan saves a plan, which must find nothing that blocks.
func (h *host) plan(to string) {
	h.t.Helper()
	h.must(0, "plan", "--to", to, "--out", "/root/plan.json")
}

// check is one answer of the preflight.
type check struct {
	ID, Severity, Evidence, Remedy string
}

// checks are the answers of a plan with that exit code, by their IDs.
func (h *host) checks(code int, to string) map[string]check {
	h.t.Helper()
	r := h.must(code, "plan", "--to", to, "-o", "json")
	var answer struct {
		Plan   struct{ Checks []check }
		Checks []check
	}
	if err := json.Unmarshal([]byte(r.stdout), &answer); err != nil {
		h.t.Fatalf("%v in %s", err, r)
	}
	all := make(map[string]check)
	for _, c := range append(answer.Checks, answer.Plan.Checks...) {
		all[c.ID] = c
	}
	return all
}

// phase is the phase that graft status tells.
func (h *host) phase() string {
	h.t.Helper()
	r := h.must(0, "status", "-o", "json")
	var s struct{ Phase string }
	if err := json.Unmarshal([]byte(r.stdout), &s); err != nil {
		h.t.Fatalf("%v in %s", err, r)
	}
	return s.Phase
}

// shown is what systemd knows of nginx.service.
type shown struct {
	active   string
	mainPID  int
	restarts string
}

func (h *host) unit() (s shown) {
	h.t.Helper()
	for line := range strings.Lines(h.in("systemctl", "show", "--property=ActiveState,MainPID,NRestarts", "nginx.service")) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		switch name {
		case "ActiveState":
			s.active = value
		case "NRestarts":
			s.restarts = value
		case "MainPID":
			s.mainPID = h.number(value)
		}
	}
	return s
}

func (h *host) number(text string) int {
	h.t.Helper()
	n, err := strconv.Atoi(strings.TrimSpace(text))
	if err != nil {
		h.t.Fatal(err)
	}
	return n
}

// master is the pid in nginx's pid file.
func (h *host) master() int {
	h.t.Helper()
	return h.number(h.in("cat", pidFile))
}

// follows checks that the unit is active, was not started again by systemd, and has that main process.
func (h *host) follows(when string, pid int) {
	h.t.Helper()
	if u := h.unit(); u.active != "active" || u.mainPID != pid || u.restarts != "0" {
		h.t.Errorf("%s: nginx.service is %+v, want it active with MainPID %d\n%s", when, u, pid, h.in("journalctl", "-u", "nginx", "--no-pager"))
	}
}

// sum is the hash of a file of the machine; /proc/PID/exe will do.
func (h *host) sum(name string) string {
	h.t.Helper()
	return strings.Fields(h.in("sha256sum", name))[0]
}

func sumOf(t testing.TB, file string) string {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%x", sha256.Sum256(data))
}

// runs checks that the unit's main process and the file on disk are that binary.
func (h *host) runs(when, sum string) {
	h.t.Helper()
	pid := h.master()
	h.follows(when, pid)
	if got := h.sum(fmt.Sprintf("/proc/%d/exe", pid)); got != sum {
		h.t.Errorf("%s: master %d runs another binary", when, pid)
	}
	if got := h.sum(onDisk); got != sum {
		h.t.Errorf("%s: another binary is on disk", when)
	}
}

// serves writes a server that answers with the status, lets systemd do the verb (reload, restart), and
// checks that it answers, by the binary of that sum.
func (h *host) serves(verb string, status int, sum string) {
	h.t.Helper()
	h.write("/etc/nginx/conf.d/test.conf", fmt.Sprintf("server { listen 8081; return %d; }\n", status))
	h.in("systemctl", verb, "nginx.service")
	h.answers(verb, status)
	h.runs("after systemctl "+verb, sum)
}

// answers waits until port 8081 answers with the status: a reload returns before its workers are up.
func (h *host) answers(when string, status int) {
	h.t.Helper()
	h.eventually(fmt.Sprintf("%s: the new configuration answers %d", when, status), func() bool {
		out, _ := h.m.Command(h.t.Context(), "graft", "probe", "-n", "1", "http://127.0.0.1:8081/").CombinedOutput()
		return strings.Contains(string(out), fmt.Sprintf("status %d ", status))
	})
}

func (h *host) eventually(what string, seen func() bool) {
	h.t.Helper()
	for end := time.Now().Add(20 * time.Second); !seen(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			h.t.Fatalf("not seen within 20 s: %s\n%s", what, h.in("ps", "axo", "pid,ppid,args"))
		}
	}
}
