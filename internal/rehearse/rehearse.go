package rehearse

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"graft/internal/migrate"
	"graft/internal/nginx"
	"graft/internal/nginx/conf"
	"graft/internal/parity"
	"graft/internal/procfs"
	"graft/internal/sandbox"
)

// Subject is what is rehearsed: a plan, on the host that it was made on.
type Subject struct {
	FS       procfs.FS
	Plan     migrate.Plan
	Instance nginx.Instance
	StateDir string        // where the plan's artifact is
	Patience time.Duration // for each change to show; a minute if 0
	Verbose  bool
}

// UnavailableError says that no clone of this host can be made here.
type UnavailableError struct{ Err error }

func (e *UnavailableError) Error() string {
	return "no rehearsal can be held here: it needs a sandbox: " + e.Err.Error()
}

func (e *UnavailableError) Unwrap() error { return e.Err }

// maxRequests bounds the requests that are compared.
const maxRequests = 2000

// Run rehearses. tell is called with each act when it is over. A rehearsal that fails is a result, not
// an error; the error is for one that could not be held.
func Run(ctx context.Context, s Subject, tell func(Act)) (Result, error) {
	begin := time.Now()
	r := Result{Plan: s.Plan.ID, Fingerprint: s.Plan.Fingerprint, Time: begin.UTC().Truncate(time.Second), Sandbox: "root", Acts: []Act{}}
	if os.Geteuid() != 0 {
		r.Sandbox = "user namespaces"
	}
	if s.Patience == 0 {
		s.Patience = time.Minute
	}
	st, err := s.script()
	if err != nil {
		return r, fmt.Errorf("rehearse: %w", err)
	}
	p, requests := s.requests(ctx)
	onwards, back := part{role: playsOn}, part{role: playsBack}
	old, target := part{role: answersOld, requests: requests}, part{role: answersNew, requests: requests}
	show := &programme{tell: tell}
	if err := together(ctx, st, show, &back, &onwards, &old, &target); err != nil {
		return r, fmt.Errorf("rehearse: %w", err)
	}
	again := part{role: answersOld, requests: parity.Doubtful(requests, old.answers, target.answers)}
	if len(again.requests) > 0 && old.err == nil && target.err == nil {
		if err := together(ctx, st, show, &again); err != nil {
			return r, fmt.Errorf("rehearse: %w", err)
		}
	}
	r.Acts = order(back.acts, onwards.acts)
	r.Clients = back.clients.with(onwards.clients)
	begun := time.Now()
	p.Unanswered = append(p.Unanswered, old.missing...)
	p.Report = parity.Compare(requests, old.answers, target.answers, again.answers)
	p.Took = max(old.took, target.took) + again.took + time.Since(begun)
	r.Parity = &p
	r.Took = time.Since(begin)
	r.judge(speaksHTTP(s.Instance.Config), back, onwards, old, target, again)
	return r, nil
}

// order puts the acts of both halves one behind the other. The second clone's start is the first one's.
func order(back, onwards []Act) []Act {
	acts := append([]Act{}, back...)
	for _, a := range onwards {
		if a.Name != startName || !a.OK || len(back) == 0 {
			acts = append(acts, a)
		}
	}
	return acts
}

// part is what one clone does, and what came of it.
type part struct {
	role     role
	requests []parity.Request

	acts    []Act
	clients Clients
	answers []parity.Answer
	missing []string // upstreams without a stub
	took    time.Duration
	err     error
}

// together lets the parts play two at a time: the host has other things to do. The error is for clones
// that could not be made; how a part ended is in it.
func together(ctx context.Context, st stage, show *programme, parts ...*part) error {
	var group errgroup.Group
	group.SetLimit(2)
	for _, p := range parts {
		group.Go(func() error {
			p.run(ctx, st, func(a Act) { show.act(p.role, a) })
			show.over(p.role)
			var u *UnavailableError
			if errors.As(p.err, &u) {
				return u
			}
			return ctx.Err()
		})
	}
	return group.Wait()
}

