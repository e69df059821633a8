package migrate

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"graft/internal/artifact"
	"graft/internal/fault"
	"graft/internal/gate"
	"graft/internal/nginx"
	"graft/internal/pkgmanager"
	"graft/internal/procfs"
)

// do carries out one action and returns when the host shows it. What it returns goes into the journal.
func (e *Engine) do(ctx context.Context, action Action, seen Seen) (any, error) {
	switch action {
	case Stage:
		return e.stage(ctx)
	case Swap:
		return nil, e.swap()
	case Start:
		return e.start(ctx, seen)
	case Verify:
		return e.verify(ctx, seen.Old, seen.New.PID, time.Now())
	case Park:
		return nil, e.park(ctx, seen)
	case Finish:
		return nil, e.finish(ctx, seen)
	case Revive:
		return nil, e.revive(ctx, seen)
	case Withdraw:
		return nil, e.withdraw(ctx, seen)
	case Dismiss:
		return nil, e.dismiss(ctx, seen)
	case Rescue:
		return nil, e.rescue(ctx, seen)
	case Release:
		return nil, e.release(ctx, seen)
	case PutBack:
		return nil, e.putBack(ctx, seen)
	case Unstage:
		return e.unstage(ctx)
	case Unguard:
		return e.unguard(ctx)
	}
	return nil, fmt.Errorf("no such action: %q", action)
}

func (e *Engine) stage(ctx context.Context) (any, error) {
	target, err := e.artifact()
	if err != nil {
		return nil, err
	}
	if err := target.Verify(); err != nil {
		return nil, err
	}
	old := e.rec.Plan.Old
	backup, err := artifact.TakeBackup(e.fs.Path(old.Master.PID, "exe"), old.Exe.SHA256, filepath.Join(e.rec.Dir, backupDir))
	if err != nil {
		return nil, err
	}
	// Before the runtime: what is staged is guarded.
	if guard := e.rec.Plan.Guard; guard != nil && !e.opts.NoPackageGuard {
		if err := e.packages.Protect(ctx, e.rec.Dir, *guard, e.opts.Patience); err != nil {
			return nil, fmt.Errorf("%w (--no-package-guard does without)", err)
		}
	}
	placed, err := target.Place("/", e.rec.Dir)
	if err != nil {
		return nil, err
	}
	return struct {
		Backup string `json:"backup"`
		Files  int    `json:"files"`
	}{backup.Path, len(placed.Files)}, nil
}

func (e *Engine) swap() error {
	target, err := e.artifact()
	if err != nil {
		return err
	}
	backup, err := e.rec.Backup()
	if err != nil {
		return err
	}
	path := e.rec.Plan.Old.Binary
	if err := artifact.RemoveLeftovers(path); err != nil {
		return err
	}
	return target.Install(path, backup.Attributes)
}

// signal sends one signal to a master that is proven to run what it should. The point names it for
// the tests that kill graft around it.
func (e *Engine) signal(to Master, exe procfs.FileID, s nginx.Signal, point string) error {
	h, err := nginx.Open(e.fs, to.Process, exe)
	if err != nil {
		return err
	}
	defer h.Close()
	fault.Point("before-" + point)
	if err := h.Signal(s); err != nil {
		return err
	}
	fault.Point("after-" + point)
	return nil
}

// exeOf is the file that a master has to run to be signalled: the plan's for the old one, and for
// the new one any file whose content is the artifact's binary.
func (e *Engine) exeOf(m Master, want Content) (procfs.FileID, error) {
	what, id, err := e.obs.content(e.fs.Path(m.PID, "exe"))
	if err != nil {
		return procfs.FileID{}, err
	}
	if what != want {
		return procfs.FileID{}, fmt.Errorf("pid %d does not run the %s binary: no signal is sent", m.PID, want)
	}
	if want == OldContent && m.Process == e.rec.Plan.Old.Master && id != e.rec.Plan.Old.Exe.FileID {
		return procfs.FileID{}, fmt.Errorf("master %d runs another file than when the plan was made: no signal is sent", m.PID)
	}
	return id, nil
}

