package cli

import (
	"cmp"
	"fmt"
	"io"
	"strings"

	"graft/internal/gate"
	"graft/internal/migrate"
	"graft/internal/preflight"
)

// How many lines of evidence a plan shows. A blocker's are all there; -v shows all of everything.
const (
	warningLines = 4
	noteLines    = 1
	stepLines    = 2
)

// showPlan shows a plan on one screen: what becomes of what, then what stands in its way, the worst
// first, then the steps.
func (a *app) showPlan(w io.Writer, p migrate.Plan, file string) {
	s := newScreen(w)
	fmt.Fprintf(s, "%s %s → %s   (plan %s)\n", p.Old.Flavor, p.Old.Version, p.Target.Name, p.ID)
	fmt.Fprintf(s, "  master %d with %d workers, %s, %s\n", p.Old.Master.PID, p.Old.Workers, p.Old.Binary, p.Old.Conf)
	if p.Nothing() {
		fmt.Fprintln(s, "\nNothing to do: this binary runs already.")
		return
	}
	fmt.Fprintln(s)
	counts := map[preflight.Severity]int{}
	for _, c := range p.Checks {
		counts[c.Severity]++
		a.showCheck(s, c)
	}
	if counts[preflight.OK] < len(p.Checks) {
		fmt.Fprintln(s)
	}
	a.showSteps(s, p.Steps)
	a.showBlind(s, p.Blind)
	a.showWithoutPID(s, p)
	fmt.Fprintf(s, "\n%d checks: %s, %s, %s, %d in order (-v shows all of it). Nothing was changed.\n", len(p.Checks),
		count(counts[preflight.Blocker], "blocker"), count(counts[preflight.Warning], "warning"), count(counts[preflight.Note], "note"), counts[preflight.OK])
	if counts[preflight.OK] < len(p.Checks) {
		fmt.Fprintln(s, "graft traps ID explains a check.")
	}
	switch {
	case counts[preflight.Blocker] > 0:
		fmt.Fprintln(s, "Blocked: graft apply would refuse it.")
	case file != "":
		fmt.Fprintf(s, "Saved. Next: graft rehearse %s, then graft apply %[1]s\n", file)
	}
}

func (a *app) showCheck(s screen, c preflight.Check) {
	if c.Severity == preflight.OK && !a.verbose {
		return
	}
	lines := map[preflight.Severity]int{preflight.Warning: warningLines, preflight.Note: noteLines, preflight.OK: noteLines}[c.Severity]
	if a.verbose {
		lines = 0
	}
	s.fold(fmt.Sprintf("%-8s %-24s ", c.Severity, c.ID), c.Evidence, lines)
	if c.Remedy != "" && (c.Severity <= preflight.Warning || a.verbose) {
		s.fold(strings.Repeat(" ", 34)+"→ ", c.Remedy, 0) // whole: it is there to be copied
	}
}

// showBlind says what the gates will not see, what follows from it first.
func (a *app) showBlind(s screen, b *gate.Blind) {
	if b == nil {
		return
	}
	fmt.Fprintln(s)
	for _, means := range b.Means {
		s.fold("gate     ", means, 0)
	}
	for n, log := range b.Unobserved {
		if n == warningLines && len(b.Unobserved) > n+1 && !a.verbose {
			s.fold("gate     ", fmt.Sprintf("and %d more logs cannot be watched (-v shows all)", len(b.Unobserved)-n), 0)
			break
		}
		s.fold("gate     ", "cannot be watched: "+log, 0)
	}
}

// showWithoutPID says what would make the first gate quicker. Without it, faults of the new binary that are a few
// times the usual are seen only against the days before, which takes minutes to hours instead of seconds.
func (a *app) showWithoutPID(s screen, p migrate.Plan) {
	if len(p.WithoutPID) == 0 {
		return
	}
	fmt.Fprintln(s)
	if !a.verbose {
		s.fold("gate     ", fmt.Sprintf("%s without $pid: the old workers' requests and the new ones' cannot be told apart, so that the gate at overlap finds faults later. -v shows the lines to write.",
			count(len(p.WithoutPID), "log_format")), 0)
		return
	}
	s.fold("gate     ", "Without $pid in its log_format, an access log does not tell the old workers' requests from the new ones'. With these lines it does, after a reload of the running nginx and before the plan is made again:", 0)
	for _, format := range p.WithoutPID {
		s.fold("         ", format.String(), 0)
	}
}

func (a *app) showSteps(s screen, steps []migrate.Step) {
	lines := stepLines
	if a.verbose {
		lines = 0
	}
	for n, step := range steps {
		act := step.Does
		if step.Signal != "" {
			act = step.Signal + " to " + step.To + ": " + act
		}
		if step.Path != "" {
			act += " (" + step.Path + ")"
		}
		s.fold(fmt.Sprintf("%2d. %-9s %-8s ", n+1, cmp.Or(string(step.Ends), "·"), step.Action), act, lines)
	}
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
