package rehearse

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
)

// emptyLogs puts an empty file in the place of each log. Opening the host's own for appending would
// copy it into the clone's memory, however large it is. A pipe gets a reader, as it has on the host:
// without one nginx would wait for it.
func (c clone) emptyLogs() error {
	for _, name := range c.Logs {
		for _, log := range filesOf(name) {
			st, err := os.Stat(log)
			switch {
			case err != nil:
				continue // a link that leads nowhere
			case st.Mode().Type() == fs.ModeNamedPipe:
				err = drain(log)
			case st.Mode().IsRegular() && st.Size() > 0:
				err = emptyFile(log, st)
			}
			if err != nil && !errors.Is(err, os.ErrPermission) && !errors.Is(err, syscall.EROFS) {
				return fmt.Errorf("empty the clone's log: %w", err)
			}
		}
	}
	return nil
}

var variable = regexp.MustCompile(`\$(?:\{\w+\}|\w+)`)

// filesOf are the files that there are of a log, links followed: of one with variables in its name, those
// of all their values.
func filesOf(log string) []string {
	if !filepath.IsAbs(log) {
		return nil // syslog, stderr
	}
	names := []string{log}
	if variable.MatchString(log) {
		pattern := strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(log)
		names, _ = filepath.Glob(variable.ReplaceAllString(pattern, "*")) // a pattern of ours is well formed
	}
	var files []string
	for _, name := range names {
		if real, err := filepath.EvalSymlinks(name); err == nil {
			files = append(files, real)
		}
	}
	return files
}

func emptyFile(log string, was fs.FileInfo) error {
	if err := os.Remove(log); err != nil {
		return err
	}
	if err := errors.Join(os.WriteFile(log, nil, was.Mode().Perm()), os.Chmod(log, was.Mode().Perm())); err != nil {
		return err
	}
	owner, ok := was.Sys().(*syscall.Stat_t)
	if !ok || os.Geteuid() != 0 {
		return nil
	}
	if err := os.Lchown(log, int(owner.Uid), int(owner.Gid)); !errors.Is(err, syscall.EINVAL) {
		return err
	}
	return nil // an owner that is not known in this user namespace
}

// drain reads what is written to a pipe, for as long as the clone lives.
func drain(pipe string) error {
	f, err := os.OpenFile(pipe, os.O_RDWR, 0) // with a writer of its own it never ends
	if err != nil {
		return err
	}
	go func() {
		_, _ = io.Copy(io.Discard, f) // the clone's end is its end
		f.Close()
	}()
	return nil
}

// cacheRoom is what a cache may take, in bytes: a few thousand answers are asked for.
const cacheRoom = 64 << 20

// emptyCaches lays an empty directory over each cache: a cache of the host would be walked by the
// clone's cache loader, and would answer for upstreams that are to be asked.
func (c clone) emptyCaches() error {
	for _, dir := range c.Caches {
		var st syscall.Stat_t
		if err := syscall.Stat(dir, &st); err != nil || st.Mode&syscall.S_IFMT != syscall.S_IFDIR {
			continue
		}
		options := fmt.Sprintf("size=%d,mode=%o,uid=%d,gid=%d", cacheRoom, st.Mode&0o7777, st.Uid, st.Gid)
		err := syscall.Mount("tmpfs", dir, "tmpfs", syscall.MS_NOSUID|syscall.MS_NODEV, options)
		if err != nil && !errors.Is(err, syscall.EPERM) && !errors.Is(err, syscall.EINVAL) { // an owner of another user namespace
			return fmt.Errorf("empty the clone's cache %s: %w", dir, err)
		}
	}
	return nil
}
