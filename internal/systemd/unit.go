// Package systemd asks the systemd that runs this host about a service, and has it read the service's
// PIDFile once more.
package systemd

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"
)

// Unit is what systemd knows of a service right now. The names are systemd's own.
type Unit struct {
	Name        string `json:"unit"`
	ActiveState string `json:"active_state"`
	SubState    string `json:"sub_state"`
	Result      string `json:"result"`
	MainPID     int    `json:"main_pid"` // 0: none
	PIDFile     string `json:"pid_file,omitempty"`
	ExecReload  string `json:"exec_reload,omitempty"` // as systemctl show prints it
	// NeedDaemonReload: its files were changed after systemd read them.
	NeedDaemonReload bool `json:"need_daemon_reload,omitempty"`

	Settings `json:"-"`
}

// Settings are those that decide what systemd does when a process of the service ends.
type Settings struct {
	Loaded                  bool // there is such a unit
	Type, KillMode, Restart string
	RemainAfterExit         bool
}

// Active tells whether systemd takes the service for running.
func (u Unit) Active() bool { return u.ActiveState == "active" || u.ActiveState == "reloading" }

// Reloads are the commands of ExecReload, as they would stand in a unit's file.
func (u Unit) Reloads() []string {
	var commands []string
	for _, shown := range strings.Split(u.ExecReload, "argv[]=")[1:] {
		command, _, _ := strings.Cut(shown, " ; ")
		commands = append(commands, strings.TrimSpace(command))
	}
	return commands
}

// String shows it as systemctl status does.
func (u Unit) String() string {
	return fmt.Sprintf("%s is %s (%s), MainPID %d", u.Name, u.ActiveState, u.SubState, u.MainPID)
}

// Running tells whether systemd is what the processes here are supervised by: the host was booted with it
// (sd_booted(3)), and it is pid 1 among them. In a sandbox or a container that shows the host's /run it is
// not, and what it would be told there would be done to the host.
func Running() bool {
	info, err := os.Lstat("/run/systemd/system")
	if err != nil || !info.IsDir() {
		return false
	}
	name, err := os.ReadFile("/proc/1/comm")
	return err == nil && strings.TrimSpace(string(name)) == "systemd"
}

// ErrNotRunning says that this host was not booted with systemd, or that it is out of reach (a sandbox).
var ErrNotRunning = errors.New("systemd does not run here")

// timeout bounds one answer of systemd's. Reading all unit files again takes seconds on a slow disk.
const timeout = 30 * time.Second

const properties = "ActiveState,SubState,Result,MainPID,PIDFile,ExecReload,NeedDaemonReload,LoadState,Type,KillMode,Restart,RemainAfterExit"

// Show asks for a unit. One that does not exist is inactive.
func Show(ctx context.Context, name string) (Unit, error) {
	if !Running() {
		return Unit{}, ErrNotRunning
	}
	out, err := systemctl(ctx, "show", "--no-pager", "--property="+properties, "--", name)
	if err != nil {
		return Unit{}, err
	}
	return parse(name, out)
}

func parse(name, text string) (Unit, error) {
	u := Unit{Name: name}
	for line := range strings.Lines(text) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		switch key {
		case "ActiveState":
			u.ActiveState = value
		case "SubState":
			u.SubState = value
		case "Result":
			u.Result = value
		case "PIDFile":
			u.PIDFile = value
		case "ExecReload":
			u.ExecReload += value
		case "NeedDaemonReload":
			u.NeedDaemonReload = value == "yes"
		case "LoadState":
			u.Loaded = value == "loaded"
		case "Type":
			u.Type = value
		case "KillMode":
			u.KillMode = value
		case "Restart":
			u.Restart = value
		case "RemainAfterExit":
			u.RemainAfterExit = value == "yes"
		case "MainPID":
			pid, err := strconv.Atoi(value)
			if err != nil {
				return Unit{}, fmt.Errorf("systemctl show %s: MainPID: %w", name, err)
			}
			u.MainPID = pid
		}
	}
	if u.ActiveState == "" {
		return Unit{}, fmt.Errorf("systemctl show %s: no ActiveState in %q", name, text)
	}
	return u, nil
}

func systemctl(ctx context.Context, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	var stderr strings.Builder
	cmd := exec.CommandContext(ctx, "systemctl", args...)
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("systemctl %s: %w %s", strings.Join(args, " "), err, strings.TrimSpace(stderr.String()))
	}
	return string(out), nil
}
