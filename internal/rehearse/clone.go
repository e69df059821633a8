package rehearse

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"graft/internal/nginx"
	"graft/internal/procfs"
	"graft/internal/sandbox"
)

// Start is how a master was started, as far as it can be known: what the clone's is started with.
type Start struct {
	Binary     string     `json:"binary"` // the file that argv[0] leads to, links followed
	Argv       []string   `json:"argv"`
	Cwd        string     `json:"cwd"`
	Env        []string   `json:"env"`
	PidFile    string     `json:"pid_file"`
	Workers    int        `json:"workers"` // that the configuration asks for; 0: not known
	Attributes Attributes `json:"attributes"`
	Logs       []string   `json:"logs"`   // files that would be opened for appending
	Caches     []string   `json:"caches"` // directories of proxy_cache_path and its kin
}

// clone is this host, copied: what lies at its paths, and the nginx that runs on it.
type clone struct {
	Start
	fs       procfs.FS
	patience time.Duration
}

// emptyLogs puts an empty file in the place of each log. Opening the host's own for appending would
// copy it into the clone's memory, however large it is.
func (c clone) emptyLogs() error {
	for _, log := range c.Logs {
		var st syscall.Stat_t
		log, err := filepath.EvalSymlinks(log)
		if err != nil || syscall.Stat(log, &st) != nil || st.Mode&syscall.S_IFMT != syscall.S_IFREG || st.Size == 0 {
			continue // it is not there, or a device, a pipe: nothing to copy
		}
		err = os.Remove(log)
		if err == nil {
			err = os.WriteFile(log, nil, os.FileMode(st.Mode&0o777))
		}
		if err == nil && os.Geteuid() == 0 {
			err = os.Lchown(log, int(st.Uid), int(st.Gid))
		}
		if err != nil && !errors.Is(err, os.ErrPermission) && !errors.Is(err, syscall.EROFS) {
			return fmt.Errorf("empty the clone's log: %w", err)
		}
	}
	return nil
}

// emptyCaches lays an empty directory over each cache: a cache of the host would be walked by the
// clone's cache loader, and would answer for upstreams that are to be asked.
func (c clone) emptyCaches() error {
	for _, dir := range c.Caches {
		var st syscall.Stat_t
		if err := syscall.Stat(dir, &st); err != nil || st.Mode&syscall.S_IFMT != syscall.S_IFDIR {
			continue
		}
		options := fmt.Sprintf("mode=%o,uid=%d,gid=%d", st.Mode&0o7777, st.Uid, st.Gid)
		if err := syscall.Mount("tmpfs", dir, "tmpfs", syscall.MS_NOSUID|syscall.MS_NODEV, options); err != nil && !errors.Is(err, syscall.EPERM) {
			return fmt.Errorf("empty the clone's cache %s: %w", dir, err)
		}
	}
	return nil
}

// putBinary lays the binary at the path that argv[0] leads to.
func (c clone) putBinary(from io.Reader) error {
	beside := c.Binary + ".graft-clone"
	to, err := os.OpenFile(beside, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o755)
	if err != nil {
		return fmt.Errorf("put the binary into the clone: %w", err)
	}
	_, err = io.Copy(to, from)
	if err := errors.Join(err, to.Close()); err != nil {
		return fmt.Errorf("put the binary into the clone: %w", err)
	}
	if err := os.Rename(beside, c.Binary); err != nil {
		return fmt.Errorf("put the binary into the clone: %w", err)
	}
	return nil
}

// start starts nginx and returns when all of its workers run.
func (c clone) start(ctx context.Context) (nginx.Instance, error) {
	if err := os.Remove(c.PidFile); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nginx.Instance{}, fmt.Errorf("start nginx in the clone: %w", err)
	}
	said, err := c.launch(ctx)
	if err != nil {
		return nginx.Instance{}, fmt.Errorf("start nginx in the clone: %w: %s", err, said)
	}
	pid, err := c.await(ctx)
	if err != nil {
		return nginx.Instance{}, fmt.Errorf("start nginx in the clone: %w: %s", err, said)
	}
	return nginx.Inspect(ctx, c.fs, pid)
}

// launch executes the binary through [become], which gives it the master's attributes. A daemon's
// first process ends as soon as it is up.
func (c clone) launch(ctx context.Context) (said string, err error) {
	text, err := json.Marshal(c.Start)
	if err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(ctx, c.patience)
	defer cancel()
	// Through a file: the daemon keeps the descriptor, and a pipe would be waited for.
	out, err := os.CreateTemp("", "graft-clone-")
	if err != nil {
		return "", err
	}
	defer os.Remove(out.Name())
	defer out.Close()
	cmd := exec.CommandContext(ctx, "/proc/self/exe", becomeArg)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(text), out, out
	cmd.Dir = "/"
	if err := sandbox.AsCaller(cmd); err != nil {
		return "", err
	}
	err = cmd.Run()
	words, readErr := os.ReadFile(out.Name())
	return strings.TrimSpace(string(words)), errors.Join(err, readErr)
}

// await waits for the pid file to name a master all of whose workers accept.
func (c clone) await(ctx context.Context) (pid int, err error) {
	lacking := "there is no pid file"
	for end := time.Now().Add(c.patience); time.Now().Before(end); time.Sleep(2 * time.Millisecond) {
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		if pid, err = nginx.ReadPidFile(c.PidFile); err != nil {
			lacking = err.Error()
			continue
		}
		tree, err := nginx.ReadTree(c.fs, pid)
		if err != nil {
			lacking = err.Error()
			continue
		}
		n := len(tree.Accepting())
		if n > 0 && (n == c.Workers || c.Workers == 0) {
			return pid, nil
		}
		lacking = fmt.Sprintf("master %d has %d workers, its configuration asks for %d", pid, n, c.Workers)
	}
	return 0, fmt.Errorf("its workers did not come up within %s: %s", c.patience, lacking)
}

// becomeArg marks the execution of this program that becomes nginx.
const becomeArg = "graft-rehearse-become"

// become takes on the master's attributes and executes nginx: what the clone's nginx comes out of.
func become() {
	var s Start
	err := json.NewDecoder(os.Stdin).Decode(&s)
	if err == nil {
		err = s.become()
	}
	fmt.Fprintf(os.Stderr, "become nginx: %v\n", err)
	os.Exit(1)
}

func (s Start) become() error {
	if null, err := os.Open(os.DevNull); err == nil {
		_ = syscall.Dup3(int(null.Fd()), 0, 0) // as for a service
	}
	if err := os.Chdir(s.Cwd); err != nil {
		return err
	}
	if err := s.Attributes.assume(); err != nil {
		return err
	}
	return &os.PathError{Op: "execute", Path: s.Binary, Err: syscall.Exec(filepath.Clean(s.Binary), s.Argv, s.Env)}
}
