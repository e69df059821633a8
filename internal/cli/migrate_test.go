package cli_test

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"graft/internal/nginxtest"
	"graft/internal/probe"
	"graft/internal/procfs"
)

// requests is how many a whole migration under load has to see at the least.
const requests = 100_000

// luaConf is answered by Lua alone: only the OpenResty equivalent can.
const luaConf = `location /lua { content_by_lua_block { ngx.say("answered by ", jit and "LuaJIT" or "Lua") } }`

func TestMigrateUnderLoadLosesNothing(t *testing.T) {
	for name, old := range map[string]func(testing.TB) nginxtest.Binary{
		"Debian's nginx": nginxtest.Debian,
		"nginx 1.18.0":   func(t testing.TB) nginxtest.Binary { return nginxtest.Release(t, "1.18.0") },
		"nginx 1.26.3":   func(t testing.TB) nginxtest.Binary { return nginxtest.Release(t, "1.26.3") },
	} {
		t.Run(name, func(t *testing.T) {
			h := newHost(t, nginxtest.Options{Binary: old(t)})
			before := h.sha256(h.inst.Exe)
			load := heavy(t, h.inst)
			load.warm()
			h.must(0, with("apply", h.plan(h.openResty()))...)
			h.phase("finished")
			h.serveLua()
			// The way back is a migration of its own, under the same load.
			h.must(0, "rollback")
			load.reach(requests)
			load.lostNothing()
			if after := h.sha256(h.inst.Exe); after != before {
				t.Errorf("the binary at the path hashes to %s, the old one to %s", after, before)
			}
			h.oneMaster(before)
		})
	}
}

// serveLua asks the finished OpenResty for a Lua location, through a reload of its own.
func (h *host) serveLua() {
	h.t.Helper()
	text, err := os.ReadFile(h.inst.Conf)
	if err != nil {
		h.t.Fatal(err)
	}
	lua := strings.Replace(string(text), "location / {", luaConf+"\n location / {", 1)
	h.reload(lua)
	target, err := probe.ParseURL("http://" + h.inst.Addr("http") + "/lua")
	if err != nil {
		h.t.Fatal(err)
	}
	h.eventually("Lua answers", func() bool {
		a := probe.Once(h.t.Context(), target)
		return a.Fate == probe.OK && a.Status == 200 && a.Bytes == int64(len("answered by LuaJIT\n"))
	})
	h.reload(string(text)) // the old binary knows no Lua
}

// reload writes the configuration and waits until only workers that read it serve.
func (h *host) reload(config string) {
	h.t.Helper()
	if err := os.WriteFile(h.inst.Conf, []byte(config), 0o644); err != nil {
		h.t.Fatal(err)
	}
	master, err := h.inst.PID()
	if err != nil {
		h.t.Fatal(err)
	}
	before, err := h.inst.Workers(master)
	if err != nil {
		h.t.Fatal(err)
	}
	h.inst.Signal(h.t, master, syscall.SIGHUP)
	h.eventually("new workers after the reload", func() bool {
		now, err := h.inst.Workers(master)
		if err != nil {
			return false
		}
		fresh := 0
		for _, pid := range now {
			title, _ := procfs.New("/proc").Title(pid)
			known := false
			for _, old := range before {
				known = known || old == pid
			}
			if !known && title == "nginx: worker process" {
				fresh++
			}
		}
		return fresh == 2
	})
}

func TestRollbackFromOverlapUnderLoadLosesNothing(t *testing.T) {
	h := newHost(t, nginxtest.Options{})
	before := h.sha256(h.inst.Exe)
	load := heavy(t, h.inst)
	load.warm()
	h.must(0, with("apply", h.plan(h.openResty()), "--until", "overlap")...)
	h.phase("overlap")
	load.reach(load.requests() + 5000) // both serve
	h.must(0, "rollback")
	h.phase("rolled-back")
	load.reach(requests)
	load.lostNothing()
	h.restored(before)
}

func TestRollbackFromParkedUnderLoadLosesNothing(t *testing.T) {
	h := newHost(t, nginxtest.Options{})
	before := h.sha256(h.inst.Exe)
	load := heavy(t, h.inst)
	load.warm()
	h.must(0, with("apply", h.plan(h.openResty()), "--until", "parked")...)
	h.phase("parked")
	load.reach(load.requests() + 5000) // the new one serves alone
	h.must(0, "rollback")
	h.phase("rolled-back")
	load.reach(requests)
	load.lostNothing()
	h.restored(before)
}

// restored: the old binary serves and is on disk, with its attributes, and nothing of graft's is left.
func (h *host) restored(sha256 string) {
	h.t.Helper()
	if got := h.sha256(h.inst.Exe); got != sha256 {
		h.t.Errorf("the binary at the path hashes to %s, the old one to %s", got, sha256)
	}
	h.oneMaster(sha256)
	if pid, err := h.inst.PID(); err != nil || pid != h.inst.MasterPID {
		h.t.Errorf("the pid file holds %d (%v), the old master is %d", pid, err, h.inst.MasterPID)
	}
	if _, err := os.Lstat("/usr/local/openresty"); err == nil {
		files, err := filepath.Glob("/usr/local/openresty/*/*")
		h.t.Errorf("/usr/local/openresty is still there, with %q (%v)", files, err)
	}
	left, err := filepath.Glob(filepath.Join(filepath.Dir(h.inst.Exe), ".*graft*"))
	if err != nil || left != nil {
		h.t.Errorf("left beside the binary: %q, %v", left, err)
	}
}

// oneMaster: one master runs, and it runs the binary of that hash, with two workers.
func (h *host) oneMaster(sha256 string) {
	h.t.Helper()
	h.eventually("one master", func() bool { masters, err := h.inst.Masters(); return err == nil && len(masters) == 1 })
	masters, err := h.inst.Masters()
	if err != nil || len(masters) != 1 {
		h.t.Fatalf("masters %v, %v", masters, err)
	}
	pid := masters[0]
	if got := h.sha256(procfs.New("/proc").Path(pid, "exe")); got != sha256 {
		h.t.Errorf("master %d runs a binary of hash %s, want %s", pid, got, sha256)
	}
	h.eventually("two workers", func() bool { w, err := h.inst.Workers(pid); return err == nil && len(w) == 2 })
}

func (h *host) sha256(path string) string {
	h.t.Helper()
	sum, err := procfs.SHA256(path)
	if err != nil {
		h.t.Fatal(err)
	}
	return sum
}

func (h *host) eventually(what string, seen func() bool) {
	h.t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !seen(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			h.t.Fatalf("%s: not within 20 s", what)
		}
	}
}
