package systemdtest

import (
	"fmt"
	"strings"
	"testing"

	"graft/internal/cli/clitest"
	"graft/internal/nginxtest"
)

// The distribution's unit, unchanged: Type=forking, PIDFile=/run/nginx.pid, ExecReload by nginx itself.
func TestSystemdUnitOfTheDistributionFollowsToOpenRestyAndBack(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	target, err := clitest.OpenResty(h.path(stateDir))
	if err != nil {
		t.Fatal(err)
	}
	before, first := h.sum(onDisk), h.master()
	h.follows("before", first)
	for id, c := range h.checks(0, target) {
		if (id == "usr2-ignored" || id == "systemd-unit" || id == "cold-start-differs") && c.Severity != "ok" {
			t.Errorf("%s: %+v", id, c)
		}
	}
	traffic := h.load()

	// There and back from each phase in which both masters live: the old one stays the main process.
	for _, until := range []string{"overlap", "parked"} {
		h.plan(target)
		h.must(0, apply("--until", until)...)
		h.follows(until, first)
		if second := h.master(); second == first {
			t.Errorf("%s: the pid file still holds %d", until, first)
		}
		if text := h.in("systemctl", "status", "--no-pager", "nginx.service"); !strings.Contains(text, "active (running)") || strings.Count(text, "master process") != 2 {
			t.Errorf("%s: systemctl status:\n%s", until, text)
		}
		h.tells(h.must(0, "rollback"), first)
		h.runs("rolled back from "+until, before)
		h.follows("rolled back from "+until, first)
	}

	h.plan(target)
	h.must(0, apply("--until", "parked")...)
	h.tells(h.must(0, "finish"), h.master())
	after := h.sum(onDisk)
	if after == before || h.phase() != "finished" {
		t.Fatalf("phase %s, binary on disk the same: %t", h.phase(), after == before)
	}
	h.runs("finished", after)
	h.lostNothing(traffic)

	lua := "server { listen 8081; location / { content_by_lua_block { ngx.exit(%d) } } }\n"
	for n, verb := range []string{"reload", "restart"} {
		status := 210 + n
		h.write("/etc/nginx/conf.d/test.conf", fmt.Sprintf(lua, status))
		h.in("systemctl", verb, "nginx.service")
		h.answers("systemctl "+verb, status)
		h.runs("systemctl "+verb, after)
	}

	h.write("/etc/nginx/conf.d/test.conf", "") // the old binary knows no Lua
	h.in("systemctl", "reload", "nginx.service")
	traffic = h.load()
	h.must(0, "rollback")
	h.lostNothing(traffic)
	h.runs("rolled back from finished", before)
	h.serves("reload", 220, before)
	h.serves("restart", 221, before)
	if left := h.in("sh", "-c", "ls /run/systemd/system /usr/local/openresty 2>/dev/null || :"); strings.Contains(left, "nginx") {
		t.Errorf("left behind: %s", left)
	}
}

// tells checks that graft has seen, and says, what systemd makes of it.
func (h *host) tells(r result, mainPID int) {
	h.t.Helper()
	if want := fmt.Sprintf("nginx.service is active (running), MainPID %d", mainPID); !strings.Contains(r.stderr, want) {
		h.t.Errorf("no word of %q: %s", want, r)
	}
}

// Units as nginx's and OpenResty's own packages have them, and KillModes.
var variants = []struct {
	name     string
	settings []string
}{
	{"reload by the pid file", []string{
		"ExecReload=", `ExecReload=/bin/sh -c "/bin/kill -s HUP $(/bin/cat /run/nginx.pid)"`,
		"ExecStop=", `ExecStop=/bin/sh -c "/bin/kill -s TERM $(/bin/cat /run/nginx.pid)"`, "KillMode=control-group"}},
	{"reload by MAINPID", []string{
		"ExecReload=", "ExecReload=/bin/kill -s HUP $MAINPID", "ExecStop=", "ExecStop=/bin/kill -s QUIT $MAINPID", "KillMode=control-group"}},
	{"KillMode=process", []string{"KillMode=process", "Restart=on-failure"}},
}

// With PrivateTmp= and the like, as OpenResty's own unit has it, nginx sees other files than the rest of the
// host. graft tells how to come to them.
func TestSystemdUnitWithFilesOfItsOwnIsMigratedFromAmongThem(t *testing.T) {
	t.Parallel()
	h := newHost(t, "PrivateTmp=true", "ExecReload=", "ExecReload=/bin/kill -s HUP $MAINPID", "ExecStop=", "ExecStop=/bin/kill -s QUIT $MAINPID")
	before, after := h.sum(onDisk), h.sum(newer)
	h.blocks("mount-namespace", "nginx.service has files of its own", fmt.Sprintf("nsenter --target %d --mount", h.master()))
	enter := func() {
		// --root and --wd: the machine's root is not its mount namespace's.
		h.among = []string{"nsenter", "--target", fmt.Sprint(h.master()), "--mount", "--pid", "--net", "--root", "--wd"}
	}
	enter()
	h.plan(newer)
	h.must(0, apply("--park", "10m", "--detach")...)
	h.eventually("the detached graft has parked", func() bool { return h.phase() == "parked" })
	h.tells(h.must(0, "finish"), h.master())
	h.runs("finished", after)
	h.serves("reload", 210, after)
	enter()
	h.must(0, "rollback")
	h.runs("rolled back", before)
	h.serves("restart", 211, before)
}

func TestSystemdUnitVariantsFollow(t *testing.T) {
	t.Parallel()
	for _, v := range variants {
		t.Run(v.name, func(t *testing.T) {
			t.Parallel()
			h := newHost(t, v.settings...)
			before, after := h.sum(onDisk), sumOf(t, nginxtest.Release(t, "1.26.3").Path)
			traffic := h.load()
			h.plan(newer)
			h.must(0, apply()...)
			h.runs("finished", after)
			h.lostNothing(traffic)
			h.serves("reload", 210, after)
			h.serves("restart", 211, after)
			h.must(0, "rollback")
			h.runs("rolled back", before)
			h.serves("reload", 212, before)
			h.serves("restart", 213, before)
		})
	}
}
