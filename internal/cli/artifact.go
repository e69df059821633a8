package cli

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"graft/internal/artifact"
)

func (a *app) artifactCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "artifact", Short: "What the store holds, and how it is carried to other hosts"}
	cmd.AddCommand(
		&cobra.Command{
			Use: "list", Short: "List the artifacts, the newest first", Args: cobra.NoArgs,
			RunE: func(*cobra.Command, []string) error { return a.listArtifacts() },
		},
		&cobra.Command{
			Use: "show ID", Short: "Show an artifact's manifest: source, flags and why, files", Args: cobra.ExactArgs(1),
			RunE: func(_ *cobra.Command, args []string) error {
				item, err := a.artifact(args[0])
				if err != nil {
					return err
				}
				return a.answer(item.Manifest, func(w io.Writer) { showArtifact(w, item) })
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
		a.exportCommand(), a.importCommand(), a.pruneCommand(),
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

// artifactList is what the store holds. What is unreadable does not hide the rest.
type artifactList struct {
	Artifacts  []artifact.Manifest `json:"artifacts"`
	Unreadable []unreadable        `json:"unreadable,omitempty"`
}

type unreadable struct {
	ID    string `json:"id"`
	Dir   string `json:"dir"`
	Error string `json:"error"`
}

func (a *app) listArtifacts() error {
	store, err := a.store()
	if err != nil {
		return err
	}
	items, broken, err := store.List()
	if err != nil {
		return err
	}
	list := artifactList{Artifacts: make([]artifact.Manifest, len(items))}
	for i, item := range items {
		list.Artifacts[i] = item.Manifest
	}
	for _, b := range broken {
		list.Unreadable = append(list.Unreadable, unreadable{ID: b.ID, Dir: b.Dir, Error: b.Err.Error()})
	}
	if err := a.answer(list, func(w io.Writer) { showArtifacts(w, list) }); err != nil {
		return err
	}
	if len(broken) > 0 {
		return failf(CodeFailed, "remove the directory of each, then build or import it again", "%d of %d artifacts cannot be read", len(broken), len(broken)+len(items))
	}
	return nil
}

func showArtifacts(w io.Writer, list artifactList) {
	if len(list.Artifacts)+len(list.Unreadable) == 0 {
		fmt.Fprintln(w, "none")
	}
	for _, m := range list.Artifacts {
		fmt.Fprintf(w, "%.12s  %s  %s\n", m.ID, m.Built, m.Name)
	}
	for _, u := range list.Unreadable {
		fmt.Fprintf(w, "%.12s  cannot be read: %s\n", u.ID, u.Error)
	}
}

func showArtifact(w io.Writer, item artifact.Artifact) {
	m := item.Manifest
	line := func(name, format string, args ...any) {
		fmt.Fprintf(w, "  %-9s %s\n", name, fmt.Sprintf(format, args...))
	}
	fmt.Fprintln(w, m.Name)
	line("id", "%s", m.ID)
	line("source", "%s %s", m.Source.Kind, m.Source.Location)
	if m.Source.SHA256 != "" {
		line("sha256", "%s", m.Source.SHA256)
	}
	if s := m.Source.Signature; s != nil {
		line("signature", "%s", signatureText(*s))
	}
	line("binary", "%s", item.BinaryPath())
	line("prefix", "%s", m.Prefix)
	line("needs", "%s", orNone(m.Libraries))
	if m.Debug != "" {
		line("debug", "%s", m.Debug)
	}
	line("files", "%d", len(m.Files))
	for _, module := range m.Modules {
		where := module.File
		if where == "" {
			where = "built in"
		}
		line("module", "%s (%s): %s, %s", module.Name, where, module.Source, module.Reason)
	}
	fmt.Fprintln(w)
	showFlags(w, m.Flags)
}

func signatureText(s artifact.Signature) string {
	switch s.Status {
	case artifact.SignatureGood:
		text := "good, by " + s.Fingerprint
		if s.Created != "" {
			text += ", " + s.Created
		}
		if s.Hash != "" {
			text += ", " + s.Hash
		}
		return text
	case artifact.SignatureNone:
		return "none: nobody vouches for this source"
	}
	return "NOT CHECKED"
}
