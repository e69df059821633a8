package modules

import (
	"fmt"
	"os"
	"path"

	"golang.org/x/sys/unix"

	"graft/internal/nginx/conf"
)

// Loaded is what one load_module directive loads.
type Loaded struct {
	Directive *conf.Directive
	Path      string // absolute, inside the root
	Table     Table
	Err       error // why the table could not be read
}

// Dynamic reads the dynamic modules that the configuration loads, in order. A relative path is under
// prefix, as nginx takes it (not under the directory of nginx.conf). root is the file system that nginx
// sees: "" for the host's, /proc/PID/root for a process in a container.
func Dynamic(c *conf.Config, root, prefix string) []Loaded {
	var list []Loaded
	for _, d := range c.Find("load_module") {
		l := Loaded{Directive: d, Path: d.Arg(0)}
		if !path.IsAbs(l.Path) {
			l.Path = path.Join(prefix, l.Path)
		}
		l.Table, l.Err = readUnder(root, l.Path)
		list = append(list, l)
	}
	return list
}

// readUnder reads a file as a process with that root would find it: symbolic links, absolute ones
// too, are resolved inside.
func readUnder(root, name string) (Table, error) {
	if root == "" || root == "/" {
		return Read(name)
	}
	dir, err := os.OpenFile(root, unix.O_PATH|unix.O_DIRECTORY, 0)
	if err != nil {
		return Table{}, fmt.Errorf("read the modules: %w", err)
	}
	defer dir.Close()
	fd, err := unix.Openat2(int(dir.Fd()), name, &unix.OpenHow{
		Flags: unix.O_RDONLY | unix.O_NONBLOCK | unix.O_CLOEXEC, Resolve: unix.RESOLVE_IN_ROOT,
	})
	if err != nil {
		return Table{}, fmt.Errorf("read the modules: %w", &os.PathError{Op: "openat2", Path: name, Err: err})
	}
	f := os.NewFile(uintptr(fd), path.Join(root, name))
	defer f.Close()
	return readFile(f, f.Name())
}
