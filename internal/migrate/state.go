package migrate

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"graft/internal/artifact"
	"graft/internal/durable"
	"graft/internal/journal"
	"graft/internal/procfs"
)

// State is graft's directory on a host:
//
//	lock                        the host's lock
//	runner.sock                 the running graft listens here
//	artifacts/, builds/         see package artifact
//	migrations/ID/plan.json     what was decided
//	migrations/ID/journal       what was intended and seen
//	migrations/ID/placement.json, backup/
type State struct{ dir string }

// Names below the state directory.
const (
	migrationsDir = "migrations"
	planFile      = "plan.json"
	journalFile   = "journal"
	backupDir     = "backup"
	socketFile    = "runner.sock"
)

// OpenState returns the state in dir, which is created if it is missing.
func OpenState(dir string) (State, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return State{}, fmt.Errorf("open state: %w", err)
	}
	// sockaddr_un has room for 107 bytes.
	if name := filepath.Join(abs, socketFile); len(name) > 107 {
		return State{}, fmt.Errorf("open state: %s is %d bytes long, a unix socket's path may have 107: --state-dir names a shorter one", name, len(name))
	}
	if err := durable.MkdirAll(abs, 0o700); err != nil {
		return State{}, fmt.Errorf("open state: %w (--state-dir names another place)", err)
	}
	return State{dir: abs}, nil
}

// Dir is the directory.
func (s State) Dir() string { return s.dir }

// Lock takes the host's lock.
func (s State) Lock(holder journal.Holder) (*journal.Lock, error) {
	return journal.Acquire(filepath.Join(s.dir, "lock"), holder)
}

// Socket is where the running graft listens.
func (s State) Socket() string { return filepath.Join(s.dir, socketFile) }

// Record is one migration as its directory tells it.
type Record struct {
	ID     string
	Dir    string
	Plan   Plan
	Events []journal.Event
}

const idLayout = "20060102-150405.000000"

var migrationID = regexp.MustCompile(`^\d{8}-\d{6}\.\d{6}$`)

// List returns all migrations, the newest first.
func (s State) List() ([]Record, error) {
	ids, err := s.ids()
	if err != nil {
		return nil, err
	}
	list := make([]Record, 0, len(ids))
	for _, id := range ids {
		r, err := s.Read(id)
		if err != nil {
			return nil, err
		}
		list = append(list, r)
	}
	return list, nil
}

// ids are the migrations' names, the newest first.
func (s State) ids() ([]string, error) {
	entries, err := os.ReadDir(filepath.Join(s.dir, migrationsDir))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list migrations: %w", err)
	}
	var ids []string
	for _, entry := range entries {
		if entry.IsDir() && migrationID.MatchString(entry.Name()) {
			ids = append(ids, entry.Name())
		}
	}
	slices.SortFunc(ids, func(a, b string) int { return strings.Compare(b, a) })
	return ids, nil
}

// Read returns one migration.
func (s State) Read(id string) (Record, error) {
	dir := filepath.Join(s.dir, migrationsDir, id)
	plan, err := LoadPlan(filepath.Join(dir, planFile))
	if err != nil {
		return Record{}, err
	}
	events, err := journal.Read(filepath.Join(dir, journalFile))
	if err != nil {
		return Record{}, err
	}
	return Record{ID: id, Dir: dir, Plan: plan, Events: events}, nil
}

// ErrNone says that there is no migration to speak of.
var ErrNone = errors.New("no migration is on record")

// Current is the newest migration.
func (s State) Current() (Record, error) {
	ids, err := s.ids()
	if err != nil {
		return Record{}, err
	}
	if len(ids) == 0 {
		return Record{}, fmt.Errorf("%w in %s: `graft plan` and `graft apply` begin one", ErrNone, s.dir)
	}
	return s.Read(ids[0]) // damage in an older one is none of its business
}

