package nginx

import (
	"context"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"

	"graft/internal/nginx/conf"
	"graft/internal/procfs"
)

// Discover finds every running instance of the family from the process table alone. A master that
// ends meanwhile is left out; one that cannot be read, for want of rights say, is an error.
func Discover(ctx context.Context, fs procfs.FS) ([]Instance, error) {
	pids, err := FindMasters(fs)
	if err != nil {
		return nil, err
	}
	instances := make([]Instance, 0, len(pids))
	for _, pid := range pids {
		i, err := Inspect(ctx, fs, pid)
		if err != nil && procfs.Gone(err) {
			continue
		}
		if err != nil {
			return nil, err
		}
		instances = append(instances, i)
	}
	return instances, nil
}

// Inspect looks at the instance of the master pid. It changes nothing: the binary is only asked for
// -V and -h, the configuration is read, not tested.
func Inspect(ctx context.Context, fs procfs.FS, pid int) (Instance, error) {
	i, err := inspect(ctx, fs, pid)
	if err != nil {
		if os.IsPermission(err) {
			err = fmt.Errorf("%w (run graft as root or as the owner of the nginx)", err)
		}
		return Instance{}, fmt.Errorf("inspect master %d: %w", pid, err)
	}
	return i, nil
}

func inspect(ctx context.Context, fs procfs.FS, pid int) (Instance, error) {
	tree, err := ReadTree(fs, pid)
	if err != nil {
		return Instance{}, err
	}
	i := Instance{Master: tree.Master, Workers: tree.Workers}
	if err := i.readProcess(fs, tree); err != nil {
		return Instance{}, err
	}
	exe := fs.Path(pid, "exe")
	if i.Exe.SHA256, err = procfs.SHA256(exe); err != nil {
		return Instance{}, err
	}
	if i.Build, err = Ask(ctx, exe); err != nil {
		return Instance{}, err
	}
	root := "/"
	if !i.MountNamespace {
		root = fs.Path(pid, "root")
	}
	i.readConfig(root)
	i.readPidFile(root)
	return i, nil
}

func (i *Instance) readProcess(fs procfs.FS, tree Tree) error {
	pid := tree.Master.PID
	exe, err := fs.Exe(pid)
	if err != nil {
		return err
	}
	i.Exe = Exe{Path: exe.Path, FileID: exe.FileID, Deleted: exe.Deleted}
	if i.Cwd, err = fs.Cwd(pid); err != nil {
		return err
	}
	stat, err := fs.Stat(pid)
	if err != nil {
		return err
	}
	i.Argv, i.ArgvDoubt = SplitCommand(tree.Command)
	if i.Options, err = ParseOptions(i.Argv); err != nil {
		i.ArgvDoubt = err.Error()
	}
	title, err := fs.Title(pid)
	if err != nil {
		return err
	}
	// setproctitle cuts what does not fit into the room of the original arguments and environment.
	if stat.TitleRoom > 0 && uint64(len(title))+2 >= stat.TitleRoom {
		i.ArgvDoubt = fmt.Sprintf("the title fills all of its %d bytes and may be cut: nginx was started with an environment too small to hold it", stat.TitleRoom)
	}
	if i.MountNamespace, err = fs.SameNamespace(pid, "mnt"); err != nil {
		return err
	}
	if i.Supervisor, err = FindSupervisor(fs, pid); err != nil {
		return err
	}
	if i.Listen, err = fs.Listeners(pid); err != nil {
		return err
	}
	if len(tree.Masters) > 0 {
		i.NewMaster = tree.Masters[0]
	}
	if above, err := ReadTree(fs, tree.PPID); err == nil {
		i.OldMaster = above.Master.PID
	}
	return nil
}

// readConfig resolves the paths and reads what the configuration on disk says.
func (i *Instance) readConfig(root string) {
	i.Paths = i.Build.Paths(i.Options, i.Cwd, "")
	i.Daemonized, i.MasterProcess = true, true
	i.Config, i.ConfigError = conf.Load(conf.Options{
		Root: root, File: i.Paths.Conf, ConfPrefix: i.Paths.ConfPrefix, Global: i.Options.Global,
	})
	if i.ConfigError != nil {
		// -g alone may still tell; what is left is what the binary would do by default.
		global, err := conf.Parse(conf.CommandLine, []byte(i.Options.Global))
		if err != nil {
			return
		}
		i.Config = &conf.Config{Directives: global, ConfPrefix: i.Paths.ConfPrefix}
	}
	i.Paths = i.Build.Paths(i.Options, i.Cwd, i.Config.Value("pid"))
	// A master born by USR2 counts as daemonized whatever the directive says (ngx_cycle.c: ngx_inherited).
	i.Daemonized = i.Config.Daemon() || i.OldMaster != 0
	i.MasterProcess = i.Config.MasterProcess()
	for _, module := range i.Config.LoadModules() {
		i.Modules = append(i.Modules, under(i.Paths.Prefix, module))
	}
	i.Logs = i.Build.Logs(i.Paths, i.Config)
}

// Logs lists the log files in effect, each once.
func (b Build) Logs(p Paths, c *conf.Config) Logs {
	l := Logs{Error: p.files(c.ErrorLogs()), Access: p.files(c.AccessLogs())}
	if len(l.Error) == 0 {
		l.Error = []string{p.ErrorLog}
	}
	if compiled := b.accessLog(p); inheritsDefault(c, "access_log") && !slices.Contains(l.Access, compiled) {
		l.Access = append(l.Access, compiled)
	}
	return l
}

func (p Paths) files(logs []conf.Log) []string {
	var files []string
	for _, log := range logs {
		file := log.Path
		switch log.Kind {
		case conf.LogOff:
			continue
		case conf.LogFile, conf.LogVariable:
			file = under(p.Prefix, log.Path)
		}
		if !slices.Contains(files, file) {
			files = append(files, file)
		}
	}
	return files
}

func (i *Instance) readPidFile(root string) {
	i.PidFile.Path = i.Paths.Pid
	at := filepath.Join(root, i.Paths.Pid)
	if holds, err := ReadPidFile(at); err != nil {
		i.PidFile.Error = err.Error()
	} else {
		i.PidFile.Holds = holds
	}
	if old, err := ReadPidFile(OldBin(at)); err == nil {
		i.PidFile.OldBin = old
	}
}

// Executable is the path that the old master hands to execve at USR2: argv[0], resolved like execve
// does, without PATH, a relative one from the working directory. ok is false for a bare name, which
// execve would look for in the working directory alone.
func (i Instance) Executable() (file string, ok bool) {
	if len(i.Argv) == 0 {
		return "", false
	}
	file = i.Argv[0]
	if path.IsAbs(file) {
		return path.Clean(file), true
	}
	return path.Join(i.Cwd, file), path.Base(file) != file
}