func (e *Engine) signalOld(seen Seen, s nginx.Signal, point string) error {
	exe, err := e.exeOf(seen.Old, OldContent)
	if err != nil {
		return err
	}
	return e.signal(seen.Old, exe, s, point)
}

func (e *Engine) signalNew(to Master, s nginx.Signal, point string) error {
	exe, err := e.exeOf(to, NewContent)
	if err != nil {
		return err
	}
	return e.signal(to, exe, s, point)
}

// start sends USR2, waits for the new master and verifies it. If it dies at once, the old one takes
// its pid file back, and the error log tells why.
func (e *Engine) start(ctx context.Context, seen Seen) (any, error) {
	if _, err := e.addresses(seen.Old); err != nil {
		return nil, err
	}
	marks, err := gate.Mark(e.logs.Error)
	if err != nil {
		return nil, err
	}
	if err := e.takeBefore(ctx, marks); err != nil {
		return nil, err
	}
	// The trap usr2-poison: once the rename of the pid file has failed, the old master is spoilt.
	if holds, err := nginx.ReadPidFile(e.rec.Plan.Old.PidFile); err != nil || holds != seen.Old.PID {
		return nil, fmt.Errorf("the pid file does not name the old master %d (%w): USR2 is not sent", seen.Old.PID, orMismatch(err, holds))
	}
	// A proof that cannot see the old master answer would not see the new one either; and what it
	// needs is warm when it counts. Its workers may be others than were seen: a reload may have come while the
	// instance was measured, which takes seconds where it has many servers.
	if err := e.awaitAnswers(ctx, seen.Old); err != nil {
		return nil, fmt.Errorf("the old master: %w", err)
	}
	still, err := changed(e.rec.Plan.Old.PidFile)
	if err != nil {
		return nil, err
	}
	if err := e.signalOld(seen, nginx.USR2, "usr2"); err != nil {
		return nil, err
	}
	sent := time.Now()
	pid, err := e.awaitNew(ctx, seen.Old, still)
	if err != nil {
		return nil, e.withErrorLog(err, marks)
	}
	// Nothing is written to the journal in between: an fsync may take longer than nginx's start.
	return e.verify(ctx, seen.Old, pid, sent)
}

// changed is when the file at path was last renamed or written, in nanoseconds.
func changed(path string) (int64, error) {
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		return 0, &os.PathError{Op: "stat", Path: path, Err: err}
	}
	return st.Ctim.Nano(), nil
}

// awaitNew waits for a child of the old master that runs the new binary. One that dies at once may
// come and go between two looks: then the pid file, which was renamed and renamed back, is no longer
// as it was left before USR2.
func (e *Engine) awaitNew(ctx context.Context, old Master, still int64) (pid int, err error) {
	_, id, err := e.obs.content(e.rec.Plan.Old.Binary)
	if err != nil {
		return 0, err
	}
	// One look may fall into the middle of the rename: only what stays so is an end.
	const sure = 5
	back := 0
	err = until(ctx, e.opts.Patience, "a new master", func() (bool, error) {
		children, err := e.fs.Children(old.PID)
		if err != nil {
			return false, err
		}
		for _, child := range children {
			// Workers and a fork before its exec run the old binary.
			if exe, err := procfs.Identify(e.fs.Path(child, "exe")); err == nil && exe == id {
				pid = child
				return true, nil
			}
		}
		now, statErr := changed(e.rec.Plan.Old.PidFile)
		holds, err := nginx.ReadPidFile(e.rec.Plan.Old.PidFile)
		if err != nil || statErr != nil || holds != old.PID || now == still {
			back = 0
			return false, nil
		}
		if back++; back == sure {
			return false, errDied
		}
		return false, nil
	})
	return pid, err
}

