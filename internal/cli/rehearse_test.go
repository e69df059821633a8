package cli_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"graft/internal/nginxtest"
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
	before := snapshot(t, h.inst.Prefix)
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
}

// sameButLogs compares the instance's files with those of before: graft's clients and the load write
// to the logs.
func (h *host) sameButLogs(before map[string]string) {
	h.t.Helper()
	after := snapshot(h.t, h.inst.Prefix)
	for path, was := range before {
		if now := after[path]; now != was && !strings.HasPrefix(path, "logs/") {
			h.t.Errorf("%s changed: %q, now %q", path, was, now)
		}
	}
	for path := range after {
		if _, known := before[path]; !known {
			h.t.Errorf("%s is new", path)
		}
	}
}

// snapshot tells for each file below dir what it is and holds.
func snapshot(t testing.TB, dir string) map[string]string {
	t.Helper()
	found := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		text := info.Mode().String() + " " + info.ModTime().String()
		if info.Mode().IsRegular() && info.Size() < 1<<20 {
			data, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			text += " " + string(data)
		}
		name, err := filepath.Rel(dir, path)
		found[name] = text
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}
