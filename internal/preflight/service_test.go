package preflight

import (
	"fmt"
	"testing"

	"graft/internal/nginx"
	"graft/internal/nginxtest"
)

// debianUnit is what matters in the unit of Debian 12.
const debianUnit = `[Service]
Type=forking
PIDFile=%s
ExecStart=/usr/sbin/nginx -g 'daemon on; master_process on;'
ExecReload=/usr/sbin/nginx -g 'daemon on; master_process on;' -s reload
KillMode=mixed
`

func TestSystemdUnit(t *testing.T) {
	inst := nginxtest.Start(t, nginxtest.Options{})
	s := subject(t, inst, hardened(t))
	asked(t, s, "systemd-unit", OK, "no service of systemd")

	s.Instance.Supervisor = nginx.Supervisor{Kind: "systemd", Unit: "nginx.service"}
	asked(t, s, "systemd-unit", Warning, "a unit that is not there")
	removed(t, unitFile, unitFile+".d")
	write(t, unitFile, fmt.Sprintf(debianUnit, inst.PidFile))
	asked(t, s, "systemd-unit", OK, inst.PidFile, unitFile)

	write(t, unitFile+".d/graft.conf", "[Service]\nPIDFile=/run/other.pid\nRestart=always\n")
	asked(t, s, "systemd-unit", Blocker, "PIDFile=/run/other.pid", unitFile+".d/graft.conf:2", "KillMode=mixed", "Restart=always")
	write(t, unitFile+".d/graft.conf", "[Service]\nPIDFile=\n")
	asked(t, s, "systemd-unit", Blocker, "without PIDFile")
	write(t, unitFile+".d/graft.conf", "[Service]\nType=simple\n")
	asked(t, s, "systemd-unit", Blocker, "Type=simple")
	write(t, unitFile, "[Service]\nExecStart=/usr/sbin/nginx\n")
	write(t, unitFile+".d/graft.conf", "[Service]\n")
	asked(t, s, "systemd-unit", Blocker, "Type=simple", "KillMode=control-group")
}

func TestSystemdUnitAsSystemdTellsIt(t *testing.T) {
	const shown = `Type=forking
Restart=no
PIDFile=%s
MainPID=%d
RemainAfterExit=no
ExecReload={ path=/usr/sbin/nginx ; argv[]=/usr/sbin/nginx -g daemon on; master_process on; -s reload ; ignore_errors=no ; start_time=[n/a] ; stop_time=[n/a] ; pid=0 ; code=(null) ; status=0/0 }
KillMode=mixed
LoadState=%s
NeedDaemonReload=%s
`
	const master = 700
	i := nginx.Instance{Master: nginx.Process{PID: master}, Paths: nginx.Paths{Pid: "/run/nginx.pid"}}
	for name, tt := range map[string]struct {
		text string
		want Severity
	}{
		"as it should be":       {fmt.Sprintf(shown, "/run/nginx.pid", master, "loaded", "no"), OK},
		"another main process":  {fmt.Sprintf(shown, "/run/nginx.pid", 701, "loaded", "no"), Warning},
		"another pid file":      {fmt.Sprintf(shown, "/run/web.pid", master, "loaded", "no"), Blocker},
		"none, and no main one": {fmt.Sprintf(shown, "", 0, "loaded", "no"), OK},
		"none, but a main one":  {fmt.Sprintf(shown, "", master, "loaded", "no"), Blocker},
		"files edited since":    {fmt.Sprintf(shown, "/run/nginx.pid", master, "loaded", "yes"), Warning},
		"no such unit":          {fmt.Sprintf(shown, "", 0, "not-found", "no"), Warning},
		"an init script's unit": {"LoadState=loaded\nType=oneshot\nRemainAfterExit=yes\nMainPID=0\n", OK},
		"simple":                {fmt.Sprintf("LoadState=loaded\nType=simple\nMainPID=%d\n", master), Blocker},
	} {
		u, err := parseShown("nginx.service", tt.text)
		if err != nil {
			t.Fatal(err)
		}
		if c := u.survives(i); c.Severity != tt.want {
			t.Errorf("%s: %v, want %v: %s", name, c.Severity, tt.want, c.Evidence)
		}
	}
	u, err := parseShown("nginx.service", "LoadState=loaded\nExecReload={ path=/bin/kill ; argv[]=/bin/kill -s HUP $MAINPID ; ignore_errors=no }\n")
	if err != nil || !u.reloadsMainPID() || u.ExecReload != "/bin/kill -s HUP $MAINPID" {
		t.Errorf("%+v: %v", u, err)
	}
	if _, err := parseShown("nginx.service", "MainPID=none\n"); err == nil {
		t.Error("a MainPID that is no number was read")
	}
}

func TestPidFilePath(t *testing.T) {
	for value, want := range map[string]string{
		"/run/nginx.pid": "/run/nginx.pid", "nginx.pid": "/run/nginx.pid", "%t/nginx.pid": "/run/nginx.pid", "": "",
	} {
		if got := pidFilePath(value); got != want {
			t.Errorf("%s: %s, want %s", value, got, want)
		}
	}
}
