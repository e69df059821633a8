package cli

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"graft/internal/artifact"
)

func (a *app) artifactCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "artifact", Short: "What the store holds"}
	cmd.AddCommand(
		&cobra.Command{
			Use: "list", Short: "List the artifacts, the newest first", Args: cobra.NoArgs,
			RunE: func(*cobra.Command, []string) error {
				store, err := a.store()
				if err != nil {
					return err
				}
				list, err := store.List()
				if err != nil {
					return err
				}
				manifests := make([]artifact.Manifest, len(list))
				for i, item := range list {
					manifests[i] = item.Manifest
				}
				return a.answer(map[string]any{"artifacts": manifests}, func(w io.Writer) {
					for _, m := range manifests {
						fmt.Fprintf(w, "%.12s  %s  %s\n", m.ID, m.Built, m.Name)
					}
				})
			},
		},
		&cobra.Command{
			Use: "show ID", Short: "Show an artifact's manifest: source, flags and why, files", Args: cobra.ExactArgs(1),
			RunE: func(_ *cobra.Command, args []string) error {
				item, err := a.artifact(args[0])
				if err != nil {
					return err
				}
				m := item.Manifest
				return a.answer(m, func(w io.Writer) {
					fmt.Fprintf(w, "%s\n  id        %s\n  source    %s %s\n  binary    %s\n  prefix    %s\n  needs     %s\n  files     %d\n\n",
						m.Name, m.ID, m.Source.Kind, m.Source.Location, item.BinaryPath(), m.Prefix, orNone(m.Libraries), len(m.Files))
					showFlags(w, m.Flags)
				})
			},
		},
		&cobra.Command{
			Use: "verify ID", Short: "Check every file of an artifact against its manifest", Args: cobra.ExactArgs(1),
			RunE: func(_ *cobra.Command, args []string) error {
				item, err := a.artifact(args[0])
				if err != nil {
					return err
				}
				if err := item.Verify(); err != nil {
					return err
				}
				return a.answer(map[string]string{"verified": item.Manifest.ID}, func(w io.Writer) {
					fmt.Fprintf(w, "%s is whole: %d files\n", item.Manifest.ID, len(item.Manifest.Files))
				})
			},
		},
	)
	return cmd
}

func (a *app) artifact(id string) (artifact.Artifact, error) {
	store, err := a.store()
	if err != nil {
		return artifact.Artifact{}, err
	}
	return store.Get(id)
}
