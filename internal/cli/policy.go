package cli

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"graft/internal/policy"
)

func (a *app) policyCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "policy [FILE]",
		Short: "Check a policy file and show all that it comes to, or what holds without one",
		Args:  cobra.MaximumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			p := policy.Defaults()
			if len(args) > 0 {
				var err error
				if p, err = policy.Load(args[0]); err != nil {
					return failf(CodeUsage, "docs/policy.md has every key", "%w", err)
				}
			}
			p = p.Effective()
			text, err := p.YAML()
			if err != nil {
				return err
			}
			return a.answer(p, func(w io.Writer) { fmt.Fprint(w, text) })
		},
	}
}