// Begin makes the directory of a new migration. The plan is durable before its journal exists, and a
// directory without a journal is no migration: a crash in between leaves nothing half begun.
func (s State) Begin(plan Plan) (Record, error) {
	ids, err := s.ids()
	if err != nil {
		return Record{}, err
	}
	now := time.Now().UTC()
	if len(ids) > 0 {
		// The newest must sort last, even if the clock was set back.
		if last, err := time.Parse(idLayout, ids[0]); err == nil && !now.Truncate(time.Microsecond).After(last) {
			now = last.Add(time.Microsecond)
		}
	}
	id := now.Format(idLayout)
	dir := filepath.Join(s.dir, migrationsDir, "."+id)
	if err := durable.MkdirAll(dir, 0o700); err != nil {
		return Record{}, fmt.Errorf("begin migration: %w", err)
	}
	if err := SavePlan(filepath.Join(dir, planFile), plan); err != nil {
		return Record{}, fmt.Errorf("begin migration: %w", err)
	}
	j, err := journal.Create(filepath.Join(dir, journalFile), id)
	if err != nil {
		return Record{}, fmt.Errorf("begin migration: %w", err)
	}
	if err := j.Close(); err != nil {
		return Record{}, fmt.Errorf("begin migration: %w", err)
	}
	final := filepath.Join(s.dir, migrationsDir, id)
	if err := os.Rename(dir, final); err != nil {
		return Record{}, fmt.Errorf("begin migration: %w", err)
	}
	if err := durable.SyncDir(filepath.Dir(final)); err != nil {
		return Record{}, fmt.Errorf("begin migration: %w", err)
	}
	return Record{ID: id, Dir: final, Plan: plan}, nil
}

// Backup is the migration's copy of the old binary.
func (r Record) Backup() (artifact.Backup, error) {
	return artifact.ReadBackup(filepath.Join(r.Dir, backupDir))
}

// Ended tells the terminal phase that the last run recorded; empty if it is still under way. A
// migration that took another one back counts as rolled back when it has finished.
func (r Record) Ended() Phase {
	for _, e := range slices.Backward(r.Events) {
		switch {
		case e.Step == stepEnd && Phase(e.Phase) == Finished && r.Plan.Returns != "":
			return RolledBack
		case e.Step == stepEnd:
			return Phase(e.Phase)
		case e.Event == journal.Intent:
			return ""
		}
	}
	return ""
}

// Options are those that the migration was last run with, if it was run.
func (r Record) Options() (o Options, ok bool) {
	o = Defaults() // for what a graft that was older did not write
	for _, e := range slices.Backward(r.Events) {
		if e.Step == stepMeans {
			return o, json.Unmarshal(e.Data, &o) == nil
		}
	}
	return o, false
}

// Reason is why it turned, halted or held, as the last line that says so has it.
func (r Record) Reason() string {
	for _, e := range slices.Backward(r.Events) {
		if e.Step == stepTurn || e.Step == stepHold || e.Step == stepEnd {
			if told := reasonOf(e); told != "" {
				return told
			}
		}
	}
	return ""
}

// Over tells whether another migration may begin.
func (r Record) Over() bool { return r.Ended() == Finished || r.Ended() == RolledBack }

// memory is what the journal knows that the host cannot show.
func memory(events []journal.Event) Intent {
	var i Intent
	for _, e := range events {
		switch {
		case e.Step == stepTurn:
			i.Goal = RolledBack
		case (e.Step == string(Start) || e.Step == string(Verify)) && e.Event == journal.Done:
			i.Verified = true
		case e.Step == string(Swap):
			i.Swapped = true
		case e.Step == string(Finish):
			i.Finishing = true
		case e.Step == string(Park) && e.Event == journal.Intent:
			i.Winched, i.Revived = true, false
		case e.Step == string(Revive) && e.Event == journal.Intent:
			i.Revived = true
		}
	}
	return i
}

// Remove takes the runtime that this migration placed off the host again; left are files that were
// changed since, or the whole prefix if a process still uses it: another instance that was migrated to
// the same artifact. The backup and the journal stay.
func (r Record) Remove(pfs procfs.FS) (left []string, err error) {
	placed, err := artifact.ReadPlacement(r.Dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if prefix := r.Plan.Target.Prefix; prefix != "" && len(placed.Files) > 0 {
		users, err := pfs.Mapping(prefix)
		if err != nil {
			return nil, err
		}
		if len(users) > 0 {
			return []string{fmt.Sprintf("%s (process %d uses it)", prefix, users[0])}, placed.Forget(r.Dir)
		}
	}
	return placed.Remove("/", r.Dir)
}

// Begun is when the migration began.
func (r Record) Begun() time.Time {
	if len(r.Events) == 0 {
		return time.Time{}
	}
	return r.Events[0].Time
}
