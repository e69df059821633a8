package gate

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"graft/internal/analysis"
	"graft/internal/probe"
)

// userAgent is the name under which all of graft's own requests go, so that a log that has it can
// leave them out.
const userAgent = "graft-probe"

// prober asks every target over and over: on a connection for each try, and the listening addresses
// and WebSockets also on one that is kept, which is what WINCH and QUIT interrupt.
type prober struct {
	probes []*probing
	notes  []string              // targets that are not probed, and why
	before map[string]savedProbe // what a gate that was killed had counted, by key
	sides  *sides
	all    sync.WaitGroup
}

// startProbes starts the probes, rate requests a second in all: half of them to the listening
// addresses, half to what is probed beside. The probes end with ctx; each request under way is still
// finished.
func startProbes(ctx context.Context, cfg Config, before Baseline, saved map[string]savedProbe) (*prober, error) {
	p := &prober{before: saved}
	var addresses, beside []Target
	for _, t := range cfg.Targets {
		if t.Proof == Answered && p.wanted(t, before) {
			addresses = append(addresses, t)
		}
	}
	for _, t := range cfg.Probes {
		if t.Proof == Probed && p.wanted(t, before) {
			beside = append(beside, t)
		}
	}
	if cfg.ProbeRate <= 0 {
		return p, nil
	}
	var err error
	if p.sides, err = newSides(cfg); err != nil {
		return p, fmt.Errorf("probe: %w", err)
	}
	share := cfg.ProbeRate
	if len(addresses) > 0 && len(beside) > 0 {
		share /= 2
	}
	p.start(ctx, addresses, before, share)
	p.start(ctx, beside, before, share)
	return p, nil
}

// wanted tells whether a target is worth probing by how it answered before, and notes if not.
func (p *prober) wanted(t Target, before Baseline) bool {
	b, asked := before[t.Key()]
	if !asked {
		return true
	}
	why := unfit(t, b)
	if why != "" {
		p.notes = append(p.notes, fmt.Sprintf("%s is not probed: %s", t.Key(), why))
	}
	return why == ""
}

func (p *prober) start(ctx context.Context, targets []Target, before Baseline, rate float64) {
	var begun []*probing
	for _, t := range targets {
		b := before[t.Key()]
		begun = append(begun, newProbing(t, b, p.sides, false))
		if t.Proof == Answered || t.Protocol == probe.OverWebSocket || t.Protocol == probe.OverHTTP3 {
			begun = append(begun, newProbing(t, b, p.sides, true))
		}
	}
	interval := time.Duration(float64(len(begun)) / rate * float64(time.Second))
	for i, one := range begun {
		if from, ok := p.before[one.key()]; ok {
			one.goOn(from)
		}
		first := time.Now().Add(interval * time.Duration(i) / time.Duration(len(begun)))
		p.all.Go(func() { one.run(ctx, first, interval) })
	}
	p.probes = append(p.probes, begun...)
}

// wait returns when the last request has ended.
func (p *prober) wait() {
	p.all.Wait()
	if p.sides != nil {
		p.sides.close()
	}
}

// report writes what became of the probes into e, and returns how many answers the access logs may
// hold for it.
func (p *prober) report(e *analysis.Evidence) analysis.Requests {
	var own analysis.Requests
	e.ProbeNotes = append(e.ProbeNotes, p.notes...)
	for _, one := range p.probes {
		one.report(e, &own)
	}
	return own
}

// findings are what the probes say: each that has something to say, and one for all the others.
func (p *prober) findings(now time.Time) []analysis.Finding {
	var all []analysis.Finding
	quiet := analysis.Finding{Signal: analysis.Probes, Test: analysis.Rule, State: analysis.TooLittle}
	calm := 0
	for _, one := range p.probes {
		f := one.finding(now)
		if f.State == analysis.Suspect || f.State == analysis.Alarm {
			all = append(all, f)
			continue
		}
		if f.State == analysis.Quiet {
			quiet.State = analysis.Quiet
			calm++
		}
		quiet.Before.Total += f.Before.Total
		quiet.After.Total += f.After.Total
	}
	if len(p.probes) > len(all) {
		quiet.Words = fmt.Sprintf("%d of %d probes answer as before: %d tries of the new binary, %d of the old", calm, len(p.probes), quiet.After.Total, quiet.Before.Total)
		all = append(all, quiet)
	}
	return all
}

// probing is one target that is asked over and over.
type probing struct {
	target Target
	keeps  bool // its connection, as long as it can
	sides  *sides
	was5xx bool // so it answered before

	connection *probe.Connection
	side       analysis.Side // who has the connection, or gave the last answer
	missing    int           // tries since the last one that the new binary answered for certain

	mu       sync.Mutex // guards all below
	former   *former
	tries    *analysis.ProbeTries
	fates    map[probe.Fate]int64
	shared   int64 // lost ones that are nobody's fault: see [analysis.ProbeTries.Share]
	errors5x int64
	notes    []string
	changed  []probe.Answer // of the old binary, that are not as they were: it changed by itself
	cuts     int            // kept connections that the server has closed
}

func newProbing(t Target, b Before, s *sides, keeps bool) *probing {
	name := t.Name
	if name == "" {
		name = nameOf(t.Target)
	}
	if keeps {
		name += ", on a connection that is kept"
	}
	return &probing{target: t, keeps: keeps, sides: s, was5xx: b.Status >= 500, former: newFormer(t, b),
		tries: analysis.NewProbeTries(name, b.Asked), fates: map[probe.Fate]int64{}}
}

