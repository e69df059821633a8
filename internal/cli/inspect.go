package cli

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"graft/internal/nginx"
)

func (a *app) inspectCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "inspect",
		Short: "Show every running instance of the nginx family, and all that a migration depends on",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			instances, err := a.instances(cmd.Context())
			if err != nil {
				return err
			}
			return a.answer(map[string]any{"instances": instances}, func(w io.Writer) {
				for n, i := range instances {
					if n > 0 {
						fmt.Fprintln(w)
					}
					showInstance(w, i)
				}
			})
		},
	}
}

// instances are those that run, or the one that --pid or --pid-file names.
func (a *app) instances(ctx context.Context) ([]nginx.Instance, error) {
	pid, err := a.named()
	if err != nil {
		return nil, err
	}
	if pid != 0 {
		i, err := nginx.Inspect(ctx, a.fs, pid)
		if err != nil {
			return nil, &Error{CodeFailed, err, "graft inspect without --pid shows what runs"}
		}
		return []nginx.Instance{i}, nil
	}
	list, err := nginx.Discover(ctx, a.fs)
	if err != nil {
		return nil, err
	}
	if len(list) == 0 {
		return nil, failf(CodeFailed, "graft works on a running nginx: start it first", "no nginx, OpenResty or relative of theirs runs here")
	}
	return list, nil
}

// named is the master that --pid or --pid-file names; 0 if neither is given.
func (a *app) named() (int, error) {
	if a.pidFile == "" {
		return a.pid, nil
	}
	holds, err := nginx.ReadPidFile(a.pidFile)
	if err != nil {
		return 0, failf(CodeUsage, "graft inspect without --pid-file shows what runs", "--pid-file: %w", err)
	}
	if a.pid != 0 && a.pid != holds {
		return 0, failf(CodeUsage, "", "--pid %d and --pid-file %s, which holds %d, name two instances", a.pid, a.pidFile, holds)
	}
	return holds, nil
}

// instance is the one that a command works on.
func (a *app) instance(ctx context.Context) (nginx.Instance, error) {
	list, err := a.instances(ctx)
	if err != nil {
		return nginx.Instance{}, err
	}
	return onlyOne(list)
}

func onlyOne(list []nginx.Instance) (nginx.Instance, error) {
	if len(list) > 1 {
		var names []string
		for _, i := range list {
			names = append(names, fmt.Sprintf("%d (%s, %s)", i.Master.PID, i.Exe.Path, i.Paths.Conf))
		}
		return nginx.Instance{}, failf(CodeUsage, "--pid names the master", "%d instances run: %s", len(list), strings.Join(names, "; "))
	}
	return list[0], nil
}

func showInstance(w io.Writer, i nginx.Instance) {
	line := func(name, format string, args ...any) {
		fmt.Fprintf(w, "  %-12s %s\n", name, fmt.Sprintf(format, args...))
	}
	fmt.Fprintf(w, "%s %s, master %d\n", i.Build.Flavor, i.Build.Version, i.Master.PID)
	switch {
	case i.OldMaster != 0:
		line("upgrade", "started by USR2 to master %d, which still lives", i.OldMaster)
	case i.NewMaster != 0:
		line("upgrade", "has started master %d by USR2", i.NewMaster)
	}
	line("workers", "%s", workers(i))
	gone := ""
	if i.Exe.Deleted {
		gone = " (no longer at this path)"
	}
	line("binary", "%s%s, device %d, inode %d", i.Exe.Path, gone, i.Exe.Dev, i.Exe.Inode)
	line("sha256", "%s", i.Exe.SHA256)
	line("argv", "%s", strings.Join(quoteAll(i.Argv), " "))
	if i.ArgvDoubt != "" {
		line("", "not certain: %s", i.ArgvDoubt)
	}
	line("cwd", "%s", i.Cwd)
	line("prefix", "%s", i.Paths.Prefix)
	line("conf", "%s", i.Paths.Conf)
	if i.ConfigError != nil {
		line("", "on disk it cannot be read: %v", i.ConfigError)
	}
	line("pid file", "%s%s", i.PidFile.Path, pidFileNote(i))
	line("daemonized", "%s", yesNo(i.Daemonized))
	line("supervisor", "%s %s", i.Supervisor.Kind, i.Supervisor.Unit)
	for _, l := range i.Listen {
		note := ""
		if l.Reuseport {
			note = ", reuseport"
		}
		line("listen", "%s %s (inode %d%s)", l.Network, l.Addr, l.Inode, note)
	}
	line("access log", "%s", orNone(i.Logs.Access))
	line("error log", "%s", orNone(i.Logs.Error))
	line("modules", "%s", orNone(i.Modules))
	line("configure", "%s", nginx.QuoteConfigure(i.Build.Configure))
}

func workers(i nginx.Instance) string {
	var list []string
	for _, wk := range i.Workers {
		text := strconv.Itoa(wk.PID)
		if wk.Role != nginx.RoleWorker {
			text += " (" + string(wk.Role) + ")"
		}
		if wk.ShuttingDown {
			text += " (shutting down)"
		}
		list = append(list, text)
	}
	return orNone(list)
}

func pidFileNote(i nginx.Instance) string {
	switch {
	case i.PidFileOK():
		return ""
	case i.PidFile.Error != "":
		return ": " + i.PidFile.Error
	}
	return fmt.Sprintf(": holds %d, not this master", i.PidFile.Holds)
}

func quoteAll(argv []string) []string {
	quoted := make([]string, len(argv))
	for i, arg := range argv {
		if quoted[i] = arg; arg == "" || strings.ContainsAny(arg, " ;'\"$*?") {
			quoted[i] = "'" + strings.ReplaceAll(arg, "'", `'\''`) + "'"
		}
	}
	return quoted
}

func orNone(list []string) string {
	if len(list) == 0 {
		return "none"
	}
	return strings.Join(list, ", ")
}

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}