func orMismatch(err error, holds int) error {
	if err != nil {
		return err
	}
	return fmt.Errorf("it holds %d", holds)
}

// withErrorLog adds what the error log said since the marks: nginx's own reason.
func (e *Engine) withErrorLog(err error, marks gate.Marks) error {
	lines, readErr := marks.Since()
	if readErr != nil {
		return errors.Join(err, readErr)
	}
	var told []string
	for _, l := range lines {
		if len(told) < 5 {
			told = append(told, l.String())
		}
	}
	if len(told) == 0 {
		return err
	}
	return fmt.Errorf("%w; the error log: %s", err, strings.Join(told, " | "))
}

// park sends WINCH to the old master, only while the new one accepts on every socket of the old one's.
func (e *Engine) park(ctx context.Context, seen Seen) error {
	if err := e.obs.mustCover(ctx, seen); err != nil {
		return err
	}
	if err := e.signalOld(seen, nginx.WINCH, "winch-old"); err != nil {
		return err
	}
	return e.awaitWorkers(ctx, seen.Old, "the old master's workers to stop accepting", 0)
}

// finish sends QUIT to the old master. It is gone when its last connection is.
func (e *Engine) finish(ctx context.Context, seen Seen) error {
	if err := e.mustAccept(ctx, seen.New, "the new master"); err != nil {
		return err
	}
	if err := e.mustFollow(ctx, seen); err != nil {
		return err
	}
	if err := e.signalOld(seen, nginx.QUIT, "quit-old"); err != nil {
		return err
	}
	return e.awaitQuitting(ctx, seen.Old, "the old master to quit")
}

// revive sends HUP to the parked old master and waits until its workers answer.
func (e *Engine) revive(ctx context.Context, seen Seen) error {
	if err := e.signalOld(seen, nginx.HUP, "hup-old"); err != nil {
		return err
	}
	if err := e.awaitWorkers(ctx, seen.Old, "the old master's workers to come back", e.rec.Plan.Old.fewest()); err != nil {
		return err
	}
	return e.awaitAnswers(ctx, seen.Old)
}

// withdraw sends WINCH to the new master, only while the old one accepts on every socket.
func (e *Engine) withdraw(ctx context.Context, seen Seen) error {
	if err := e.mustAccept(ctx, seen.Old, "the old master"); err != nil {
		return err
	}
	if err := e.signalNew(seen.New, nginx.WINCH, "winch-new"); err != nil {
		return err
	}
	return e.awaitWorkers(ctx, seen.New, "the new master's workers to stop accepting", 0)
}

// dismiss sends QUIT to the new master, only while the old one accepts on every socket.
func (e *Engine) dismiss(ctx context.Context, seen Seen) error {
	if err := e.mustAccept(ctx, seen.Old, "the old master"); err != nil {
		return err
	}
	if err := e.signalNew(seen.New, nginx.QUIT, "quit-new"); err != nil {
		return err
	}
	return e.awaitQuitting(ctx, seen.New, "the new master to quit")
}

// rescue sends HUP to the one master that is left: nobody accepts until its workers are up.
func (e *Engine) rescue(ctx context.Context, seen Seen) error {
	left, _ := seen.left()
	content := NewContent
	if left.Process == seen.Old.Process {
		content = OldContent
	}
	exe, err := e.exeOf(left, content)
	if err != nil {
		return err
	}
	if err := e.signal(left, exe, nginx.HUP, "hup-left"); err != nil {
		return err
	}
	return e.awaitWorkers(ctx, left, "workers of the master that is left", 1)
}