// missedTries are as many tries without the new binary as make it worth a hunt.
const missedTries = 3

// failurePause keeps a probe of a dead target from trying at once again and again.
const failurePause = 10 * time.Millisecond

func (p *probing) run(ctx context.Context, due time.Time, interval time.Duration) {
	defer p.drop()
	for {
		timer := time.NewTimer(time.Until(due))
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return
		}
		patient, cancel := context.WithTimeout(context.WithoutCancel(ctx), p.patience())
		fate := p.try(patient)
		cancel()
		now := time.Now()
		if due = due.Add(interval); due.Before(now) { // a pace missed is not made up for
			due = now
		}
		if fate.Apart() { // the client sends it again at once
			due = now
		} else if fate != probe.OK && due.Before(now.Add(failurePause)) {
			due = now.Add(failurePause)
		}
	}
}

// patience is how long an answer may take. That of QUIC is short: where its packets go to a process that
// does not know the connection, nothing comes at all, and a client's fallback to TCP does not wait longer.
func (p *probing) patience() time.Duration {
	if p.target.Protocol == probe.OverHTTP3 {
		return 2 * time.Second
	}
	return 10 * time.Second
}

// try sends one request and takes its answer in.
func (p *probing) try(ctx context.Context) probe.Fate {
	if !p.keeps && p.missing >= missedTries {
		if a, ok := p.sides.hunt(ctx, p.target.Target); ok {
			p.side, p.missing = analysis.NewSide, 0
			p.add(a)
			return a.Fate
		}
	}
	opened := p.connection == nil
	var a probe.Answer
	if opened {
		p.side = ""
		p.connection, a = probe.Open(ctx, p.target.Target, userAgent)
	}
	if p.connection != nil {
		a = p.connection.Ask(ctx)
		if opened || p.side == "" {
			p.side = p.sides.of(p.connection, a, p.former.by)
		}
	}
	if p.missing++; p.side == analysis.NewSide {
		p.missing = 0
	}
	p.add(a)
	if p.connection != nil && (!p.keeps || !p.connection.Reusable()) {
		p.drop()
	}
	return a.Fate
}

func (p *probing) drop() {
	if p.connection != nil {
		p.connection.Close()
		p.connection = nil
	}
}

func (p *probing) add(a probe.Answer) {
	shared := p.target.Protocol == probe.OverHTTP3 && p.sides.twoMasters()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.fates[a.Fate]++
	p.tries.Share(shared)
	t := analysis.ProbeTry{At: time.Now(), By: p.side}
	switch {
	case a.Fate == probe.OK:
		if a.Status >= 500 {
			p.errors5x++
		}
		t.Differs, t.Grave = p.former.differs(a)
		if t.By == analysis.OldSide && p.changes(a, t.Differs) {
			p.tries.Forgive()
			t.Differs, t.Grave = "", false
		}
	case a.Fate.Apart():
		p.cuts++
		if p.target.Protocol == probe.OverWebSocket {
			p.note(a, "closed")
		}
		return
	case a.Fate == probe.Local: // nothing is known of the server
		p.note(a, "not sent")
		return
	default:
		t.Lost = a.Fate.String()
		if shared {
			p.shared++
		}
		p.note(a, "lost")
	}
	p.tries.Add(t)
}

// changes notices that the old binary itself answers otherwise now: new content, a server behind it.
// Then that is what is right, and it returns true.
func (p *probing) changes(a probe.Answer, differs string) bool {
	if differs == "" || p.former.unexpected(a) != "" {
		p.changed = nil
		return false
	}
	if p.changed = append(p.changed, a); len(p.changed) < 2 {
		return false
	}
	p.former.relearn(p.changed)
	p.changed = nil
	return true
}

func (p *probing) note(a probe.Answer, what string) {
	if len(p.notes) < maxNotes {
		err := a.Err
		if err == nil {
			err = errors.New("no reason known")
		}
		p.notes = append(p.notes, fmt.Sprintf("%s %s: %s: %s: %s", a.At.Format("15:04:05"), p.target.Key(), what, a.Fate, err))
	}
}

func (p *probing) report(e *analysis.Evidence, own *analysis.Requests) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for fate, n := range p.fates {
		switch {
		case fate == probe.OK:
			e.Probes += n
		case fate == probe.Local:
			e.ProbesUnsent += n
		case fate.Lost():
			e.ProbesLost += n
		}
	}
	e.ProbesLost -= p.shared
	if p.target.Protocol != probe.OverTCP && p.target.Protocol != probe.OverWebSocket { // a line for each answer
		own.Total += p.fates[probe.OK]
		own.Errors5xx += p.errors5x
	}
	if !p.was5xx {
		e.Probes5xx += p.errors5x
	}
	for _, n := range p.notes {
		if len(e.ProbeNotes) < maxNotes {
			e.ProbeNotes = append(e.ProbeNotes, n)
		}
	}
}

func (p *probing) finding(now time.Time) analysis.Finding {
	p.mu.Lock()
	defer p.mu.Unlock()
	f := p.tries.Finding(now)
	if p.cuts > 0 && p.target.Protocol == probe.OverWebSocket && f.State != analysis.Alarm {
		// An idle HTTP connection may be closed at any time; a WebSocket's client has lost its session.
		f.State = analysis.Suspect
		f.Words += fmt.Sprintf("; %d WebSockets that were kept open were closed by the server", p.cuts)
	}
	return f
}
