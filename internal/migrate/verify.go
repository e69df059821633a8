package migrate

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"graft/internal/gate"
	"graft/internal/nginx"
	"graft/internal/probe"
	"graft/internal/procfs"
)

// Verified is what was seen of a new master that serves.
type Verified struct {
	Master   nginx.Process  `json:"master"`
	Workers  int            `json:"workers"`
	Sockets  int            `json:"sockets"`
	Answered map[string]int `json:"answered"` // listening address → pid of the worker that answered
	Took     time.Duration  `json:"took_ns"`
}

// verify sees that the new master serves: everything that must hold before the old one's workers go.
// It looks often, and while the new binary starts on the same cores: each look asks for the next
// thing only when the one before is there.
func (e *Engine) verify(ctx context.Context, old Master, pid int, begin time.Time) (any, error) {
	sockets, err := e.fs.Listeners(old.PID)
	if err != nil {
		return nil, err
	}
	b, err := e.readBefore()
	if err != nil {
		return nil, fmt.Errorf("read what was before: %w", err)
	}
	var serving Master
	lacking := ""
	err = until(ctx, e.opts.Patience, "the new master to serve", func() (bool, error) {
		tree, err := nginx.ReadTree(e.fs, pid)
		if err != nil && (procfs.Gone(err) || errors.Is(err, nginx.ErrGone)) {
			return false, errDied
		}
		if err != nil {
			lacking = err.Error() // it has no title yet
			return false, nil
		}
		serving = Master{Process: tree.Master, Workers: tree.Accepting(), Leaving: tree.Leaving()}
		lacking, err = e.lacking(sockets, serving, tree)
		return lacking == "", err
	})
	if err != nil && lacking != "" {
		err = fmt.Errorf("%w: %s", err, lacking)
	}
	if err != nil {
		return nil, e.withErrorLog(err, b.Marks)
	}
	answered, err := e.answers(ctx, serving)
	if err != nil {
		return nil, e.withErrorLog(err, b.Marks)
	}
	if err := quiet(b.Marks, old); err != nil {
		return nil, err
	}
	took := time.Since(begin)
	return Verified{Master: serving.Process, Workers: len(serving.Workers), Sockets: len(sockets), Answered: answered, Took: took}, nil
}

var errDied = errors.New("the new master died at its start")

// quiet refuses emerg and alert lines since USR2 that are not the old workers' own.
func quiet(marks gate.Marks, old Master) error {
	lines, err := marks.Since()
	if err != nil {
		return err
	}
	for _, l := range lines {
		own := func(p nginx.Process) bool { return p.PID == l.PID }
		if !slices.ContainsFunc(old.Workers, own) && !slices.ContainsFunc(old.Leaving, own) {
			return fmt.Errorf("the error log since USR2: %s", l)
		}
	}
	return nil
}

// lacking names the first thing that the new master does not show yet.
func (e *Engine) lacking(sockets []procfs.Listener, serving Master, tree nginx.Tree) (string, error) {
	plan := e.rec.Plan.Old
	if holds, err := nginx.ReadPidFile(plan.PidFile); err != nil || holds != serving.PID {
		return fmt.Sprintf("%s does not hold its pid %d (%v)", plan.PidFile, serving.PID, orMismatch(err, holds)), nil
	}
	if n := len(serving.Workers); n != plan.Workers && n != plan.ToCome {
		return fmt.Sprintf("it has %d workers, the old one had %d, the configuration asks for %d", n, plan.Workers, plan.ToCome), nil
	}
	if what, _, err := e.obs.content(e.fs.Path(serving.PID, "exe")); err != nil || what != NewContent {
		return fmt.Sprintf("it does not run the new binary (%v)", err), nil
	}
	if command := strings.Join(plan.Argv, " "); tree.Command != command {
		return fmt.Sprintf("it runs as %q, the old one as %q: another configuration or pid file", tree.Command, command), nil
	}
	if cwd, err := e.fs.Cwd(serving.PID); err != nil || cwd != plan.Cwd {
		return fmt.Sprintf("its working directory is %s, the old one's %s (%v)", cwd, plan.Cwd, err), nil
	}
	return e.obs.lackingSockets(sockets, serving)
}

