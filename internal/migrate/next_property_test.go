package migrate

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"graft/internal/analysis"
	"graft/internal/journal"
	"graft/internal/nginx"
)

// However often graft is killed, and whenever, and even if one of the masters ends by itself or the
// host reboots: Next leads to a terminal phase, and on no way there it breaks a guarantee. The engine's own
// checks before a signal (mustAccept) are left out of the model: Next has to be right without them.
func TestNextReachesATerminalPhaseAndSomebodyAlwaysAccepts(t *testing.T) {
	way := func(t *rapid.T) {
		w := &world{
			T: t, disk: OldContent, old: nginxModel{alive: true, workers: fullWorkers},
			kill:      rapid.SliceOfN(rapid.IntRange(0, 40), 0, 4).Draw(t, "kills"),
			death:     rapid.IntRange(-20, 20).Draw(t, "death"),
			slow:      rapid.IntRange(0, 5).Draw(t, "slow"),
			victim:    rapid.IntRange(0, 3).Draw(t, "the old one") == 0,
			killer:    rapid.Bool().Draw(t, "killed"),
			reboot:    rapid.IntRange(0, 9).Draw(t, "reboot") == 0,
			stillborn: rapid.IntRange(0, 9).Draw(t, "stillborn") == 0,
		}
		for range 40 {
			phase, over := w.command()
			if over {
				w.checkEnd(phase)
				return
			}
		}
		t.Fatal("no terminal phase after 40 commands")
	}
	for range 200 { // a hundred ways each, in a second
		rapid.Check(t, way)
	}
}

const fullWorkers = 2

// nginxModel is a master: its workers, and what it was told and has not finished.
type nginxModel struct {
	alive            bool
	workers, leaving int // that accept; that are shutting down
	toCome, toLeave  int // of workers: being forked; told to leave and still accepting
	parked           bool
	quits            bool
}

func (m *nginxModel) winch() { m.parked, m.toLeave = true, m.settled() }
func (m *nginxModel) quit()  { m.quits, m.toLeave = true, m.settled() }

// settled: a master forks all its workers before it takes up the next signal.
func (m *nginxModel) settled() int {
	m.workers, m.toCome = m.workers+m.toCome, 0
	return m.workers
}

// hup starts workers. With no newer master alive it is a reload: the ones before leave.
func (m *nginxModel) hup(newer bool) {
	if !newer {
		m.toLeave = m.settled()
	}
	m.parked, m.toCome = false, m.toCome+fullWorkers
}

func (m nginxModel) seen() Master {
	return Master{Quitting: m.quits, Workers: make([]nginx.Process, m.workers), Leaving: make([]nginx.Process, m.leaving)}
}

func (m nginxModel) master(pid int) Master {
	if !m.alive {
		return Master{}
	}
	seen := m.seen()
	seen.PID = pid
	return seen
}

// world is a host, what graft wrote to its journal, and graft itself.
type world struct {
	*rapid.T
	disk            Content
	staged, begun   bool
	guarded         bool // by what a finished migration does not need
	old, young      nginxModel
	restarted       bool       // the old master is not the one of the plan
	orphans         nginxModel // the workers of a master that was killed
	forking, oldbin bool
	stillborn       bool // the new binary dies at its start
	excused         bool // nobody accepts, and it is not graft's doing

	kill   []int // how many points graft passes until each kill
	death  int   // how many steps the new master is there until it ends by itself; less than 0: it does not
	victim bool  // not the new master ends, but the old one, once the new one serves
	killer bool  // it is killed then: its workers stay
	reboot bool  // the next kill is one
	slow   int   // how many looks may see nothing new of what is under way
	events []journal.Event

	intent  Intent // of the graft that runs
	failed  map[Action]int
	settled int
}

var errKilled = errors.New("graft was killed")

func (w *world) chance(what string) bool { return rapid.Bool().Draw(w.T, what) }

