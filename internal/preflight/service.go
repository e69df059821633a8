package preflight

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"graft/internal/nginx"
	"graft/internal/systemd"
)

// service is what systemd knows of a unit, or would by its files. The names are systemd's.
type service struct {
	unit   string
	source string // whence the settings are: "systemctl show nginx.service" or the unit file

	systemd.Settings
	PIDFile, ExecReload string
	MainPID             int // 0: none; also where systemd was not asked
	NeedDaemonReload    bool
	asked               bool // systemd itself told
}

// systemctlTimeout bounds the question to systemd.
const systemctlTimeout = 10 * time.Second

// readService asks systemd, if it runs here, and otherwise reads the unit's files.
func readService(ctx context.Context, unit string) (service, error) {
	ctx, cancel := context.WithTimeout(ctx, systemctlTimeout)
	defer cancel()
	u, err := systemd.Show(ctx, unit)
	if errors.Is(err, systemd.ErrNotRunning) || errors.Is(err, exec.ErrNotFound) {
		return serviceByFiles(unit)
	}
	if err != nil {
		return service{}, err
	}
	return shownService(u), nil
}

func shownService(u systemd.Unit) service {
	return service{
		unit: u.Name, source: "systemctl show " + u.Name, asked: true, Settings: u.Settings, PIDFile: pidFilePath(u.PIDFile),
		ExecReload: strings.Join(u.Reloads(), "; "), MainPID: u.MainPID, NeedDaemonReload: u.NeedDaemonReload,
	}
}

// serviceByFiles reads the unit's files as systemd would, with its defaults (systemd.service(5), systemd.kill(5)).
func serviceByFiles(unit string) (service, error) {
	settings, err := readUnit(unit)
	if err != nil {
		return service{}, err
	}
	s := service{unit: unit, source: "no such unit in " + strings.Join(unitDirs, ", "), Settings: systemd.Settings{Loaded: len(settings) > 0}}
	if !s.Loaded {
		return s, nil
	}
	s.source = settings[0].file
	s.Type, s.KillMode, s.Restart = "simple", "control-group", "no"
	for _, key := range []string{"Type", "PIDFile", "KillMode", "Restart", "RemainAfterExit", "ExecReload"} {
		if v, found := last(settings, "Service", key); found {
			s.set(key, v.value)
			if v.file != settings[0].file {
				s.source += " with " + v.where()
			}
		}
	}
	return s, nil
}

func (s *service) set(name, value string) {
	switch name {
	case "Type":
		s.Type = value
	case "PIDFile":
		s.PIDFile = pidFilePath(value)
	case "KillMode":
		s.KillMode = value
	case "Restart":
		s.Restart = value
	case "ExecReload":
		s.ExecReload = value
	case "RemainAfterExit":
		s.RemainAfterExit = yes(value)
	}
}

// yes reads systemd's booleans.
func yes(value string) bool {
	switch strings.ToLower(value) {
	case "1", "yes", "y", "true", "t", "on":
		return true
	}
	return false
}

// pidFilePath resolves what systemd resolves: the specifier %t, and relative paths below /run.
func pidFilePath(value string) string {
	if value == "" {
		return ""
	}
	value = strings.ReplaceAll(value, "%t", "/run")
	if !filepath.IsAbs(value) {
		value = "/run/" + value
	}
	return filepath.Clean(value)
}

// reloadsMainPID tells whether ExecReload signals the process that systemd takes for the main one.
func (s service) reloadsMainPID() bool {
	return s.Loaded && (strings.Contains(s.ExecReload, "$MAINPID") || strings.Contains(s.ExecReload, "${MAINPID}"))
}

// systemdUnit tells whether the unit outlives the old master. systemd follows a daemon to another process
// only by its pid file, read at the moment when the main process ends.
func systemdUnit(e *examination) Check {
	if e.Instance.Supervisor.Kind != "systemd" {
		return ok("%s is no service of systemd (%s)", e.master(), e.FS.Path(e.Instance.Master.PID, "cgroup"))
	}
	if e.serviceErr != nil {
		return warning("let graft read the unit: systemctl cat "+e.Instance.Supervisor.Unit, "not checked: %v", e.serviceErr)
	}
	return e.service.survives(e.Instance)
}

