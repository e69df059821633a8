package elffile

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// SplitDebug copies the symbols and debug sections of the file at path to debugPath, and leaves the file
// without its debug sections: it keeps .symtab (see [StripLike]) and names debugPath's last element in
// .gnu_debuglink. The same input gives the same bytes. At every instant path is the whole old file or the
// whole new one, and if it is the new one, debugPath is whole, too; neither is synced to disk.
//
// It needs objcopy of binutils. A file that has no symbols, or whose symbols are already elsewhere, is
// refused.
func SplitDebug(ctx context.Context, path, debugPath string) error {
	f, err := Read(path)
	switch {
	case err != nil:
	case f.DebugLink != "":
		err = fmt.Errorf("%s names %s as the file of its symbols: they were split before", path, f.DebugLink)
	case f.Stripped && !f.DebugInfo:
		err = fmt.Errorf("%s has no symbols: compile it with -g, and do not strip it", path)
	}
	if err != nil {
		return fmt.Errorf("split debug symbols: %w", err)
	}
	err = rewrite(ctx, path, debugPath, func(string) error { return nil }, "--only-keep-debug")
	if err == nil {
		err = os.Chmod(debugPath, 0o644) // nothing in it can be executed
	}
	if err == nil {
		err = strip(ctx, path, "--strip-debug", "--add-gnu-debuglink="+debugPath)
	}
	if err != nil {
		return fmt.Errorf("split debug symbols: %w", err)
	}
	return nil
}

// StripLike takes the symbols out of the file at path if the old file is stripped, and leaves it as it is
// otherwise. What the loader reads is kept: modules still find the symbols that a program exports (-Wl,-E).
// Split the symbols off before. It needs objcopy of binutils.
func StripLike(ctx context.Context, path string, old File) error {
	f, err := Read(path)
	if err == nil && old.Stripped && !f.Stripped {
		err = strip(ctx, path, "--strip-unneeded")
	}
	if err != nil {
		return fmt.Errorf("strip: %w", err)
	}
	return nil
}

// strip replaces the file by one that is the same when it runs.
func strip(ctx context.Context, path string, args ...string) error {
	path, err := filepath.EvalSymlinks(path)
	if err != nil {
		return err
	}
	return rewrite(ctx, path, path, func(made string) error { return sameProgram(path, made) }, args...)
}

// rewrite has objcopy make a file of another, and puts it at its place if check agrees.
func rewrite(ctx context.Context, from, to string, check func(made string) error, args ...string) error {
	objcopy, err := exec.LookPath("objcopy")
	if err != nil {
		return fmt.Errorf("objcopy is needed: install binutils, which comes with gcc: %w", err)
	}
	// Beside the target, so that it can be renamed.
	dir, err := os.MkdirTemp(filepath.Dir(to), ".split-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	made := filepath.Join(dir, filepath.Base(to))
	cmd := exec.CommandContext(ctx, objcopy, append(args, "--", from, made)...)
	cmd.Env = []string{"LC_ALL=C", "PATH=" + os.Getenv("PATH")}
	cmd.WaitDelay = time.Second
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Run(); err != nil {
		return errors.Join(fmt.Errorf("%s %q: %w: %s", objcopy, args, err, bytes.TrimSpace(said.Bytes())), ctx.Err())
	}
	if err := check(made); err != nil {
		return err
	}
	return os.Rename(made, to)
}
