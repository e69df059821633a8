package cli

import (
	"fmt"
	"io"
	"time"

	"graft/internal/analysis"
	"graft/internal/migrate"
)

// fewFindings is how many findings a gate shows that say nothing against the new binary. -v shows all.
const fewFindings = 8

// showGate shows what a gate says: the verdict with its reasons, how far it has come, and what each test
// says.
func (a *app) showGate(w io.Writer, g migrate.Gate) {
	if len(g.Why) == 0 && g.Length == 0 {
		return
	}
	s := newScreen(w)
	fmt.Fprintf(s, "  gate      %s%s\n", g.Verdict, progress(g))
	if g.Rest != "" {
		s.fold("            ", "its clock stands: "+g.Rest, 0)
	}
	if g.Waits != "" && g.Waits != g.Rest {
		s.fold("            ", "waiting: "+g.Waits, 0)
	}
	for _, why := range g.Why {
		s.fold("            ", why, 0)
	}
	a.showFindings(s, g.Findings)
	if e := g.Evidence; e != nil && e.Probes+e.ProbesLost > 0 {
		fmt.Fprintf(s, "  probes    %d answered, %d lost, %d with 5xx that had none before\n", e.Probes, e.ProbesLost, e.Probes5xx)
	}
}

// progress is how far a gate's clock has come.
func progress(g migrate.Gate) string {
	if g.Length == 0 {
		return ""
	}
	text := fmt.Sprintf(", watched for %s of %s", g.Watched.Round(time.Second), g.Length.Round(time.Second))
	if g.Extended > 0 {
		text += fmt.Sprintf(" (%s added by hand)", g.Extended.Round(time.Second))
	}
	if left := g.Length - g.Watched; left > 0 {
		text += fmt.Sprintf(", %s to go", left.Round(time.Second))
	}
	return text
}

var stateWords = map[analysis.State]string{
	analysis.Alarm: "alarm", analysis.Suspect: "suspect", analysis.Quiet: "quiet", analysis.TooLittle: "too few",
}

// showFindings shows the worst first, all that speak against the new binary, and of the others a few that
// are about the traffic as a whole.
func (a *app) showFindings(s screen, findings []analysis.Finding) {
	left, shown := 0, 0
	for _, f := range findings {
		grave := f.State == analysis.Alarm || f.State == analysis.Suspect
		if !grave && !a.verbose && (f.Scope != "" || shown >= fewFindings) {
			left++
			continue
		}
		if !grave {
			shown++
		}
		text := f.Words
		if f.Power != "" {
			text += "; " + f.Power + " would not be seen"
		}
		s.fold(fmt.Sprintf("  %-10s", stateWords[f.State]), text, 0)
	}
	if left > 0 {
		fmt.Fprintf(s, "            and %d more, none of them an alarm (-v shows all)\n", left)
	}
}
