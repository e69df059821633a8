package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"graft/internal/nginxtest"
)

// The acts.
const (
	actMigrate  = "migrate"
	actRollback = "rollback"
)

// stage is what both acts work with.
type stage struct {
	graft  string // the program
	source string // for graft's --source
	state  string // graft's state directory: what is built outside the sandbox is seen inside
}

func newStage(graft string) (stage, error) {
	program, err := filepath.Abs(graft)
	if err != nil {
		return stage{}, err
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return stage{}, err
	}
	s := stage{graft: program, source: "distro", state: filepath.Join(cache, "graft", "demo")}
	if tarball := os.Getenv("OPENRESTY"); tarball != "" {
		if s.source, err = filepath.Abs(tarball); err != nil {
			return stage{}, err
		}
	}
	return s, nil
}

// prepare does what needs a network: fetch the distribution's nginx, and build.
func (s stage) prepare(ctx context.Context) error {
	title("Before: Debian's nginx, and an OpenResty built with its flags")
	nginx, err := nginxtest.FetchDebian(ctx)
	if err != nil {
		return err
	}
	fmt.Printf("nginx %s, out of the distribution's package: %s\n\n", nginx.Version, nginx.Path)
	return s.run(ctx, "build", "--source", s.source, "--like", nginx.Path, "--loads", "none")
}

// run shows a command of graft and what it says.
func (s stage) run(ctx context.Context, args ...string) error {
	fmt.Println("$ graft " + strings.Join(args, " "))
	cmd := s.command(ctx, args...)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stdout
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("graft %s: %w", args[0], err)
	}
	fmt.Println()
	return nil
}

func (s stage) command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, s.graft, args...)
	cmd.Env = append(os.Environ(), "GRAFT_STATE_DIR="+s.state)
	// As a person would interrupt it, at a safe point, and not by SIGKILL.
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) } //nolint:forbidigo // graft, this process's own child
	cmd.WaitDelay = time.Minute
	return cmd
}

// play shows one act inside the sandbox.
func (s stage) play(ctx context.Context, act string) error {
	h, err := raise(ctx)
	if err != nil {
		return err
	}
	switch act {
	case actMigrate:
		return s.migrate(ctx, h)
	case actRollback:
		return s.rollback(ctx, h)
	}
	return fmt.Errorf("no act %q", act)
}

// migrate goes all the way, under load, and then serves something that nginx could not.
func (s stage) migrate(ctx context.Context, h *host) error {
	title("First act: migrate under load")
	h.show()
	l, err := startLoad(ctx)
	if err != nil {
		return err
	}
	err = s.run(ctx, "migrate", "--source", s.source, "--overlap", "4s", "--park", "4s", "--yes")
	if err := errors.Join(err, s.report(h, l)); err != nil {
		return err
	}
	title("What nginx could not: a location in Lua")
	return h.lua(ctx)
}

// rollback goes to parked, thinks better of it, and goes back.
func (s stage) rollback(ctx context.Context, h *host) error {
	title("Second act: the same host as before, and a rollback from parked")
	l, err := startLoad(ctx)
	if err != nil {
		return err
	}
	err = s.run(ctx, "migrate", "--source", s.source, "--until", "parked", "--overlap", "3s", "--no-rehearsal", "--yes", "--quiet")
	if err == nil {
		err = wait(ctx, 3*time.Second) // the new binary serves alone for a while
	}
	if err == nil {
		err = s.run(ctx, "status")
	}
	if err == nil {
		err = s.run(ctx, "rollback")
	}
	if err == nil {
		err = wait(ctx, 2*time.Second) // and the old one again
	}
	return errors.Join(err, s.report(h, l))
}

func wait(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func title(text string) {
	fmt.Printf("\n── %s %s\n\n", text, strings.Repeat("─", max(0, 96-len([]rune(text)))))
}
