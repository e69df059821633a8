package nginx

import (
	"encoding/json"
	"strconv"

	"graft/internal/nginx/conf"
	"graft/internal/procfs"
)

// Instance is one running master, all that hangs on it, and what it reads and writes.
type Instance struct {
	Master    Process `json:"master"`
	OldMaster int     `json:"old_master,omitempty"` // this one was started by USR2 to that one, which still lives
	NewMaster int     `json:"new_master,omitempty"` // that one was started by USR2 to this one
	Workers   []Worker
	Exe       Exe
	Argv      []string
	// ArgvDoubt says why Argv may not be word for word what nginx was started with. It is rebuilt
	// from the process title, which has no boundaries.
	ArgvDoubt string
	Options   Options
	Cwd       string
	Build     Build
	Paths     Paths
	PidFile   PidFile

	// Daemonized: the master detached itself (directive daemon), so that it obeys USR2 and WINCH.
	Daemonized    bool
	MasterProcess bool
	Supervisor    Supervisor
	// MountNamespace is false if the master sees other files than graft does: a container.
	MountNamespace bool

	Listen  []procfs.Listener
	Logs    Logs
	Modules []string // load_module, absolute
	Config  *conf.Config
	// ConfigError: the configuration on disk cannot be read. The running one was another.
	ConfigError error
}

// Exe is the file the master runs, which may no longer be at its path.
type Exe struct {
	Path string `json:"path"`
	procfs.FileID
	SHA256  string `json:"sha256"`
	Deleted bool   `json:"deleted"`
}

// PidFile is what the pid file says, against what runs.
type PidFile struct {
	Path   string `json:"path"`
	Holds  int    `json:"holds,omitempty"`  // the pid in it
	Error  string `json:"error,omitempty"`  // why there is none
	OldBin int    `json:"oldbin,omitempty"` // the pid in PATH.oldbin
}

// Logs are the instance's log files, absolute; syslog and the like as written.
type Logs struct {
	Access []string `json:"access"`
	Error  []string `json:"error"`
}

// listenJSON, instanceJSON are the shapes that `graft inspect -o json` promises.
type listenJSON struct {
	Addr      string `json:"addr"`
	Network   string `json:"network"`
	Inode     uint64 `json:"inode"`
	Reuseport bool   `json:"reuseport"`
}

// MarshalJSON writes the instance flat, the binary's own words beside the process's.
func (i Instance) MarshalJSON() ([]byte, error) {
	listen := make([]listenJSON, len(i.Listen))
	for n, l := range i.Listen {
		listen[n] = listenJSON{l.Addr, l.Network, l.Inode, l.Reuseport}
	}
	problem := ""
	if i.ConfigError != nil {
		problem = i.ConfigError.Error()
	}
	return json.Marshal(struct {
		Master        Process      `json:"master"`
		OldMaster     int          `json:"old_master,omitempty"`
		NewMaster     int          `json:"new_master,omitempty"`
		Workers       []Worker     `json:"workers"`
		Exe           Exe          `json:"exe"`
		Argv          []string     `json:"argv"`
		ArgvDoubt     string       `json:"argv_doubt,omitempty"`
		Cwd           string       `json:"cwd"`
		Flavor        Flavor       `json:"flavor"`
		Version       string       `json:"version"`
		BuiltWith     string       `json:"built_with,omitempty"`
		Configure     []string     `json:"configure"`
		Prefix        string       `json:"prefix"`
		Conf          string       `json:"conf"`
		ConfError     string       `json:"conf_error,omitempty"`
		PidFile       string       `json:"pid_file"`
		PidFileHolds  int          `json:"pid_file_holds"`
		PidFileError  string       `json:"pid_file_error,omitempty"`
		PidFileOK     bool         `json:"pid_file_ok"`
		Daemonized    bool         `json:"daemonized"`
		MasterProcess bool         `json:"master_process"`
		Supervisor    Supervisor   `json:"supervisor"`
		Listen        []listenJSON `json:"listen"`
		Logs          Logs         `json:"logs"`
		Modules       []string     `json:"modules"`
	}{
		i.Master, i.OldMaster, i.NewMaster, nonNil(i.Workers), i.Exe, nonNil(i.Argv), i.ArgvDoubt, i.Cwd,
		i.Build.Flavor, i.Build.Version, i.Build.BuiltWith, nonNil(i.Build.Configure),
		i.Paths.Prefix, i.Paths.Conf, problem, i.PidFile.Path, i.PidFile.Holds, i.PidFile.Error, i.PidFileOK(),
		i.Daemonized, i.MasterProcess, i.Supervisor, listen, Logs{nonNil(i.Logs.Access), nonNil(i.Logs.Error)}, nonNil(i.Modules),
	})
}

// PidFileOK tells whether the pid file names this master.
func (i Instance) PidFileOK() bool { return i.PidFile.Holds == i.Master.PID }

// Accepting lists the workers that take new connections.
func (i Instance) Accepting() int {
	return len(Tree{Workers: i.Workers}.Accepting())
}

// WorkersToCome is how many workers a master that reads the configuration now starts; 0 if it cannot
// be told. What runs may differ: within 100 ms of a reload both generations accept.
func (i Instance) WorkersToCome(fs procfs.FS) int {
	if i.Config == nil {
		return 0
	}
	switch value := i.Config.Value("worker_processes"); value {
	case "":
		return 1 // ngx_core_module_init_conf
	case "auto":
		n, err := fs.CPUs()
		if err != nil {
			return 0
		}
		return n
	default:
		n, err := strconv.Atoi(value)
		if err != nil {
			return 0
		}
		return n
	}
}

func nonNil[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}
