package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"graft/internal/artifact"
	"graft/internal/journal"
	"graft/internal/migrate"
)

func (a *app) pruneCommand() *cobra.Command {
	var keep int
	var older time.Duration
	var dryRun bool
	cmd := &cobra.Command{
		Use:   "prune [--keep N] [--older-than DUR]",
		Short: "Remove the artifacts that no migration needs",
		Long: "Prune removes artifacts, remembered builds that lead nowhere, and what dead processes left half\n" +
			"written. An artifact stays if a migration that is not over or can still be taken back needs it, if\n" +
			"its binary or its runtime is what lies on this host, and if --keep or --older-than say so. Plans\n" +
			"that were saved outside of graft's directory are not seen.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if keep < 0 || older < 0 {
				return failf(CodeUsage, "", "--keep and --older-than cannot be negative")
			}
			return a.prune(cmd.Context(), artifact.Policy{Keep: keep, Older: older}, dryRun)
		},
	}
	cmd.Flags().IntVar(&keep, "keep", 2, "so many of the artifacts that nothing uses stay, the last stored first")
	cmd.Flags().DurationVar(&older, "older-than", 0, "artifacts stored more recently stay (720h: 30 days)")
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "show what would be removed")
	return cmd
}

func (a *app) prune(ctx context.Context, policy artifact.Policy, dryRun bool) error {
	store, err := a.store()
	if err != nil {
		return err
	}
	found, err := a.survey(store, policy)
	if err != nil {
		return err
	}
	if dryRun || len(found.Remove)+len(found.Builds)+len(found.Unfinished) == 0 {
		return a.answer(found, func(w io.Writer) { showPruning(w, found) })
	}
	if !a.yes {
		showPruning(a.Err, found)
	}
	if err := a.confirm("Remove these?"); err != nil {
		return err
	}
	release, err := a.holdStill()
	if err != nil {
		return err
	}
	defer release()
	// While nobody looked, a migration may have begun.
	now, err := a.survey(store, policy)
	if err != nil {
		return err
	}
	found = found.And(now)
	if err := store.Prune(ctx, found); err != nil {
		return err
	}
	found.Done = true
	return a.answer(found, func(w io.Writer) { showPruning(w, found) })
}

// holdStill keeps migrations from beginning. One that is under way holds the lock itself; then no other
// can begin, and what it needs is on record.
func (a *app) holdStill() (release func(), err error) {
	state, err := a.state()
	if err != nil {
		return nil, err
	}
	lock, err := state.Lock(holder(""))
	var held *journal.HeldError
	if errors.As(err, &held) {
		if rec, readErr := state.Current(); readErr == nil && !rec.Over() {
			return func() {}, nil
		}
	}
	if errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) {
		// No room for the holder's name: none for a migration's plan and journal either, and what goes
		// has been renamed before it makes room.
		return func() {}, nil
	}
	if err != nil {
		return nil, err
	}
	return func() { _ = lock.Release() }, nil // nothing was written to it
}

// survey looks at what the migrations need, and then at the store.
func (a *app) survey(store *artifact.Store, policy artifact.Policy) (artifact.Pruning, error) {
	state, err := a.state()
	if err != nil {
		return artifact.Pruning{}, err
	}
	used, err := migrationsUse(state)
	if err != nil {
		return artifact.Pruning{}, err
	}
	policy.InUse = used.why
	return store.Survey(policy)
}

// uses are the artifacts that the host or a migration needs, and why.
type uses struct {
	ids      map[string]string
	binaries map[string]string // by the hash of the binary
}

func (u uses) why(id, binary string) string {
	if why := u.ids[id]; why != "" {
		return why
	}
	return u.binaries[binary]
}

// migrationsUse reads all migrations. One that cannot be read counts as not over; one whose plan cannot be read
// is an error, since nobody knows what it needs.
func migrationsUse(state migrate.State) (uses, error) {
	u := uses{ids: map[string]string{}, binaries: map[string]string{}}
	records, err := migrations(state)
	if err != nil {
		return u, err
	}
	for i, rec := range records {
		if err := u.add(rec, i == 0); err != nil {
			return u, err
		}
	}
	return u, nil
}

func (u uses) add(rec record, newest bool) error {
	target, old := rec.Plan.Target, rec.Plan.Old
	switch {
	case rec.broken || !rec.Over():
		u.ids[target.Artifact] = fmt.Sprintf("migration %s is not over", rec.ID)
		u.binaries[old.Exe.SHA256] = fmt.Sprintf("migration %s may go back to it", rec.ID)
	case newest && rec.Ended() == migrate.Finished:
		u.ids[target.Artifact] = fmt.Sprintf("it is what migration %s put in place", rec.ID)
		u.binaries[old.Exe.SHA256] = fmt.Sprintf("migration %s can be taken back to it", rec.ID)
	}
	sum, err := binaryOnDisk(old.Binary)
	if err != nil {
		return err
	}
	if sum != "" {
		u.binaries[sum] = "it is the binary at " + old.Binary
	}
	placed, err := placedArtifact(rec.Dir)
	if err != nil {
		return err
	}
	if placed != "" {
		u.ids[placed] = fmt.Sprintf("its runtime lies in %s", target.Prefix)
	}
	return nil
}

func showPruning(w io.Writer, p artifact.Pruning) {
	verb := "would go"
	if p.Done {
		verb = "removed"
	}
	for _, r := range slices.Concat(p.Remove, p.Unfinished) {
		name := r.Name
		if r.ID != "" {
			name = fmt.Sprintf("%.12s  %s", r.ID, r.Name)
		}
		fmt.Fprintf(w, "%-8s  %s  %s  %s: %s\n", verb, r.Stored.UTC().Format(time.RFC3339), name, bytesText(r.Bytes), r.Why)
	}
	for _, key := range p.Builds {
		fmt.Fprintf(w, "%-8s  remembered build %.12s: its artifact is not there\n", verb, key)
	}
	for _, k := range p.Keep {
		fmt.Fprintf(w, "%-8s  %s  %.12s  %s  %s: %s\n", "stays", k.Stored.UTC().Format(time.RFC3339), k.ID, k.Name, bytesText(k.Bytes), k.Why)
	}
	if p.Bytes > 0 {
		fmt.Fprintf(w, "%s %s\n", map[bool]string{true: "freed", false: "would free"}[p.Done], bytesText(p.Bytes))
	} else if len(p.Remove)+len(p.Builds)+len(p.Unfinished) == 0 {
		fmt.Fprintln(w, "nothing to remove")
	}
}
