package cli

import (
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// What is asked of the graft in the terminal holds for the one in the background, however it is written.
func TestTheDetachedGraftGetsTheFlagsThatItKnows(t *testing.T) {
	for given, want := range map[string]string{
		"":                         "apply plan.json --stay",
		"--park 2h --until=parked": "apply plan.json --stay --park=2h0m0s --until=parked",
		"--no-package-guard":       "apply plan.json --stay --no-package-guard=true",
		"--no-rehearsal=true":      "apply plan.json --stay --no-rehearsal=true",
		"--no-rehearsal=false --no-package-guard=0":        "apply plan.json --stay --no-package-guard=false --no-rehearsal=false",
		"--policy /etc/graft/site.yaml --degraded proceed": "apply plan.json --stay --degraded=proceed --policy=/etc/graft/site.yaml",
		"--probe http://a/ --probe http://b/":              "apply plan.json --stay --probe=http://a/ --probe=http://b/",
		"--source distro --detach --overlap 1s":            "apply plan.json --stay --overlap=1s",
	} {
		var flags runFlags
		cmd := &cobra.Command{}
		flags.add(cmd)
		cmd.Flags().BoolVar(&flags.bare, "no-rehearsal", false, "")
		cmd.Flags().String("source", "", "")
		if err := cmd.ParseFlags(strings.Fields(given)); err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(detachedArgs(cmd.Flags(), "plan.json"), " "); got != want {
			t.Errorf("%q becomes %q, want %q", given, got, want)
		}
		// resume goes on with what was begun: there is no plan to rehearse.
		if got := detachedArgs(cmd.Flags(), ""); slices.ContainsFunc(got, func(arg string) bool { return strings.HasPrefix(arg, "--no-rehearsal") }) {
			t.Errorf("%q becomes %q", given, got)
		}
	}
}
