// Graft puts another binary of the nginx family under a running nginx and takes it back.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"graft/internal/cli"
	"graft/internal/sandbox"
)

func main() {
	sandbox.Main()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(cli.Main(ctx, os.Args[1:], cli.Streams{In: os.Stdin, Out: os.Stdout, Err: os.Stderr}))
}