// command is one run of graft: apply, resume or rollback, until it ends by itself or is killed.
func (w *world) command() (Phase, bool) {
	w.intent, w.failed, w.settled = memory(w.events), map[Action]int{}, 0
	if w.intent.Goal == "" {
		goals := []Phase{Overlap, Parked, Finished, Finished, RolledBack, RolledBack}
		if len(w.events) == 0 {
			goals = goals[:4] // apply
		}
		w.intent.Goal = rapid.SampledFrom(goals).Draw(w.T, "command")
	}
	if w.intent.Goal == RolledBack {
		w.note(stepTurn, journal.Observed)
	}
	for range 200 {
		w.happen()
		seen := w.seen()
		verdict := rapid.SampledFrom([]analysis.Verdict{analysis.Inconclusive, analysis.Pass, analysis.Pass, analysis.Pass, analysis.Fail}).Draw(w.T, "verdict")
		action, why := Next(seen, w.intent, verdict)
		w.Logf("%s; %+v, %s → %s", seen, w.intent, verdict, action)
		if action != Settle {
			w.settled = 0
		}
		switch action {
		case Stop:
			phase, _ := seen.Phase()
			if w.intent.Goal == RolledBack {
				return RolledBack, true
			}
			return phase, phase == Finished
		case Return:
			w.guarded = false // by the migration that follows
			return Finished, true
		case Halt:
			if w.old.alive || w.young.alive {
				w.Fatalf("halted while a master serves: %s", why)
			}
			return Halted, true
		case Turn:
			w.turn()
		case Watch:
		case Drain:
			w.endConnection()
		case Settle:
			if halted := w.settle(); halted {
				w.Fatalf("settled for nothing: %s", why)
			}
		default:
			w.guarantee(action, verdict)
			if w.act(action) != nil {
				w.restart()
				return "", false
			}
		}
	}
	w.Fatal("no end within 200 looks")
	return "", false
}

// guarantee: what must hold before an act, on the host as it is.
func (w *world) guarantee(action Action, verdict analysis.Verdict) {
	oldServes := w.old.workers+w.old.toCome > w.old.toLeave && !w.old.quits
	youngServes := w.young.workers > w.young.toLeave && !w.young.quits
	alone := !w.young.alive && !w.forking && w.orphans.workers+w.orphans.leaving == 0
	for _, g := range []struct {
		actions []Action
		holds   bool
		text    string
	}{
		{[]Action{Swap, PutBack, Unstage}, alone, "the binary and its runtime are touched only when nothing runs the new one"},
		{[]Action{Swap, Start, Park, Finish}, !w.restarted, "a plan is for one master"},
		{[]Action{Unstage}, w.disk == OldContent, "the runtime goes after the binary that needs it"},
		{[]Action{Park}, verdict == analysis.Pass || w.intent.Winched, "only a gate that passed parks the old master"},
		{[]Action{Finish}, verdict == analysis.Pass && w.intent.Verified, "only a gate that passed ends the old master"},
		{[]Action{Park, Finish}, youngServes, "the old workers go only while the new ones accept"},
		{[]Action{Withdraw, Dismiss}, oldServes, "the new workers go only while the old ones accept"},
		{[]Action{Unguard}, !w.old.alive && w.orphans.workers+w.orphans.leaving == 0, "the guard is for as long as an old process runs"},
		{[]Action{Release}, oldServes || youngServes, "orphans go only while the workers of the master that is left accept"},
		{[]Action{Swap, Start}, !w.intent.Verified, "a new master that ended is not tried again"},
		{[]Action{Start}, !w.oldbin && !w.forking, "a second USR2 finds the pid file renamed"},
		{[]Action{Park, Finish, Revive}, !w.old.quits, "a master that quits has closed its sockets and can be told nothing more"},
		{[]Action{Withdraw, Dismiss}, !w.young.quits, "a master that quits needs no second word"},
		{[]Action{Revive}, w.old.workers+w.old.toCome == 0, "a second HUP doubles the workers"},
	} {
		if slices.Contains(g.actions, action) && !g.holds {
			w.Fatalf("%s: %s", action, g.text)
		}
	}
}

