package pkgmanager_test

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"graft/internal/cli/clitest"
	"graft/internal/nginxtest"
	"graft/internal/procfs"
)

// machine is the distribution's installation, booted, with graft in it and OpenResty in graft's store.
type machine struct {
	*site
	*nginxtest.Machine
	target string
	old    string // hash of the package's binary
}

func newMachine(t testing.TB) *machine {
	t.Helper()
	s := newSite(t)
	s.write("/etc/dpkg/dpkg.cfg.d/fast", "force-unsafe-io\n", 0o644)
	graft, err := os.ReadFile(clitest.Graft())
	if err != nil {
		t.Fatal(err)
	}
	s.write("/usr/local/bin/graft", string(graft), 0o755)
	if err := os.MkdirAll(s.path("/var/lib/graft"), 0o700); err != nil {
		t.Fatal(err)
	}
	target, err := clitest.OpenResty(s.path("/var/lib/graft"))
	if err != nil {
		t.Fatal(err)
	}
	// On overlayfs a second name of a file below would be another file; on a disk it is none.
	s.write(binary, s.read(binary), 0o755)
	m := &machine{site: s, target: target, Machine: nginxtest.Boot(t, s.root)}
	m.old = m.disk()
	return m
}

// graft runs graft in the machine; it must exit with the code, -1 if it is to be killed.
func (m *machine) graft(code int, env string, args ...string) string {
	m.t.Helper()
	cmd := m.Command(m.t.Context(), "graft", args...)
	cmd.Env = append(cmd.Env, env)
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		m.t.Fatal(err)
	}
	got := cmd.ProcessState.ExitCode()
	if killed := got == -1 || got == 128+9; killed {
		got = -1 // nsenter ends as its child did
	}
	if got != code {
		m.t.Fatalf("graft %s: exit %d, want %d\n%s", strings.Join(args, " "), got, code, out)
	}
	return string(out)
}

var quick = []string{"--overlap", "300ms", "--park", "300ms", "--min-requests", "0", "--probe-rate", "20", "--patience", "20s"}

// apply plans and applies, with more arguments.
func (m *machine) apply(code int, env string, more ...string) {
	m.t.Helper()
	m.plan()
	m.graft(code, env, append(append([]string{"apply", "/root/plan", "--no-rehearsal"}, quick...), more...)...)
}

func (m *machine) plan() string {
	m.t.Helper()
	return strings.Join(strings.Fields(m.graft(0, "", "plan", "--to", m.target, "--out", "/root/plan", "-v")), " ")
}

func (m *machine) phase(want string) {
	m.t.Helper()
	if status := m.graft(0, "", "status", "-o", "json"); !strings.Contains(status, `"phase":"`+want+`"`) && !strings.Contains(status, `"phase": "`+want+`"`) {
		m.t.Fatalf("not %s: %s", want, status)
	}
}

// disk is the hash of what lies at the path.
func (m *machine) disk() string {
	m.t.Helper()
	sum, err := procfs.SHA256(m.path(binary))
	if err != nil {
		m.t.Fatal(err)
	}
	return sum
}

// pids are nginx's masters and workers in the machine, with what they run, as a signal would change them.
func (m *machine) pids() string {
	m.t.Helper()
	return m.Run(m.t, "ps", "-C", "nginx", "-o", "pid=,lstart=,args=", "--sort=pid")
}

// reinstall lets apt install the same packages again, and an upgrade if there is one. Neither what serves
// nor the path changes, and dpkg agrees with what is where.
func (m *machine) reinstall(phase string) {
	m.t.Helper()
	m.phase(phase)
	pids, disk := m.pids(), m.disk()
	out := m.Run(m.t, "sh", "-c", "apt-get -q -y install --reinstall nginx nginx-common 2>&1")
	if now := m.pids(); now != pids {
		m.t.Errorf("%s: before:\n%safter the packages were installed again:\n%s%s", phase, pids, now, out)
	}
	if m.disk() != disk {
		m.t.Errorf("%s: the packages' installation has changed the file at the path\n%s", phase, out)
	}
	if !strings.Contains(out, "policy-rc.d") {
		m.t.Errorf("%s: the packages did not ask for a restart: this shows nothing\n%s", phase, out)
	}
	m.agrees()
}