func (p *part) run(ctx context.Context, st stage, tell func(Act)) {
	begin := time.Now()
	p.err = st.run(ctx, p.role, p.requests, func(m message) {
		if m.Act != nil {
			p.acts = append(p.acts, *m.Act)
			tell(*m.Act)
		}
		if m.Clients != nil {
			p.clients = *m.Clients
		}
		p.answers, p.missing = append(p.answers, m.Answers...), append(p.missing, m.Unanswered...)
	})
	p.took = time.Since(begin)
}

// requests are those that are asked of both binaries.
func (s Subject) requests(ctx context.Context) (Parity, []parity.Request) {
	i := s.Instance
	source := parity.Source{
		Config: i.Config, Prefix: i.Paths.Prefix, DefaultLog: firstOf(i.Logs.Access),
		Unprivileged: os.Geteuid() != 0, Max: maxRequests,
	}
	p := Parity{Logs: []parity.LogRead{}, LeftOut: []parity.LeftOut{}, Unanswered: []string{}}
	sampled, err := parity.Sample(ctx, source)
	if err != nil {
		p.Logs = append(p.Logs, parity.LogRead{Why: err.Error()})
	}
	p.Logs = append(p.Logs, sampled.Logs...)
	fromConfig, leftOut := parity.FromConfig(source)
	p.LeftOut = append(p.LeftOut, leftOut...)
	all := parity.Number(sampled.Requests, fromConfig, streams(i))
	for _, r := range all {
		if r.Origin == parity.LogOrigin {
			p.FromLogs++
		} else {
			p.FromConfig++
		}
	}
	return p, all
}

// speaksHTTP tells whether there is anything to send requests to. Over QUIC none are sent.
func speaksHTTP(c *conf.Config) bool {
	return slices.ContainsFunc(c.Listens(), func(l conf.Listen) bool { return l.Context == "http" && !l.QUIC })
}

func firstOf(list []string) string {
	if len(list) == 0 {
		return ""
	}
	return list[0]
}

// run makes a clone and lets it play its part.
func (st stage) run(ctx context.Context, as role, requests []parity.Request, hear func(message)) error {
	s := st.script
	s.Role, s.Requests = as, requests
	text, err := json.Marshal(s)
	if err != nil {
		return err
	}
	running, err := os.Open(st.running)
	if err != nil {
		return err
	}
	defer running.Close()
	cmd, err := sandbox.Command(ctx, st.options, "/proc/self/exe", insideArg)
	if err != nil {
		return &UnavailableError{err}
	}
	var said bytes.Buffer
	cmd.Stdin, cmd.Stderr = bytes.NewReader(text), &said
	cmd.Dir = "/"
	cmd.ExtraFiles = []*os.File{running}
	cmd.WaitDelay = time.Second
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	// A session of its own, so that it is the clone's that stands back, from its first moment on.
	cmd.SysProcAttr.Setsid = true
	if err := cmd.Start(); err != nil {
		if ctx.Err() != nil {
			return ctx.Err() // an interrupt is none of the host's doing
		}
		return &UnavailableError{err}
	}
	standBack(st.fs, cmd.Process.Pid)
	problem, err := listen(out, hear)
	err = errors.Join(err, ctx.Err())
	if waitErr := cmd.Wait(); waitErr != nil && err == nil {
		err = ended(waitErr, problem, strings.TrimSpace(said.String()))
	}
	return err
}

// listen hears a clone out.
func listen(out io.Reader, hear func(message)) (problem string, err error) {
	in := json.NewDecoder(out)
	for {
		var m message
		err := in.Decode(&m)
		if errors.Is(err, io.EOF) {
			return problem, nil
		}
		if err != nil {
			_, _ = io.Copy(io.Discard, out) // let it end
			return problem, fmt.Errorf("hear the clone: %w", err)
		}
		if m.Problem != "" {
			problem = m.Problem
		}
		hear(m)
	}
}

// ended words the end of a clone that failed.
func ended(err error, problem, said string) error {
	if exit, ok := errors.AsType[*exec.ExitError](err); ok && exit.ExitCode() == sandbox.ExitSetup {
		return &UnavailableError{errors.New(said)}
	}
	if problem != "" {
		return errors.New(problem)
	}
	return fmt.Errorf("the clone: %w: %s", err, said)
}