// act announces, does and records as the engine does; it may be killed before and after each of these.
func (w *world) act(action Action) error {
	if w.killed() {
		return errKilled
	}
	w.note(string(action), journal.Intent)
	switch action {
	case Swap:
		w.intent.Swapped = true
	case Finish:
		w.intent.Finishing = true
	case Park:
		w.intent.Winched, w.intent.Revived = true, false
	case Revive:
		w.intent.Revived = true
	}
	if w.killed() {
		return errKilled
	}
	awaited := w.send(action)
	if awaited == nil {
		return errKilled
	}
	for !awaited() && w.proceed() {
		if w.killed() {
			return errKilled
		}
	}
	if w.killed() {
		return errKilled
	}
	if awaited() {
		w.note(string(action), journal.Done)
		w.intent.Verified = w.intent.Verified || action == Start || action == Verify
		return nil
	}
	w.note(string(action), journal.Failed)
	if w.intent.Goal != RolledBack {
		w.turn()
		return nil
	}
	if w.failed[action]++; w.failed[action] == 3 {
		w.Fatalf("%s failed three times", action)
	}
	return nil
}

// send carries an action out and returns what the engine waits for; nil if it was killed halfway.
func (w *world) send(action Action) (awaited func() bool) {
	switch action {
	case Stage:
		w.begun, w.guarded = true, true
		if w.killed() {
			return nil
		}
		w.staged = true
	case Unstage:
		w.staged = false
		if w.killed() {
			return nil
		}
		w.begun, w.guarded = false, false
	case Unguard:
		w.guarded = false
	case Swap:
		w.disk = NewContent
	case PutBack:
		w.disk = OldContent
	case Start:
		if !w.young.alive && !w.forking {
			w.oldbin, w.forking = true, true
		}
		return func() bool { return w.young.workers == fullWorkers }
	case Verify:
		return func() bool { return w.young.workers == fullWorkers }
	case Park:
		w.old.winch()
		return func() bool { return w.old.workers == 0 }
	case Finish:
		w.old.quit()
	case Revive:
		w.old.hup(w.young.alive)
		return func() bool { return w.old.workers >= fullWorkers }
	case Rescue:
		left := &w.old
		if w.young.alive {
			left = &w.young
		}
		left.hup(false)
		return func() bool { return left.workers > 0 }
	case Withdraw:
		w.young.winch()
		return func() bool { return w.young.workers == 0 }
	case Dismiss:
		w.young.quit()
	case Release:
		w.orphans.quit()
		return func() bool { return w.orphans.workers == 0 }
	default:
		w.Fatalf("no such action: %s", action)
	}
	return func() bool { return true }
}

// killed tells whether graft is killed at this point.
func (w *world) killed() bool {
	if len(w.kill) == 0 {
		return false
	}
	w.kill[0]--
	if w.kill[0] >= 0 {
		return false
	}
	w.kill = w.kill[1:]
	return true
}

// restart: a kill may have been that of the whole host. It comes up with the binary on disk.
func (w *world) restart() {
	if !w.reboot {
		return
	}
	w.reboot, w.forking, w.oldbin, w.excused = false, false, false, false
	w.old, w.young, w.orphans = nginxModel{}, nginxModel{}, nginxModel{}
	serving := nginxModel{alive: true, workers: fullWorkers}
	if w.disk == NewContent {
		w.young = serving
	} else {
		w.old, w.restarted = serving, true
	}
}

// happen lets the host go on between two looks. What was sent is always taken up in the end.
func (w *world) happen() {
	if w.slow > 0 && w.chance("nothing yet") {
		w.slow--
		return
	}
	w.proceed()
	for w.chance("more happens") && w.proceed() {
	}
	if w.chance("a connection ends") {
		w.endConnection()
	}
}