// load sends requests until lostNothing is called.
func (m *machine) load() (lostNothing func()) {
	m.t.Helper()
	var out bytes.Buffer
	cmd := m.Command(m.t.Context(), "sh", "-c", `echo $$ >/run/load; exec graft probe http://127.0.0.1/ --mode connect -c 2 --rate 200 -n 20000 -d 100s`)
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		m.t.Fatal(err)
	}
	m.eventually("the load", func() bool {
		text, err := os.ReadFile(m.path("/run/load"))
		_, pidErr := strconv.Atoi(strings.TrimSpace(string(text)))
		return err == nil && pidErr == nil || m.Command(m.t.Context(), "test", "-s", "/run/load").Run() == nil
	})
	return func() {
		m.t.Helper()
		m.Run(m.t, "sh", "-c", "kill -INT $(cat /run/load)")
		err := cmd.Wait()
		m.t.Logf("%s", out.String())
		if err != nil && !strings.Contains(out.String(), " 0 lost") {
			m.t.Errorf("%v", err)
		}
		if !strings.Contains(out.String(), " 0 lost") || strings.Contains(out.String(), "\n  0 requests") {
			m.t.Errorf("requests were lost, or none was made")
		}
	}
}

func (m *machine) eventually(what string, seen func() bool) {
	m.t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !seen(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			m.t.Fatalf("%s: not within 20 s", what)
		}
	}
}

// serving is the pid of the unit's main process and the hash of what it runs.
func (m *machine) serving() (pid, sum string) {
	m.t.Helper()
	pid = strings.TrimSpace(m.Run(m.t, "cat", "/run/nginx.pid"))
	return pid, strings.Fields(m.Run(m.t, "sha256sum", "/proc/"+pid+"/exe"))[0]
}

// serves: exactly one master, which runs that binary.
func (m *machine) serves(sum string) {
	m.t.Helper()
	if pid, got := m.serving(); got != sum {
		m.t.Errorf("master %s runs %s, want %s\n%s", pid, got, sum, m.pids())
	}
	// One that has just been started has its pid file before its title.
	m.eventually("one master", func() bool { return strings.Count(m.pids(), "master process") == 1 })
}

func TestPackageManagerRunsInEveryPhaseOfAMigration(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	plan := m.plan()
	for _, told := range []string{"dpkg-divert --local --no-rename --divert /usr/sbin/nginx.graft-distrib --add /usr/sbin/nginx", "/usr/sbin/policy-rc.d", "/etc/needrestart/conf.d/graft.conf"} {
		if !strings.Contains(plan, told) {
			t.Errorf("the plan does not tell of %s:\n%s", told, plan)
		}
	}
	// planned: nothing is guarded yet, and a plan on which apt has gone over is stale.
	m.write("/usr/sbin/policy-rc.d", "#!/bin/sh\nexit 104\n", 0o700)
	before := m.state()
	m.Run(t, "apt-get", "-q", "-y", "install", "--reinstall", "nginx", "nginx-common")
	m.graft(8, "", append([]string{"apply", "/root/plan", "--no-rehearsal"}, quick...)...)

	lostNothing := m.load()
	m.apply(-1, "GRAFT_FAULT=before-rename-swap")
	m.reinstall("staged")
	resume := append([]string{"resume"}, quick...)
	m.graft(-1, "GRAFT_FAULT=before-usr2", resume...)
	m.reinstall("swapped")
	if m.disk() == m.old {
		t.Error("swapped, and the package's binary is at the path")
	}
	m.graft(0, "", append(resume, "--until", "overlap")...)
	m.reinstall("overlap")
	m.graft(0, "", append(resume, "--until", "parked")...)
	m.reinstall("parked")
	m.graft(0, "", "finish")
	m.reinstall("finished")
	if _, err := os.Stat(m.path("/etc/needrestart/conf.d/graft.conf")); err == nil {
		t.Error("finished, and needrestart still passes over nginx")
	}
	// An upgrade: the package's new binary waits under its other name.
	upgraded := m.upgrade()
	m.reinstall("finished")
	m.serves(m.disk())
	out := m.graft(0, "", "rollback")
	lostNothing()
	m.phase("rolled-back")
	m.serves(m.old)
	if m.read(binary) != upgraded || !strings.Contains(out, "+upgraded") {
		t.Errorf("the upgraded package's binary is not at the path, or it is not told:\n%s", out)
	}
	if after := m.state(); after != before {
		t.Errorf("before:\n%s\nafter:\n%s", before, after)
	}
	m.agrees()
	// As before the migration: the package restarts its service, with what is on disk.
	m.Run(t, "apt-get", "-q", "-y", "install", "--reinstall", "nginx", "nginx-common")
	m.serves(m.disk())
	m.agrees()
}

