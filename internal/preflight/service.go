package preflight

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"graft/internal/nginx"
)

// service is what systemd knows of a unit, or would by its files. The names are systemd's.
type service struct {
	unit   string
	source string // whence the settings are: "systemctl show nginx.service" or the unit file
	exists bool

	Type, PIDFile, KillMode, Restart, ExecReload string
	MainPID                                      int // 0: none; also where systemd was not asked
	RemainAfterExit, NeedDaemonReload            bool
	asked                                        bool // systemd itself told
}

// systemctlTimeout bounds the question to systemd.
const systemctlTimeout = 10 * time.Second

// readService asks systemd, if it runs here (sd_booted(3)), and otherwise reads the unit's files.
func readService(ctx context.Context, s nginx.Supervisor) (service, error) {
	unit := "nginx.service"
	if s.Kind == "systemd" {
		unit = s.Unit
	}
	if info, err := os.Lstat("/run/systemd/system"); err == nil && info.IsDir() {
		if _, err := exec.LookPath("systemctl"); err == nil {
			return askSystemd(ctx, unit)
		}
	}
	return serviceByFiles(unit)
}

func askSystemd(ctx context.Context, unit string) (service, error) {
	ctx, cancel := context.WithTimeout(ctx, systemctlTimeout)
	defer cancel()
	const properties = "LoadState,Type,PIDFile,KillMode,Restart,ExecReload,MainPID,RemainAfterExit,NeedDaemonReload"
	out, err := exec.CommandContext(ctx, "systemctl", "show", "--no-pager", "--property="+properties, "--", unit).Output()
	if exit, failed := errors.AsType[*exec.ExitError](err); failed {
		err = fmt.Errorf("%w: %s", err, strings.TrimSpace(string(exit.Stderr)))
	}
	if err != nil {
		return service{}, fmt.Errorf("systemctl show %s: %w", unit, err)
	}
	return parseShown(unit, string(out))
}

// parseShown reads the answer of `systemctl show`: NAME=VALUE lines, a command as { path=… ; argv[]=… ; … }.
func parseShown(unit, text string) (service, error) {
	s := service{unit: unit, source: "systemctl show " + unit, asked: true}
	for line := range strings.Lines(text) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		switch name {
		case "LoadState":
			s.exists = value == "loaded"
		case "MainPID":
			pid, err := strconv.Atoi(value)
			if err != nil {
				return service{}, fmt.Errorf("%s: MainPID: %w", s.source, err)
			}
			s.MainPID = pid
		case "ExecReload":
			if _, argv, found := strings.Cut(value, "argv[]="); found {
				argv, _, _ = strings.Cut(argv, " ; ")
				s.ExecReload = strings.TrimSpace(s.ExecReload + "; " + argv)
				s.ExecReload = strings.TrimPrefix(s.ExecReload, "; ")
			}
		default:
			s.set(name, value)
		}
	}
	return s, nil
}

// serviceByFiles reads the unit's files as systemd would, with its defaults (systemd.service(5), systemd.kill(5)).
func serviceByFiles(unit string) (service, error) {
	settings, err := readUnit(unit)
	if err != nil {
		return service{}, err
	}
	s := service{unit: unit, source: "no such unit in " + strings.Join(unitDirs, ", "), exists: len(settings) > 0}
	if !s.exists {
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
	case "NeedDaemonReload":
		s.NeedDaemonReload = yes(value)
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
	return s.exists && (strings.Contains(s.ExecReload, "$MAINPID") || strings.Contains(s.ExecReload, "${MAINPID}"))
}

// systemdUnit tells whether the unit outlives the old master. systemd follows a daemon to another process
// only by its pid file, read at the moment when the main process ends.
func systemdUnit(e *examination) Check {
	if e.Instance.Supervisor.Kind != "systemd" {
		return ok("%s is no service of systemd (%s)", e.master(), or(e.FS.Path(e.Instance.Master.PID, "cgroup"), "cgroup"))
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
	case !s.exists:
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
		return warning(fmt.Sprintf("systemctl show -p MainPID %s; if %d is nothing that matters: systemctl reload %s makes systemd read the pid file again", s.unit, s.MainPID, s.unit),
			"systemd takes process %d for the main one of %s (%s), not master %d", s.MainPID, s.unit, s.source, i.Master.PID)
	case s.NeedDaemonReload:
		return warning("systemctl daemon-reload, then plan again", "the files of %s were changed after systemd read them (%s): what it will go by is not known", s.unit, s.source)
	}
	return ok("%s is Type=forking with PIDFile=%s (%s), which nginx writes: systemd follows to the new master when the old one ends", s.unit, s.PIDFile, s.source)
}

// samePlace compares paths of a file that may be missing: /var/run leads to /run.
func samePlace(a, b string) bool {
	return sameFile(a, b) || filepath.Base(a) == filepath.Base(b) && sameFile(filepath.Dir(a), filepath.Dir(b))
}
