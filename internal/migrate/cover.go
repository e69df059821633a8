package migrate

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"graft/internal/nginx"
	"graft/internal/procfs"
)

// lackingSockets names a listening socket, of those given, that the master does not hold, or that none
// of its workers accepts on.
func (o *observer) lackingSockets(sockets []procfs.Listener, serving Master) (string, error) {
	theirs, err := o.fs.Sockets(serving.PID)
	if err != nil {
		return "", err
	}
	held := make(map[uint64]bool)
	for _, inode := range theirs {
		held[inode] = true
	}
	for _, l := range sockets {
		if !held[l.Inode] && !slices.Contains(o.plan.Old.Unserved, l.Inode) {
			return fmt.Sprintf("it does not hold the old master's socket on %s (inode %d)", l.Addr, l.Inode), nil
		}
	}
	missing, err := o.unserved(sockets, serving.Workers)
	if err != nil || len(missing) == 0 {
		return "", err
	}
	return "none of its workers accepts on " + strings.Join(missing, ", "), nil
}

// mustCover refuses to take the old master's workers away while one of its sockets is not accepted
// on by the new one's: after a reload to fewer workers, or without a listen (the trap reuseport-blackhole).
func (o *observer) mustCover(ctx context.Context, seen Seen) error {
	sockets, err := o.listeners(seen.Old.Process)
	if err != nil {
		return err
	}
	lacking := ""
	err = until(ctx, time.Second, "the new master to serve every socket of the old one", func() (bool, error) {
		tree, err := nginx.ReadTree(o.fs, seen.New.PID)
		if err != nil {
			return false, err
		}
		serving := Master{Process: tree.Master, Workers: tree.Accepting()}
		lacking, err = o.lackingSockets(sockets, serving)
		return lacking == "", err
	})
	if err != nil && lacking != "" {
		err = fmt.Errorf("%w: %s", err, lacking)
	}
	return err
}