// release sends QUIT to workers whose master is gone, only while the other master accepts on every
// socket. A worker obeys QUIT as its master's word.
func (e *Engine) release(ctx context.Context, seen Seen) error {
	left, _ := seen.left()
	content := NewContent // the orphans': what the master that is left does not run
	if left.Process == seen.New.Process {
		content = OldContent
	}
	if err := e.mustAccept(ctx, left, "the master that is left"); err != nil {
		return err
	}
	var exe procfs.FileID
	for _, worker := range seen.Orphans.Workers {
		id, err := e.exeOf(Master{Process: worker}, content)
		if err == nil {
			exe = id
			err = e.signal(Master{Process: worker}, id, nginx.QUIT, "quit-orphan")
		}
		if err != nil && !errors.Is(err, nginx.ErrGone) && !procfs.Gone(err) {
			return err
		}
	}
	return until(ctx, e.opts.Patience, "the orphaned workers to stop accepting", func() (bool, error) {
		still, err := e.obs.orphans(exe, left)
		return len(still.Workers) == 0, err
	})
}

// putBack puts the old binary back, when nothing runs the new one any more (the trap rollback-order).
func (e *Engine) putBack(ctx context.Context, seen Seen) error {
	path := e.rec.Plan.Old.Binary
	if err := e.mustAccept(ctx, seen.Old, "the old master"); err != nil {
		return err
	}
	backup, err := e.rec.Backup()
	if err != nil {
		return err
	}
	if err := artifact.RemoveLeftovers(path); err != nil {
		return err
	}
	return backup.PutBack(path)
}

// unguarded is what the journal tells of a guard that was taken back.
type unguarded struct {
	Guard pkgmanager.Lifted `json:"guard,omitzero"`
}

// unguard ends what only a migration under way needs. One that takes another back leaves the file to the
// package again.
func (e *Engine) unguard(ctx context.Context) (any, error) {
	if e.rec.Plan.Returns == "" {
		return nil, e.packages.Relax(e.rec.Dir)
	}
	lifted, err := e.packages.Lift(ctx, guardDir(e.rec.Dir, e.rec.Plan), e.opts.Patience)
	if err != nil {
		return nil, err
	}
	return unguarded{lifted}, nil
}

// unstage takes the runtime away again, and the guard. The backup stays.
func (e *Engine) unstage(ctx context.Context) (any, error) {
	if err := artifact.RemoveLeftovers(e.rec.Plan.Old.Binary); err != nil {
		return nil, err
	}
	left, err := e.rec.Remove(e.fs)
	if err != nil {
		return nil, err
	}
	var lifted pkgmanager.Lifted
	if e.rec.Plan.Returns == "" { // a return that turned leaves the guard of the migration that stays
		if lifted, err = e.packages.Lift(ctx, e.rec.Dir, e.opts.Patience); err != nil {
			return nil, err
		}
	}
	return struct {
		Left []string `json:"left,omitempty"`
		unguarded
	}{left, unguarded{lifted}}, nil
}

// awaitWorkers waits until exactly n workers of the master accept.
func (e *Engine) awaitWorkers(ctx context.Context, m Master, what string, n int) error {
	return until(ctx, e.opts.Patience, what, func() (bool, error) {
		tree, err := nginx.ReadTree(e.fs, m.PID)
		if err != nil {
			return false, err
		}
		accepting := len(tree.Accepting())
		return accepting == n || n > 0 && accepting > n, nil
	})
}

// awaitQuitting waits until the master has closed its listening sockets or is gone.
func (e *Engine) awaitQuitting(ctx context.Context, m Master, what string) error {
	return until(ctx, e.opts.Patience, what, func() (bool, error) {
		stat, err := e.fs.Stat(m.PID)
		if err != nil && procfs.Gone(err) || err == nil && (stat.StartTime != m.StartTime || stat.State == 'Z') {
			return true, nil
		}
		if err != nil {
			return false, err
		}
		listeners, err := e.fs.Listeners(m.PID)
		if err != nil && procfs.Gone(err) {
			return true, nil
		}
		if errors.Is(err, fs.ErrPermission) {
			return false, nil // a process that is ending shows its descriptors to root alone; the next look finds it gone
		}
		return err == nil && e.obs.quitting(listeners), err
	})
}
