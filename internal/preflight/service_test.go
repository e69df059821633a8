package preflight

import (
	"fmt"
	"testing"

	"graft/internal/nginx"
	"graft/internal/nginxtest"
	"graft/internal/systemd"
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
	const master = 700
	const unit = "nginx.service"
	debian := func(pidFile string, main int) systemd.Unit {
		return systemd.Unit{
			Name: unit, PIDFile: pidFile, MainPID: main, Settings: systemd.Settings{Loaded: true, Type: "forking", KillMode: "mixed", Restart: "no"},
			ExecReload: "{ path=/usr/sbin/nginx ; argv[]=/usr/sbin/nginx -g daemon on; master_process on; -s reload ; ignore_errors=no ; pid=0 ; code=(null) ; status=0/0 }",
		}
	}
	edited, one := debian("/run/nginx.pid", master), debian("/run/nginx.pid", master)
	edited.NeedDaemonReload, one.KillMode = true, "process"
	i := nginx.Instance{Master: nginx.Process{PID: master}, Paths: nginx.Paths{Pid: "/run/nginx.pid"}}
	for name, tt := range map[string]struct {
		unit systemd.Unit
		want Severity
	}{
		"as it should be":       {debian("/run/nginx.pid", master), OK},
		"another main process":  {debian("/run/nginx.pid", 701), Blocker},
		"another pid file":      {debian("/run/web.pid", master), Blocker},
		"none, and no main one": {debian("", 0), OK},
		"none, but a main one":  {debian("", master), Blocker},
		"files edited since":    {edited, Warning},
		"no such unit":          {systemd.Unit{Name: unit}, Warning},
		"an init script's unit": {systemd.Unit{Name: unit, Settings: systemd.Settings{Loaded: true, Type: "oneshot", RemainAfterExit: true}}, OK},
		"kills one process":     {one, Warning},
		"simple":                {systemd.Unit{Name: unit, MainPID: master, Settings: systemd.Settings{Loaded: true, Type: "simple"}}, Blocker},
	} {
		if c := shownService(tt.unit).survives(i); c.Severity != tt.want {
			t.Errorf("%s: %v, want %v: %s", name, c.Severity, tt.want, c.Evidence)
		}
	}
	kills := debian("/run/nginx.pid", master)
	kills.ExecReload = "{ path=/bin/kill ; argv[]=/bin/kill -s HUP $MAINPID ; ignore_errors=no }"
	if s := shownService(kills); !s.reloadsMainPID() || s.ExecReload != "/bin/kill -s HUP $MAINPID" {
		t.Errorf("%+v", s)
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
