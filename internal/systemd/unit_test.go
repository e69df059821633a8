package systemd

import (
	"errors"
	"os"
	"slices"
	"testing"

	"graft/internal/nginxtest"
)

func TestMain(m *testing.M) { nginxtest.Main(m) }

// A rehearsal sees the host's /run. What it asked of the systemd behind that would be done to production.
func TestSystemdOutsideOfASandboxIsNotAsked(t *testing.T) {
	if err := os.MkdirAll("/run/systemd/system", 0o755); err != nil {
		t.Fatal(err)
	}
	if u, err := Show(t.Context(), "nginx.service"); !errors.Is(err, ErrNotRunning) {
		t.Errorf("%+v, %v", u, err)
	}
	if err := Reread(t.Context(), "nginx.service"); !errors.Is(err, ErrNotRunning) {
		t.Errorf("reread: %v", err)
	}
	if _, err := os.Lstat(dropIn("nginx.service")); err == nil {
		t.Error("a drop-in was written")
	}
}

func TestWhatSystemctlShowsIsRead(t *testing.T) {
	text := "MainPID=35\nActiveState=active\nSubState=running\nResult=success\nPIDFile=/run/nginx.pid\nNeedDaemonReload=yes\n" +
		"ExecReload={ path=/usr/sbin/nginx ; argv[]=/usr/sbin/nginx -g daemon on; -t ; ignore_errors=no ; pid=0 ; code=(null) ; status=0/0 }\n" +
		"ExecReload={ path=/bin/kill ; argv[]=/bin/kill -s HUP $MAINPID ; ignore_errors=no ; pid=0 ; code=(null) ; status=0/0 }\n" +
		"LoadState=loaded\nType=forking\nKillMode=mixed\nRestart=no\nRemainAfterExit=yes\n"
	u, err := parse("nginx.service", text)
	if err != nil || !u.Active() || u.MainPID != 35 || u.PIDFile != "/run/nginx.pid" || !u.NeedDaemonReload || u.Result != "success" {
		t.Errorf("%+v, %v", u, err)
	}
	if want := (Settings{Loaded: true, Type: "forking", KillMode: "mixed", Restart: "no", RemainAfterExit: true}); u.Settings != want {
		t.Errorf("%+v, want %+v", u.Settings, want)
	}
	if got := u.Reloads(); !slices.Equal(got, []string{"/usr/sbin/nginx -g daemon on; -t", "/bin/kill -s HUP $MAINPID"}) {
		t.Errorf("it reloads by %q", got)
	}
	if u.String() != "nginx.service is active (running), MainPID 35" {
		t.Error(u)
	}
	for _, bad := range []string{"", "MainPID=x\nActiveState=active\n", "MainPID=35\n"} {
		if u, err := parse("nginx.service", bad); err == nil {
			t.Errorf("%q is read as %+v", bad, u)
		}
	}
}