func TestPackageManagerFindsTheOldFileAfterARollback(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	before := m.state()
	for _, phase := range []string{"overlap", "parked"} {
		t.Run(phase, func(t *testing.T) {
			lostNothing := m.load()
			m.apply(0, "", "--until", phase)
			m.reinstall(phase)
			m.graft(0, "", "rollback")
			lostNothing()
			m.serves(m.old)
			if after := m.state(); after != before || m.disk() != m.old {
				t.Errorf("before:\n%s\nafter:\n%s", before, after)
			}
			m.agrees()
		})
	}
}

func TestPackageManagerUpgradesBeforeARollback(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	before := m.state()
	m.apply(0, "", "--until", "overlap")
	upgraded := m.upgrade()
	if out := m.graft(0, "", "rollback"); !strings.Contains(out, "+upgraded") {
		t.Errorf("it is not told that the package was upgraded:\n%s", out)
	}
	m.phase("rolled-back")
	m.serves(m.old)
	if after := m.state(); after != before || m.read(binary) != upgraded {
		t.Errorf("before:\n%s\nafter:\n%s", before, after)
	}
	m.agrees()
	// The next migration starts from there.
	m.Run(t, "systemctl", "restart", "nginx")
	m.serves(m.disk())
	m.plan()
}

func TestPackageManagerIsLeftAloneIfTheOperatorSaysSo(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	before := m.state()
	m.apply(0, "", "--until", "overlap", "--no-package-guard")
	if after := m.state(); after != before {
		t.Errorf("before:\n%s\nafter:\n%s", before, after)
	}
	m.graft(0, "", "rollback")
	m.agrees()
}

func TestPackageManagerAndAKilledGraft(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	before := m.state()
	for _, point := range []string{"after-rename-guard", "after-divert", "after-rename-policy"} {
		t.Run(point, func(t *testing.T) {
			m.apply(-1, "GRAFT_FAULT="+point)
			m.graft(0, "", "rollback")
			if after := m.state(); after != before || m.disk() != m.old {
				t.Errorf("before:\n%s\nafter:\n%s", before, after)
			}
			m.agrees()
		})
	}
	t.Run("apt at work on the way back", func(t *testing.T) {
		m.apply(0, "", "--until", "overlap")
		m.graft(-1, "GRAFT_FAULT=after-rename-put-back", "rollback")
		unlock := m.lock()
		if out := m.graft(6, "", "resume", "--patience", "300ms"); !strings.Contains(out, "package manager is at work") {
			t.Errorf("it does not say why:\n%s", out)
		}
		m.serves(m.old)
		unlock()
		m.graft(0, "", "rollback")
		if after := m.state(); after != before || m.disk() != m.old {
			t.Errorf("before:\n%s\nafter:\n%s", before, after)
		}
	})
	for _, then := range []string{"rollback", "resume"} {
		t.Run("the way back from finished/"+then, func(t *testing.T) {
			m.apply(0, "")
			m.graft(-1, "GRAFT_FAULT=before-undivert", "rollback")
			m.graft(0, "", then)
			if after := m.state(); after != before || m.disk() != m.old {
				t.Errorf("before:\n%s\nafter:\n%s", before, after)
			}
			m.serves(m.old)
			m.agrees()
		})
	}
}
