package migrate

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"graft/internal/journal"
	"graft/internal/nginx"
	"graft/internal/systemd"
)

// Steps of the journal that concern the unit.
const (
	stepUnit   = "unit"   // what systemd makes of it
	stepReread = "reread" // systemd reads the PIDFile again
)

// UnitSeen is what systemd knew of the instance's unit when the migration had ended.
type UnitSeen struct {
	systemd.Unit
	Problem string `json:"problem,omitempty"` // it contradicts what runs
	Help    string `json:"help,omitempty"`
}

// Contradicted tells whether systemd holds something else for true than what runs.
func (o Outcome) Contradicted() bool { return o.Unit != nil && o.Unit.Problem != "" }

// unit asks systemd about the instance's unit. There is none to ask about where something else
// supervises it, where graft runs out of systemd's reach, or where systemd never took the instance's
// master for the unit's main process (a master that a cron job started).
func (e *Engine) unit(ctx context.Context) (*systemd.Unit, error) {
	if e.rec.Plan.Old.Unit == "" {
		return nil, nil
	}
	u, err := systemd.Show(ctx, e.rec.Plan.Old.Unit)
	if errors.Is(err, systemd.ErrNotRunning) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return &u, nil
}

// unitBefore is what systemd knew before the migration. A systemd that does not answer is no reason to
// leave production as it is; the end tells that it was not asked.
func (e *Engine) unitBefore(ctx context.Context) (*systemd.Unit, error) {
	u, err := e.unit(ctx)
	if err != nil {
		return nil, e.note("", stepUnit, journal.Failed, problem{err.Error()})
	}
	return u, nil
}

// mustFollow refuses to end the old master where systemd would take that for the end of the unit, and
// stop the new one with it (the trap systemd-unit): the unit may have changed during the park.
func (e *Engine) mustFollow(ctx context.Context, seen Seen) error {
	u, err := e.unit(ctx)
	if err != nil {
		return e.note("", stepUnit, journal.Failed, problem{err.Error()})
	}
	if u == nil || u.MainPID != seen.Old.PID {
		return nil
	}
	if u.PIDFile == "" {
		return fmt.Errorf("%s has no PIDFile and master %d for its main process: systemd would stop the unit when that ends; QUIT is not sent (set PIDFile=%s in the unit, systemctl daemon-reload)",
			u.Name, seen.Old.PID, e.rec.Plan.Old.PidFile)
	}
	if holds, err := nginx.ReadPidFile(u.PIDFile); err != nil || holds != seen.New.PID {
		return fmt.Errorf("%s has PIDFile=%s, which does not name the new master %d (%w): systemd would stop the unit when the old one ends; QUIT is not sent (set PIDFile=%s in the unit, systemctl daemon-reload)",
			u.Name, u.PIDFile, seen.New.PID, orMismatch(err, holds), e.rec.Plan.Old.PidFile)
	}
	return nil
}

// handOver sees that systemd takes the master that is left for the unit's main process, once all is over.
// If it does not, it is made to: systemd does not notice the end of a main process that is no child of
// its own, and from then on whatever makes it look (an ExecReload that signals $MAINPID) makes it stop
// the unit.
func (e *Engine) handOver(ctx context.Context, left Master) (*UnitSeen, error) {
	b, err := e.readBefore()
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil // it never came to USR2
	}
	if err != nil {
		return nil, fmt.Errorf("read what was before: %w", err)
	}
	if b.Unit == nil || b.Unit.MainPID != e.rec.Plan.Old.Master.PID {
		return nil, nil
	}
	seen, err := e.awaitFollow(ctx, left)
	if err == nil && e.mendable(seen, left) {
		if seen, err = e.reread(ctx, left); err != nil {
			return nil, err
		}
	}
	if err != nil {
		return nil, e.note("", stepUnit, journal.Failed, problem{err.Error()})
	}
	return seen, e.note("", stepUnit, journal.Observed, seen)
}

// mendable: the PIDFile names the right process, so reading it again helps. Changes to the unit that wait
// for a daemon-reload are not put into effect on the way, but for those of a graft that was killed there.
func (e *Engine) mendable(u *UnitSeen, left Master) bool {
	if u == nil || !u.Active() {
		return false
	}
	if !systemd.Rereading(u.Name) && (u.Problem == "" || u.NeedDaemonReload) {
		return false
	}
	holds, err := nginx.ReadPidFile(u.PIDFile)
	return err == nil && holds == left.PID
}

func (e *Engine) reread(ctx context.Context, left Master) (*UnitSeen, error) {
	if err := e.note("", stepReread, journal.Intent, nil); err != nil {
		return nil, err
	}
	kind, data := journal.Done, any(nil)
	if err := systemd.Reread(ctx, e.rec.Plan.Old.Unit); err != nil {
		kind, data = journal.Failed, problem{err.Error()}
	}
	if err := e.note("", stepReread, kind, data); err != nil {
		return nil, err
	}
	return e.awaitFollow(ctx, left)
}

// awaitFollow gives systemd a moment to be told that a process has ended.
func (e *Engine) awaitFollow(ctx context.Context, left Master) (*UnitSeen, error) {
	const moment = 2 * time.Second
	for begin := time.Now(); ; e.pause(ctx) {
		u, err := e.unit(ctx)
		if err != nil || u == nil {
			return nil, err
		}
		seen := judgeUnit(*u, left.PID)
		if seen.Problem == "" || time.Since(begin) > moment {
			return &seen, nil
		}
	}
}

// judgeUnit tells whether the unit and the master that serves belong together.
func judgeUnit(u systemd.Unit, master int) UnitSeen {
	seen := UnitSeen{Unit: u}
	switch {
	case !u.Active():
		seen.Problem = fmt.Sprintf("master %d serves, but %s is %s (%s, %s): systemd neither watches it nor stops it", master, u.Name, u.ActiveState, u.SubState, u.Result)
		seen.Help = fmt.Sprintf("in a quiet moment: kill -QUIT %d; systemctl start %s", master, u.Name)
	case u.MainPID != master:
		seen.Problem = fmt.Sprintf("master %d serves, but systemd has %d for the main process of %s: an ExecReload that signals $MAINPID would make it stop the unit", master, u.MainPID, u.Name)
		seen.Help = fmt.Sprintf("reload by nginx -s reload, not by systemctl reload, until systemctl restart %s in a quiet moment has put it right", u.Name)
	}
	return seen
}

// stopped is what a halt has to say of a unit that is not active.
func (e *Engine) stopped(ctx context.Context) string {
	u, err := e.unit(ctx)
	if err != nil || u == nil || u.Active() {
		return ""
	}
	return fmt.Sprintf("; %s (%s): systemctl start %s starts what is on disk", u, u.Result, u.Name)
}
