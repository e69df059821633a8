package parity

import (
	"io/fs"
	"os"
	"path"
	"strings"
	"time"

	"graft/internal/nginx/conf"
	"graft/internal/nginx/route"
)

// Source says where requests are taken from.
type Source struct {
	Config *conf.Config
	Prefix string // that relative paths of logs and roots are resolved against
	Root   string // the file system the logs are read in; "" is "/"
	// DefaultLog is the compiled-in access log (-V's --http-log-path), used where no access_log is set.
	DefaultLog string
	// Unprivileged: nginx was not started by root; a server without listen then takes port 8000.
	Unprivileged bool
	Hostname     string // for server_name $hostname; this host's if empty

	Max      int           // requests kept of the logs, and of the configuration; 2000 if 0
	MaxBytes int64         // read from the end of each log file; 4 MiB if 0
	Budget   time.Duration // for reading all logs; 2 s if 0
}

const (
	defaultMax      = 2000
	defaultMaxBytes = 4 << 20
	defaultBudget   = 2 * time.Second
)

func (s Source) max() int {
	if s.Max > 0 {
		return s.Max
	}
	return defaultMax
}

func (s Source) hostname() string {
	if s.Hostname != "" {
		return s.Hostname
	}
	name, err := os.Hostname()
	if err != nil {
		return "" // no server_name is chosen by it then
	}
	return name
}

func (s Source) router() *route.Router {
	return route.New(s.Config, route.Options{Unprivileged: s.Unprivileged, Hostname: s.hostname()})
}

// path is a path of the configuration in the file system that is read.
func (s Source) path(written string) string {
	if !path.IsAbs(written) {
		written = path.Join(s.Prefix, written)
	}
	return path.Join(s.Root, written)
}

// maxFileAsked bounds the files that are asked for by themselves.
const maxFileAsked = 1 << 20

// fileBelow is the name of a file that a prefix location may serve right below its prefix, or "".
func (s Source) fileBelow(l *route.Location) string {
	dir := ""
	alias := false
	for block := l.Block; dir == ""; block = block.Parent {
		for _, d := range s.Config.Directives {
			if block == nil && d.Name == "root" {
				dir = d.Arg(0)
			}
		}
		if block == nil {
			break
		}
		for _, d := range block.Block {
			if d.Name == "root" || d.Name == "alias" && block == l.Block {
				dir, alias = d.Arg(0), d.Name == "alias"
			}
		}
	}
	if dir == "" {
		dir = "html" // compiled in
	}
	if strings.Contains(dir, "$") {
		return ""
	}
	if dir = s.path(dir); !alias {
		dir = path.Join(dir, l.Name)
	}
	return firstFile(dir)
}

// firstFile is the first plain, readable file of a directory that is not hidden. The directory is
// not read whole: it may hold millions.
func firstFile(dir string) string {
	f, err := os.Open(dir)
	if err != nil {
		return "" // nothing is served from there
	}
	defer f.Close()
	entries, _ := f.ReadDir(64)
	best := ""
	for _, e := range entries {
		name := e.Name()
		info, err := e.Info()
		if err != nil || info.Mode()&fs.ModeType != 0 || info.Size() > maxFileAsked || info.Size() == 0 || strings.HasPrefix(name, ".") {
			continue
		}
		if best == "" || name < best {
			best = name
		}
	}
	return best
}