// proceed takes one of the things under way one step on; false: nothing is.
func (w *world) proceed() bool {
	var under []func()
	can := func(now bool, step func()) {
		if now {
			under = append(under, step)
		}
	}
	can(w.forking, w.exec)
	for _, m := range []*nginxModel{&w.old, &w.young} {
		can(m.toCome > 0, func() { m.toCome--; m.workers++ })
	}
	// A master forks in microseconds; a worker goes when its event loop comes round.
	coming := w.old.toCome+w.young.toCome > 0
	for _, m := range []*nginxModel{&w.old, &w.young, &w.orphans} {
		can(m.toLeave > 0 && !coming, func() { m.toLeave--; m.workers--; m.leaving++ })
	}
	can(w.young.quits && w.young.workers+w.young.leaving == 0, w.endYoung)
	can(w.old.quits && w.old.workers+w.old.leaving == 0, func() { w.old, w.oldbin = nginxModel{}, false })
	if w.young.alive && w.death >= 0 && (!w.victim || w.old.alive && w.young.workers == fullWorkers && w.young.toLeave == 0) {
		if w.death--; w.death < 0 {
			under = []func(){w.die}
		}
	}
	if len(under) == 0 {
		return false
	}
	under[rapid.IntRange(0, len(under)-1).Draw(w.T, "step")]()
	w.check()
	return true
}

func (w *world) exec() {
	w.forking = false
	if w.disk != NewContent {
		w.Fatal("the old master executed the old binary")
	}
	w.young = nginxModel{alive: true, toCome: fullWorkers}
	if w.stillborn {
		w.endYoung()
	}
}

// die: a master ends by itself. If its workers go with it, that may leave a gap which is not graft's doing.
func (w *world) die() {
	m := &w.young
	if w.victim {
		m = &w.old
	}
	if w.killer {
		w.orphans = nginxModel{workers: m.workers, leaving: m.leaving, toLeave: m.toLeave}
	}
	w.excused = true
	if w.victim {
		w.old, w.oldbin = nginxModel{}, false
	} else {
		w.endYoung()
	}
}

// endYoung: the old master takes its pid file back, and its workers if it was parked.
func (w *world) endYoung() {
	w.young, w.oldbin = nginxModel{}, false
	if w.old.parked && !w.old.quits {
		w.old.hup(true)
	}
}

func (w *world) endConnection() {
	for _, m := range []*nginxModel{&w.old, &w.young, &w.orphans} {
		if m.leaving > 0 {
			m.leaving--
			return
		}
	}
}

// check is guarantee 1, at every instant.
func (w *world) check() {
	accept, stay := 0, 0
	for _, m := range []nginxModel{w.old, w.young, w.orphans} {
		accept, stay = accept+m.workers, stay+m.workers-m.toLeave
	}
	if accept == 0 && !w.excused {
		w.Fatalf("nobody accepts: %s", w.seen())
	}
	w.excused = w.excused && stay == 0
}

func (w *world) checkEnd(phase Phase) {
	w.death = -1                                                             // what ends after graft has ended is another story
	for w.proceed() || w.old.leaving+w.young.leaving+w.orphans.leaving > 0 { // what was sent is taken up
		w.endConnection()
	}
	switch {
	case phase == Finished && (w.disk != NewContent || w.guarded || w.old.alive || w.young.workers != fullWorkers):
		w.Fatalf("finished, and %s", w.seen())
	case phase == RolledBack && (w.disk != OldContent || w.young.alive || w.begun || w.guarded || w.old.workers != fullWorkers || w.orphans.workers > 0):
		w.Fatalf("rolled back, and %s", w.seen())
	}
}

func (w *world) seen() Seen {
	seen := Seen{
		Disk: w.disk, Staged: w.staged, Begun: w.begun, Guarded: w.guarded, Old: w.old.master(1), New: w.young.master(2),
		Forking: w.forking, OldBin: w.oldbin, Restarted: w.restarted,
	}
	if seen.Disk == NewContent && seen.Staged && seen.Old.Alive() != seen.New.Alive() {
		seen.Orphans = w.orphans.seen()
	}
	return seen
}

func (w *world) turn() {
	w.intent.Goal = RolledBack
	w.note(stepTurn, journal.Observed)
}

// settle gives up after more looks than anything under way takes.
func (w *world) settle() (halt bool) {
	if w.settled++; w.settled < 25 {
		return false
	}
	halt = !w.intent.Winched && !w.intent.Revived
	w.intent.Winched, w.intent.Revived, w.settled = false, false, 0
	return halt
}

func (w *world) note(step string, kind journal.Kind) {
	w.events = append(w.events, journal.Event{Seq: len(w.events) + 1, Step: step, Event: kind, Phase: fmt.Sprint(w.disk)})
}
