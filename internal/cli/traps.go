package cli

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"graft/docs/traps"
	"graft/internal/preflight"
)

// trapJSON is one trap in the answer of `graft traps`.
type trapJSON struct {
	ID         string               `json:"id"`
	What       string               `json:"what"`
	Severities []preflight.Severity `json:"severities"`
	Page       string               `json:"page"`
	Text       string               `json:"text,omitempty"` // the page itself, where one trap was asked for
}

func (a *app) trapsCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "traps [ID]",
		Short: "List the traps that graft plan checks, or explain one",
		Args:  cobra.MaximumNArgs(1),
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			return trapIDs(), cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return a.listTraps()
			}
			return a.explainTrap(args[0])
		},
	}
}

func (a *app) listTraps() error {
	var list []trapJSON
	for _, e := range preflight.Catalogue() {
		list = append(list, trap(e))
	}
	return a.answer(map[string]any{"traps": list}, func(w io.Writer) {
		table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
		for _, e := range list {
			fmt.Fprintf(table, "%s\t%s\t%s\n", e.ID, e.Severities[0], e.What)
		}
		_ = table.Flush() // what Out does not take is lost as with any other answer
		fmt.Fprintln(w, "\nBeside each the worst that its check may answer. graft traps ID explains one.")
	})
}

func (a *app) explainTrap(id string) error {
	at := slices.IndexFunc(preflight.Catalogue(), func(e preflight.Entry) bool { return e.ID == id })
	if at < 0 {
		hint := "graft traps lists them"
		if near := nearTraps(id); len(near) > 0 {
			hint = "did you mean " + strings.Join(near, ", ") + "?"
		}
		return failf(CodeUsage, hint, "no such trap: %s", id)
	}
	page, err := traps.Page(id)
	if err != nil {
		return err
	}
	answer := trap(preflight.Catalogue()[at])
	answer.Text = page
	return a.answer(answer, func(w io.Writer) { fmt.Fprint(w, page) })
}

func trap(e preflight.Entry) trapJSON {
	return trapJSON{ID: e.ID, What: e.What, Severities: e.Answers, Page: e.Page()}
}

func trapIDs() []string {
	var ids []string
	for _, e := range preflight.Catalogue() {
		ids = append(ids, e.ID)
	}
	return ids
}

// nearTraps are the IDs that look like the given one or hold it.
func nearTraps(id string) []string {
	// cobra finds what is near among commands.
	similar := &cobra.Command{SuggestionsMinimumDistance: 3}
	for _, known := range trapIDs() {
		similar.AddCommand(&cobra.Command{Use: known, Run: func(*cobra.Command, []string) {}})
	}
	near := similar.SuggestionsFor(id)
	for _, known := range trapIDs() {
		if strings.Contains(known, strings.ToLower(id)) && !slices.Contains(near, known) {
			near = append(near, known)
		}
	}
	return near
}
