// The demo shows a whole migration under load, and a whole rollback, on this distribution's nginx.
//
// Nothing of the machine is touched: what is fetched and built lies in the user's cache directory,
// and each of the two acts plays in a sandbox of its own, with its own files, processes and network.
// It exits with 1 if a single request was lost.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"syscall"

	"graft/internal/sandbox"
)

func main() {
	sandbox.Main()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintf(os.Stderr, "\ndemo: %v\n", err)
		os.Exit(1)
	}
}

// run takes the path of graft and, inside a sandbox, the act's name.
func run(ctx context.Context, args []string) error {
	if len(args) == 0 {
		return errors.New("usage: demo GRAFT")
	}
	s, err := newStage(args[0])
	if err != nil {
		return err
	}
	if len(args) > 1 {
		return s.play(ctx, args[1])
	}
	if os.Geteuid() != 0 {
		return errors.New("it plays as root, like a host's nginx does, in a sandbox of its own: sudo make demo")
	}
	if err := s.prepare(ctx); err != nil {
		return err
	}
	for _, act := range []string{actMigrate, actRollback} {
		if err := enter(ctx, args[0], act); err != nil {
			return err
		}
	}
	fmt.Println("\nNothing was lost. README.md tells what to do next.")
	return nil
}

// enter plays one act in a fresh sandbox.
func enter(ctx context.Context, graft, act string) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	cmd, err := sandbox.Command(ctx, sandbox.Options{}, self, graft, act)
	if err != nil {
		return err
	}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = nil, os.Stdout, os.Stderr
	if err := cmd.Run(); err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			return fmt.Errorf("the act %q failed", act)
		}
		return err
	}
	return nil
}
