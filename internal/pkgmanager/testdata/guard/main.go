// Command guard puts the guard of an installation up or takes it back, for tests that kill it.
package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"graft/internal/pkgmanager"
)

func main() {
	what, root, dir, binary := os.Args[1], os.Args[2], os.Args[3], os.Args[4]
	ctx, h := context.Background(), pkgmanager.Host{Root: root}
	var err error
	switch what {
	case "protect":
		err = h.Protect(ctx, dir, h.Consider(ctx, binary, ""), time.Second)
	case "lift":
		_, err = h.Lift(ctx, dir, time.Second)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
