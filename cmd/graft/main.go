// Graft puts another binary of the nginx family under a running nginx and takes it back.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"graft/internal/cli"
	"graft/internal/rehearse"
	"graft/internal/sandbox"
)

func main() {
	sandbox.Main()
	rehearse.Main()
	// A closed terminal or a pipe whose reader is gone must not end graft inside a step.
	signal.Ignore(syscall.SIGPIPE)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	os.Exit(cli.Main(ctx, os.Args[1:], cli.Streams{In: os.Stdin, Out: os.Stdout, Err: os.Stderr}))
}
