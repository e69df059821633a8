package nginx

import (
	"path"
	"strings"
)

// Paths are where an instance really reads and writes: the binary's compiled-in defaults, changed
// by its options. All are absolute.
type Paths struct {
	Prefix     string `json:"prefix"`      // ends in "/"
	Conf       string `json:"conf"`        // the configuration file
	ConfPrefix string `json:"conf_prefix"` // its directory: what relative includes and certificates lie under
	Pid        string `json:"pid_file"`
	ErrorLog   string `json:"error_log"` // or "stderr"
}

// Paths resolves as ngx_process_options does. cwd is the master's working directory, which relative
// options count from; pid is the value of the pid directive in effect, or empty.
func (b Build) Paths(o Options, cwd, pid string) Paths {
	p := Paths{Prefix: b.Prefix}
	if o.Prefix != "" {
		p.Prefix = o.Prefix
	}
	p.Prefix = under(cwd, p.Prefix)
	if !strings.HasSuffix(p.Prefix, "/") {
		p.Prefix += "/"
	}
	p.Conf = under(p.Prefix, first(o.Conf, b.Conf))
	p.ConfPrefix = path.Dir(p.Conf) + "/"
	p.Pid = under(p.Prefix, first(pid, b.Pid))
	if p.ErrorLog = first(o.ErrorLog, b.ErrorLog); p.ErrorLog != "stderr" {
		p.ErrorLog = under(p.Prefix, p.ErrorLog)
	}
	return p
}

// OldBin is where nginx moves the pid file at USR2 (NGX_OLDPID_EXT).
func OldBin(pidFile string) string { return pidFile + ".oldbin" }

func under(dir, p string) string {
	if path.IsAbs(p) {
		return path.Clean(p)
	}
	return path.Join(dir, p)
}

func first(values ...string) string {
	for _, v := range values {
		if v != "" {
			return v
		}
	}
	return ""
}