func (s service) survives(i nginx.Instance) Check {
	edit := "systemctl edit " + s.unit
	ends := fmt.Sprintf("the unit would end with the old master, and systemd would stop the new one with it (KillMode=%s)", s.KillMode)
	if s.Restart != "no" && s.Restart != "" {
		ends += fmt.Sprintf("; Restart=%s would then start another nginx", s.Restart)
	}
	switch {
	case !s.Loaded:
		return warning("find out what started it: systemctl status "+s.unit, "the master runs in the cgroup of %s, a unit that is not there (%s)", s.unit, s.source)
	case s.Type == "oneshot" && s.RemainAfterExit:
		return ok("%s is Type=oneshot with RemainAfterExit (%s): systemd follows no process of it", s.unit, s.source)
	case s.Type != "forking":
		return blocker(edit+": [Service] Type=forking and PIDFile="+i.Paths.Pid+", without daemon off; then restart it once", "%s is Type=%s (%s): %s", s.unit, s.Type, s.source, ends)
	case s.PIDFile == "" && s.asked && s.MainPID == 0:
		return ok("%s is Type=forking, and systemd knows of no main process (%s): the unit lives as long as any process of its cgroup", s.unit, s.source)
	case s.PIDFile == "":
		return blocker(edit+": [Service] PIDFile="+i.Paths.Pid, "%s is Type=forking without PIDFile (%s): %s", s.unit, s.source, ends)
	case !samePlace(s.PIDFile, i.Paths.Pid):
		return blocker(fmt.Sprintf("%s: [Service] PIDFile=%s", edit, i.Paths.Pid), "%s has PIDFile=%s (%s), nginx writes %s: %s", s.unit, s.PIDFile, s.source, i.Paths.Pid, ends)
	case s.asked && s.MainPID != i.Master.PID:
		return blocker(s.rereads(),
			"systemd takes process %d for the main one of %s (%s), not master %d: it would not follow to the new master, and it stops the unit as soon as it notices that %d is gone", s.MainPID, s.unit, s.source, i.Master.PID, s.MainPID)
	case s.KillMode == "process" || s.KillMode == "none":
		return warning("no systemctl stop or restart of "+s.unit+" until graft has finished or rolled back; for good: "+edit+": [Service] KillMode=mixed",
			"%s has KillMode=%s (%s): a restart while both masters live ends one of them, and the other keeps the sockets that the start then cannot bind", s.unit, s.KillMode, s.source)
	case s.NeedDaemonReload:
		return warning("systemctl daemon-reload, then plan again", "the files of %s were changed after systemd read them (%s): what it will go by is not known", s.unit, s.source)
	}
	return ok("%s is Type=forking with PIDFile=%s (%s), which nginx writes: systemd follows to the new master when the old one ends", s.unit, s.PIDFile, s.source)
}

// rereads is what makes systemd read the pid file again: an ExecReload that succeeds. One that signals a
// main process which is gone fails, and then systemd stops the unit.
func (s service) rereads() string {
	reload := "systemctl reload " + s.unit
	if !s.reloadsMainPID() {
		return "have systemd read the pid file again: " + reload
	}
	dir := "/run/systemd/system/" + s.unit + ".d"
	return fmt.Sprintf("no %s, which signals $MAINPID and would have the unit stopped; have systemd read the pid file again by a reload that signals nothing: mkdir -p %[2]s; "+
		`printf '[Service]\nExecReload=\nExecReload=/bin/true\n' >%[2]s/graft.conf; systemctl daemon-reload; %[1]s; rm %[2]s/graft.conf; systemctl daemon-reload`, reload, dir)
}

// samePlace compares paths of a file that may be missing: /var/run leads to /run.
func samePlace(a, b string) bool {
	return sameFile(a, b) || filepath.Base(a) == filepath.Base(b) && sameFile(filepath.Dir(a), filepath.Dir(b))
}
