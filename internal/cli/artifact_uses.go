package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"

	"graft/internal/artifact"
	"graft/internal/migrate"
	"graft/internal/procfs"
)

// record is a migration of which at least the plan can be read.
type record struct {
	migrate.Record
	broken bool // its journal cannot be read
}

var migrationName = regexp.MustCompile(`^\d{8}-\d{6}\.\d{6}$`)

// migrations lists all, the newest first. State.List gives up at the first damaged one; here a damaged
// journal only means that its migration still needs everything.
func migrations(state migrate.State) ([]record, error) {
	dir := filepath.Join(state.Dir(), "migrations")
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list migrations: %w", err)
	}
	var list []record
	for _, e := range slices.Backward(entries) { // names are times
		if !e.IsDir() || !migrationName.MatchString(e.Name()) {
			continue
		}
		rec, err := state.Read(e.Name())
		if err == nil {
			list = append(list, record{Record: rec})
			continue
		}
		plan, planErr := migrate.LoadPlan(filepath.Join(dir, e.Name(), "plan.json"))
		if planErr != nil {
			return nil, failf(CodeFailed, "nothing was removed; if nobody needs this migration any more, move its directory away",
				"what migration %s needs is not known: %w", e.Name(), planErr)
		}
		list = append(list, record{migrate.Record{ID: e.Name(), Dir: filepath.Join(dir, e.Name()), Plan: plan}, true})
	}
	return list, nil
}

// binaryOnDisk is the hash of what lies at the path of a nginx binary; empty if nothing does.
func binaryOnDisk(path string) (string, error) {
	sum, err := procfs.SHA256(path)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	return sum, err
}

// placedArtifact is the one whose runtime a migration placed on the host; empty if none lies there.
func placedArtifact(dir string) (string, error) {
	placed, err := artifact.ReadPlacement(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	return placed.Artifact, err
}
