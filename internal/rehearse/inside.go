package rehearse

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"graft/internal/artifact"
	"graft/internal/migrate"
	"graft/internal/nginx"
	"graft/internal/parity"
	"graft/internal/procfs"
	"graft/internal/sandbox"
	"graft/internal/stub"
)

// script is what the parent tells a clone to do. It comes as JSON on standard input.
type script struct {
	Start
	Role      role              `json:"role"`
	Old       string            `json:"old"`       // SHA-256 of the running binary, which is descriptor 3
	StateDir  string            `json:"state_dir"` // where the artifact is
	Artifact  string            `json:"artifact"`  // the target
	Endpoints []stub.Endpoint   `json:"endpoints"`
	Pools     map[string]string `json:"pools"`
	Requests  []parity.Request
	Patience  time.Duration `json:"patience_ns"`
	Verbose   bool          `json:"verbose"`
}

// role is what a clone is for.
type role string

const (
	playsBack  role = "play the ways back"
	playsOn    role = "play to the end"
	answersOld role = "answer old" // the requests, by the binary that runs
	answersNew role = "answer new" // the requests, by the target
)

// message is a line of what a clone tells, as JSON on standard output.
type message struct {
	Act     *Act            `json:"act,omitempty"`
	Clients *Clients        `json:"clients,omitempty"`
	Answers []parity.Answer `json:"answers,omitempty"`
	// Unanswered are upstreams that no stub could stand in for.
	Unanswered []string `json:"unanswered,omitempty"`
	Problem    string   `json:"problem,omitempty"`
}

// insideArg marks the execution of this program inside a clone.
const insideArg = "graft-rehearse-inside"

// runningFD is the descriptor of the running binary.
const runningFD = 3

// Main returns at once in an ordinary execution. In those that a rehearsal makes of this program,
// it plays its part and exits. It must be called first, after sandbox.Main.
func Main() {
	if len(os.Args) != 2 {
		return
	}
	switch os.Args[1] {
	case becomeArg:
		become()
	case insideArg:
		inside()
	}
}

func inside() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	out := json.NewEncoder(os.Stdout)
	tell := func(m message) {
		_ = out.Encode(m) // a parent that is gone takes the clone along
	}
	if err := perform(ctx, os.Stdin, tell); err != nil {
		tell(message{Problem: err.Error()})
		os.Exit(1) //nolint:gocritic // nothing is left to stop
	}
	os.Exit(0)
}

// perform reads the script and carries it out.
func perform(ctx context.Context, in io.Reader, tell func(message)) error {
	if !sandbox.Inside() {
		return errors.New("a rehearsal plays in a sandbox only")
	}
	var s script
	if err := json.NewDecoder(in).Decode(&s); err != nil {
		return fmt.Errorf("read the script: %w", err)
	}
	spareOthers()
	unix.Umask(0o022) // whatever the caller's is
	running := os.NewFile(runningFD, "the running binary")
	unix.CloseOnExec(runningFD)
	defer running.Close()
	c := clone{Start: s.Start, fs: procfs.New("/proc"), patience: s.Patience}
	if err := errors.Join(c.emptyLogs(), c.emptyCaches()); err != nil {
		return err
	}
	stubs, err := stub.Start(ctx, s.Endpoints, s.Pools)
	if err != nil {
		return err
	}
	defer stubs.Close()
	store, err := artifact.Open(s.StateDir)
	if err != nil {
		return err
	}
	target, err := store.Get(s.Artifact)
	if err != nil {
		return err
	}
	if acts := halves[s.Role]; acts != nil {
		return c.play(ctx, acts, s, running, store, target, tell)
	}
	if s.Role == answersNew {
		err = c.layTarget(target)
	} else {
		err = c.putBinary(running)
	}
	if err != nil {
		return err
	}
	return c.answer(ctx, s.Requests, stubs, tell)
}

func (c clone) play(ctx context.Context, acts []scene, s script, running io.ReadSeeker, store *artifact.Store, target artifact.Artifact, tell func(message)) error {
	if err := c.putBinary(running); err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "graft")
	if err != nil {
		return err
	}
	state, err := migrate.OpenState(dir)
	if err != nil {
		return err
	}
	level := slog.LevelError
	if s.Verbose {
		level = slog.LevelDebug
	}
	p := player{
		clone: c, store: store, target: target, state: state, old: s.Old,
		log: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: level})),
	}
	var asking *clients
	p.play(ctx, acts, func(a Act) { tell(message{Act: &a}) }, func(i nginx.Instance) (err error) {
		if asking, err = ask(ctx, i); err == nil {
			p.mute = len(asking.told.Addresses) == 0
		}
		return err
	})
	if asking != nil {
		told := asking.end()
		tell(message{Clients: &told})
	}
	return ctx.Err()
}

// layTarget puts the target where it will be once the migration is over.
func (c clone) layTarget(target artifact.Artifact) error {
	dir, err := os.MkdirTemp("", "graft")
	if err != nil {
		return err
	}
	if _, err := target.Place("/", dir); err != nil {
		return err
	}
	binary, err := os.Open(target.BinaryPath())
	if err != nil {
		return err
	}
	defer binary.Close()
	return c.putBinary(binary)
}

// answer starts nginx and asks it everything.
func (c clone) answer(ctx context.Context, requests []parity.Request, stubs *stub.Server, tell func(message)) error {
	if _, err := c.start(ctx); err != nil {
		return err
	}
	own, err := sandbox.HostAddresses()
	if err != nil {
		return err
	}
	client := parity.Client{Dial: world{own}.dial}
	answers := client.Run(ctx, requests)
	parity.Attach(answers, stubs.Seen)
	m := message{Answers: answers}
	for _, u := range stubs.Unanswered() {
		m.Unanswered = append(m.Unanswered, fmt.Sprintf("unix:%s: %v", u.Path, u.Err))
	}
	tell(m)
	return ctx.Err()
}
