package rehearse

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"graft/internal/durable"
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

// putBinary lays the binary at the path that argv[0] leads to, with the attributes of the file that
// lies there, file capabilities among them.
func (c clone) putBinary(from io.ReadSeeker) error {
	attributes, err := durable.ReadAttributes(c.Binary)
	if err != nil {
		attributes = durable.Private(0o755)
	}
	err = durable.Replace("clone", c.Binary, from, attributes)
	if errors.Is(err, syscall.EINVAL) || errors.Is(err, syscall.EPERM) { // owners and labels that a user namespace cannot give
		if _, err := from.Seek(0, io.SeekStart); err != nil {
			return fmt.Errorf("put the binary into the clone: %w", err)
		}
		err = durable.Replace("clone", c.Binary, from, durable.Private(attributes.Mode.Perm()))
	}
	if err != nil {
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
	standBack(c.fs, pid) // a daemon has a session of its own
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

// enterCwd goes to the master's working directory. One that was removed is made, and removed, again.
func (s Start) enterCwd() error {
	err := os.Chdir(s.Cwd)
	if !errors.Is(err, fs.ErrNotExist) || !strings.HasSuffix(s.Cwd, " (deleted)") {
		return err
	}
	dir, err := os.MkdirTemp("", "graft-clone-")
	if err != nil {
		return err
	}
	return errors.Join(os.Chdir(dir), os.Remove(dir))
}

func (s Start) become() error {
	if null, err := os.Open(os.DevNull); err == nil {
		_ = syscall.Dup3(int(null.Fd()), 0, 0) // as for a service
	}
	if err := s.enterCwd(); err != nil {
		return err
	}
	if err := s.Attributes.assume(); err != nil {
		return err
	}
	return &os.PathError{Op: "execute", Path: s.Binary, Err: syscall.Exec(filepath.Clean(s.Binary), s.Argv, s.Env)}
}
