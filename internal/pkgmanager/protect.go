package pkgmanager

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"graft/internal/durable"
	"graft/internal/fault"
	"graft/internal/procfs"
)

// Protect puts the guard up and keeps a record of it in dir. It may be repeated after a crash. Where a
// package manager is at work it waits as long as patience.
func (h Host) Protect(ctx context.Context, dir string, g Guard, patience time.Duration) error {
	if g.Empty() {
		return nil
	}
	release, err := h.lock(ctx, patience)
	if err != nil {
		return fmt.Errorf("guard against packages: %w", err)
	}
	defer release()
	r, err := h.begin(ctx, dir, g)
	if err == nil && r.Needrestart {
		err = h.hush(r.Binary)
	}
	if err == nil && r.Divert != "" {
		err = h.addDiversion(ctx, r)
	}
	if err == nil && len(r.Services) > 0 {
		err = h.setPolicy(r.Services)
	}
	if err != nil {
		return fmt.Errorf("guard against packages: %w", err)
	}
	return nil
}

// begin writes down what is going to be done: what an earlier migration has done is not this one's.
func (h Host) begin(ctx context.Context, dir string, g Guard) (Record, error) {
	r, err := ReadRecord(dir)
	if err != nil || r.Up() {
		return r, err
	}
	if g.Divert != "" {
		now, err := h.diversion(ctx, g.Owner.Path)
		if err != nil {
			return r, err
		}
		if now.to != "" {
			return r, fmt.Errorf("since the plan was made, %s diverts %s to %s: plan again", now.by, g.Owner.Path, now.to)
		}
	}
	there, err := h.hasPolicy(g.Services)
	if err != nil {
		return r, err
	}
	if there {
		g.Services = nil
	}
	r = Record{Guard: g}
	return r, r.write(dir)
}

// addDiversion gives the file a second name, which is to be the package's, and tells dpkg of it. The
// path holds the file all the time.
func (h Host) addDiversion(ctx context.Context, r Record) error {
	path, divert := h.below(r.Owner.Path), h.below(r.Divert)
	now, err := h.diversion(ctx, r.Owner.Path)
	if err != nil || now.to == r.Divert {
		return err
	}
	// Without a diversion the name is nobody's: a crash has left it, and the file may be upgraded since.
	if err := removeFile(divert); err != nil {
		return err
	}
	fault.Point("before-link-distrib")
	if err := os.Link(path, divert); err != nil {
		return err
	}
	if err := durable.SyncDir(filepath.Dir(divert)); err != nil {
		return err
	}
	fault.Point("before-divert")
	if err := h.divert(ctx, "--add", r.Owner.Path, r.Divert); err != nil {
		return err
	}
	fault.Point("after-divert")
	return nil
}

// Lifted is what taking a guard back came to.
type Lifted struct {
	// Upgraded: the package was upgraded meanwhile, and its file is at the path now.
	Upgraded string `json:"upgraded,omitempty"`
	Left     string `json:"left,omitempty"` // what somebody else has changed
}

// String says it in a line; empty: nothing is worth telling.
func (l Lifted) String() string {
	var told []string
	for _, text := range []string{l.Upgraded, l.Left} {
		if text != "" {
			told = append(told, text)
		}
	}
	return strings.Join(told, "; ")
}

// Lift takes back all that the record in dir says, so that dpkg finds what it knows. If the package was
// upgraded meanwhile, its file comes to the path. It may be repeated after a crash.
func (h Host) Lift(ctx context.Context, dir string, patience time.Duration) (l Lifted, err error) {
	r, err := ReadRecord(dir)
	if err != nil || !r.Up() {
		return l, err
	}
	release, err := h.lock(ctx, patience)
	if err == nil {
		defer release()
		l, err = h.lift(ctx, dir, r)
	}
	if err != nil {
		return l, fmt.Errorf("take the guard against packages back: %w", err)
	}
	return l, nil
}

func (h Host) lift(ctx context.Context, dir string, r Record) (l Lifted, err error) {
	if r.Divert != "" {
		if r, err = h.removeDiversion(ctx, dir, r); err != nil {
			return l, err
		}
	}
	if len(r.Services) > 0 {
		if l.Left, err = h.restorePolicy(r.Services); err != nil {
			return l, err
		}
	}
	if r.Needrestart {
		if err := h.unhush(r.Binary); err != nil {
			return l, err
		}
	}
	if r.GaveBack == "" {
		return l, forget(dir) // a state disk that is full has no room for another word
	}
	l.Upgraded = r.Owner.Package
	if owner, err := h.dpkgKnows(ctx, r.Owner.Path); err == nil && owner != nil {
		l.Upgraded = owner.String()
	}
	l.Upgraded += " was installed meanwhile: its file is at " + r.Owner.Path + " now, and what serves is older until it is restarted"
	r.Lifted = true
	return l, r.write(dir)
}

// removeDiversion makes the package's file the one at the path, then tells dpkg: between the two, dpkg
// still writes under the other name, and a repetition brings that over.
func (h Host) removeDiversion(ctx context.Context, dir string, r Record) (Record, error) {
	now, err := h.diversion(ctx, r.Owner.Path)
	if err != nil {
		return r, err
	}
	if now.to != r.Divert {
		return r, removeFile(h.below(r.Divert)) // it was never diverted, or is no more
	}
	if r, err = h.handBack(dir, r); err != nil {
		return r, err
	}
	fault.Point("before-undivert")
	if err := h.divert(ctx, "--remove", r.Owner.Path, r.Divert); err != nil {
		return r, err
	}
	fault.Point("after-undivert")
	return r, nil
}

// handBack brings the package's file to the path, or removes it if the same is there.
func (h Host) handBack(dir string, r Record) (Record, error) {
	path, divert := h.below(r.Owner.Path), h.below(r.Divert)
	theirs, err := procfs.SHA256(divert)
	if errors.Is(err, fs.ErrNotExist) {
		return r, nil // the package was removed, or a crash came after this
	}
	if err != nil {
		return r, err
	}
	ours, err := procfs.SHA256(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return r, err
	}
	if ours == theirs {
		err = removeFile(divert)
	} else {
		r.GaveBack = theirs
		if err := r.write(dir); err != nil {
			return r, err
		}
		fault.Point("before-hand-back")
		err = os.Rename(divert, path)
		fault.Point("after-hand-back")
	}
	if err != nil {
		return r, err
	}
	return r, durable.SyncDir(filepath.Dir(path))
}

// Relax ends what only a migration under way needs: needrestart may look at the binary again. The
// diversion stays, and so does the policy: a package's restart would interrupt a service whose binary is
// not the package's.
func (h Host) Relax(dir string) error {
	r, err := ReadRecord(dir)
	if err != nil || !r.Up() || !r.Needrestart {
		return err
	}
	if err := h.unhush(r.Binary); err != nil {
		return fmt.Errorf("give the binary back to needrestart: %w", err)
	}
	r.Needrestart = false
	return r.write(dir)
}
