package cli_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"graft/internal/nginxtest"
	"graft/internal/procfs"
	"graft/internal/rehearse"
)

// rehearsal runs graft rehearse and reads its answer.
func (h *host) rehearsal(code int, plan string) rehearse.Result {
	h.t.Helper()
	r := h.must(code, "rehearse", plan, "-o", "json")
	var result rehearse.Result
	if err := json.Unmarshal([]byte(r.stdout), &result); err != nil {
		h.t.Fatalf("%v in %s", err, r)
	}
	return result
}

func TestRehearsalPlaysEveryWayAndApplyAsksForIt(t *testing.T) {
	h := newHost(t, nginxtest.Options{})
	plan := h.plan(nginxtest.Release(t, "1.26.3").Path)
	refused := h.must(4, "apply", plan)
	if !strings.Contains(refused.stderr, "it was not rehearsed") || !strings.Contains(refused.stderr, "graft rehearse") {
		t.Errorf("the way is not told: %s", refused)
	}
	load := light(t, h.inst)
	load.warm()
	before := nginxtest.Snapshot(t, h.inst.Prefix)
	result := h.rehearsal(0, plan)
	var acts []string
	for _, a := range result.Acts {
		if !a.OK || a.Took <= 0 {
			t.Errorf("act %+v", a)
		}
		acts = append(acts, a.Name)
	}
	const want = "start, overlap and back, parked and back, crash at overlap, crash while parked, to the end, back from the end"
	if got := strings.Join(acts, ", "); got != want {
		t.Errorf("acts %s\nwant %s", got, want)
	}
	if c := result.Clients; c.Sent == 0 || c.Lost != 0 || c.Sent != c.Answered+c.Apart || len(c.Addresses) < 3 {
		t.Errorf("clients %+v", c)
	}
	if p := result.Parity; p == nil || p.Requests == 0 || p.Breaking != 0 || p.FromConfig == 0 || p.FromLogs == 0 {
		t.Errorf("parity %+v", p)
	}
	load.lostNothing()
	h.sameButLogs(before)
	h.must(0, "apply", plan, "--overlap", "300ms", "--park", "300ms", "--min-requests", "0", "--probe-rate", "20")
	h.phase("finished")
	h.must(8, "rehearse", plan) // its master is gone
}

// In the midst of a migration the host is not the one that the plan was made on.
func TestNoRehearsalWhileAMigrationIsUnderWay(t *testing.T) {
	h := newHost(t, nginxtest.Options{})
	plan := h.plan(nginxtest.Release(t, "1.26.3").Path)
	h.must(0, with("apply", plan, "--until", "overlap")...)
	if r := h.must(8, "rehearse", plan); !strings.Contains(r.stderr, "upgrade in progress changed") {
		t.Errorf("%s", r)
	}
	h.must(0, "rollback")
}

// A certificate, a password file or Lua code decides what is answered as much as the configuration does.
func TestARehearsalIsOfTheFilesThatNginxReads(t *testing.T) {
	h := newHost(t, nginxtest.Options{})
	plan := h.plan(nginxtest.Release(t, "1.26.3").Path)
	h.rehearsal(0, plan)
	cert, key, err := nginxtest.SelfSigned()
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string][]byte{"cert.pem": cert, "key.pem": key} {
		if err := os.WriteFile(filepath.Join(h.inst.Prefix, "conf", name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, command := range []string{"apply", "rehearse"} {
		if r := h.must(8, command, plan); !strings.Contains(r.stderr, "conf/cert.pem changed") {
			t.Errorf("what changed is not told: %s", r)
		}
	}
}

// Nothing else runs in the tests' sandbox here: whatever the rehearsal did to its host would show.
func TestRehearsalLeavesNoTrace(t *testing.T) {
	h := newHost(t, nginxtest.Options{})
	plan := h.plan(nginxtest.Release(t, "1.26.3").Path)
	before := traces(t, h)
	h.rehearsal(0, plan)
	after := traces(t, h)
	if diff := cmp.Diff(before, after); diff != "" {
		t.Errorf("the host (-before +after)\n%s", diff)
	}
}

// traces are all files of the instance and of where a host keeps what changes, its processes, its sockets
// and how many packets went over its network.
func traces(t testing.TB, h *host) map[string]string {
	t.Helper()
	found := nginxtest.Snapshot(t, h.inst.Prefix, "/etc", "/run", "/var/log", "/var/lib/nginx", "/var/cache", "/usr/local/sbin")
	for _, file := range []string{"/proc/net/dev", "/proc/net/unix", "/proc/mounts"} {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		found[file] = string(text)
	}
	for _, file := range []string{"/proc/net/tcp", "/proc/net/tcp6", "/proc/net/udp"} {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(text)) { // without timers and counters
			// Nor connections of earlier tests that wait for their time to be over: one of the rehearsal's
			// would show in /proc/net/dev.
			const timeWait = "06"
			if fields := strings.Fields(line); len(fields) > 9 && fields[3] != timeWait {
				found[file+" "+fields[1]] = strings.Join(append(fields[2:4:4], fields[9]), " ")
			}
		}
	}
	pids, err := procfs.New("/proc").PIDs()
	if err != nil {
		t.Fatal(err)
	}
	for _, pid := range pids {
		if title, err := procfs.New("/proc").Title(pid); err == nil && strings.HasPrefix(title, "nginx:") {
			found["process "+strconv.Itoa(pid)] = title
		}
	}
	return found
}

// sameButLogs compares the instance's files with those of before: graft's clients and the load write
// to the logs.
func (h *host) sameButLogs(before map[string]string) {
	h.t.Helper()
	after := nginxtest.Snapshot(h.t, h.inst.Prefix)
	for path, was := range before {
		if now := after[path]; now != was && !strings.HasPrefix(path, h.inst.Prefix+"/logs/") {
			h.t.Errorf("%s changed: %q, now %q", path, was, now)
		}
	}
	for path := range after {
		if _, known := before[path]; !known {
			h.t.Errorf("%s is new", path)
		}
	}
}