// mustAccept refuses an act that would leave a listening socket without a worker that accepts.
func (e *Engine) mustAccept(ctx context.Context, m Master, who string) error {
	listeners, err := e.fs.Listeners(m.PID)
	if err != nil {
		return err
	}
	if len(listeners) == 0 {
		return fmt.Errorf("%s %d holds no listening socket", who, m.PID)
	}
	// With accept_mutex only one worker waits on the sockets at a time, and for a moment none.
	return until(ctx, time.Second, fmt.Sprintf("%s %d to accept on every socket", who, m.PID), func() (bool, error) {
		tree, err := nginx.ReadTree(e.fs, m.PID)
		if err != nil {
			return false, err
		}
		missing, err := e.obs.unserved(listeners, tree.Accepting())
		return len(missing) == 0, err
	})
}

// awaitAnswers proves that the master's own workers answer on every address.
func (e *Engine) awaitAnswers(ctx context.Context, m Master) error {
	if err := e.mustAccept(ctx, m, "the old master"); err != nil {
		return err
	}
	tree, err := nginx.ReadTree(e.fs, m.PID)
	if err != nil {
		return err
	}
	m.Workers = tree.Accepting()
	_, err = e.answers(ctx, m)
	return err
}

// answers proves on every listening address that one of the master's workers answers.
func (e *Engine) answers(ctx context.Context, m Master) (map[string]int, error) {
	targets, err := e.addresses(m)
	if err != nil {
		return nil, err
	}
	b, err := e.readBefore()
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("read what was before: %w", err)
	}
	pids := make([]int, len(m.Workers))
	for i, w := range m.Workers {
		pids[i] = w.PID
	}
	ctx, cancel := context.WithTimeout(ctx, e.opts.Patience)
	defer cancel()
	found := make([]int, len(targets))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(8)
	for i, t := range targets {
		group.Go(func() error {
			var err error
			switch {
			case t.Proof == gate.Answered && answering(b.Baseline, t.Listen):
				found[i], _, err = probe.AnsweredBy(ctx, t.Target, pids)
			case t.Proof != gate.NoProof:
				found[i], err = probe.AcceptedBy(ctx, t.Target, pids)
			}
			if err != nil {
				return fmt.Errorf("probe %s: %w", t.Listen, err)
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	answered := make(map[string]int, len(targets))
	for i, t := range targets {
		answered[t.Listen] = found[i]
	}
	return answered, nil
}

// answering: an address whose default server never answered, because it refuses strangers, can
// only show who accepts.
func answering(before gate.Baseline, listen string) bool {
	a, known := before[listen]
	return !known || a.Fate == probe.OK
}

// addresses are what the instance listens on, as targets for probes: asked once, before anything
// depends on how long it takes. What only the configuration on disk names is not served yet.
func (e *Engine) addresses(m Master) ([]gate.Target, error) {
	if e.targets == nil {
		i, err := nginx.Inspect(context.Background(), e.fs, m.PID)
		if err != nil {
			return nil, err
		}
		e.logs = gate.InstanceLogs(i, "/")
		if !e.opts.OnlyAddresses {
			var notes []string
			if e.probes, notes, err = gate.ProbeTargets(i, e.opts.Policy.Probes.URLs); err != nil {
				return nil, err
			}
			for _, n := range notes {
				e.log.Info("probes", "note", n)
			}
		}
		e.targets = slices.DeleteFunc(gate.Targets(i), func(t gate.Target) bool {
			return !slices.ContainsFunc(i.Listen, func(l procfs.Listener) bool { return l.Network == t.Network && l.Addr == t.Listen })
		})
	}
	return e.targets, nil
}
