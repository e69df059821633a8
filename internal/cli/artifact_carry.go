package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"graft/internal/artifact"
)

// exported is what an export came to.
type exported struct {
	Artifact string `json:"artifact"`
	Name     string `json:"name"`
	File     string `json:"file"`
	Bytes    int64  `json:"bytes"`
	SHA256   string `json:"sha256"` // of the file
}

func (a *app) exportCommand() *cobra.Command {
	var out string
	var force bool
	cmd := &cobra.Command{
		Use:   "export ID [--out FILE]",
		Short: "Write an artifact to one file, to be imported on another host",
		Long: "Export checks the artifact against its manifest and writes it as one .tar.zst. Equal artifacts give\n" +
			"equal files.",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if out == "-" {
				return a.exportToStdout(cmd.Context(), args[0])
			}
			store, err := a.store()
			if err != nil {
				return err
			}
			e, err := store.ExportFile(cmd.Context(), args[0], out, force)
			if err != nil {
				return err
			}
			answer := exported{e.Artifact.Manifest.ID, e.Artifact.Manifest.Name, e.File, e.Bytes, e.SHA256}
			if err := a.answer(answer, func(w io.Writer) { fmt.Fprintln(w, answer.File) }); err != nil {
				return err
			}
			a.say("%s, %s. Where it is to be used: graft artifact import --expect %s FILE", answer.Name, bytesText(answer.Bytes), answer.Artifact)
			return nil
		},
	}
	cmd.Flags().StringVar(&out, "out", "", "file to write, - for standard output (default graft-NAME-ID.tar.zst here)")
	cmd.Flags().BoolVar(&force, "force", false, "replace the file if it is there")
	return cmd
}

func (a *app) exportToStdout(ctx context.Context, id string) error {
	if file, ok := a.Out.(*os.File); ok && isTerminal(file) {
		return failf(CodeUsage, "--out FILE, or a pipe behind it", "an artifact is not for a terminal")
	}
	store, err := a.store()
	if err != nil {
		return err
	}
	a.answered = true // standard output is taken
	item, err := store.Export(ctx, id, a.Out)
	if err != nil {
		return err
	}
	a.say("%s, artifact %s", item.Manifest.Name, item.Manifest.ID)
	return nil
}

// imported is what an import came to.
type imported struct {
	Artifact string `json:"artifact"`
	Name     string `json:"name"`
	Already  bool   `json:"already"` // it was here before
}

func (a *app) importCommand() *cobra.Command {
	var expect string
	cmd := &cobra.Command{
		Use:   "import FILE [--expect ID]",
		Short: "Take an exported artifact into the store, after checking all of it",
		Long: "Import checks everything that an archive holds before anything of it is in the store. - reads standard\n" +
			"input. Root will run what an artifact holds, and its ID tells what that is, not who made it: get the ID\n" +
			"in a way that you trust, and give it with --expect.",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if expect != "" && !artifact.IsID(expect) {
				return failf(CodeUsage, "of a part of them another artifact can be made", "--expect %q: an ID has 64 hexadecimal digits", expect)
			}
			r, err := a.openArchive(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			defer r.Close()
			store, err := a.store()
			if err != nil {
				return err
			}
			i, err := store.Import(cmd.Context(), r, expect)
			var refused *artifact.RefusedError
			if errors.As(err, &refused) {
				return &Error{CodeFailed, err, "nothing of it was stored; docs/artifacts.md tells the rules"}
			}
			if err != nil {
				return err
			}
			m := i.Artifact.Manifest
			answer := imported{m.ID, m.Name, i.Already}
			if err := a.answer(answer, func(w io.Writer) { fmt.Fprintln(w, answer.Artifact) }); err != nil {
				return err
			}
			if i.Already {
				a.say("%s was here already", m.Name)
			} else {
				a.say("%s is here now", m.Name)
			}
			if expect == "" {
				a.say("warning: nothing vouches for it: compare its ID with one that you got in a way that you trust (--expect does)")
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&expect, "expect", "", "the ID that it must have, all 64 digits")
	return cmd
}

// openArchive opens a file, or standard input in a way that a signal ends.
func (a *app) openArchive(ctx context.Context, name string) (io.ReadCloser, error) {
	if name == "-" {
		if file, ok := a.In.(*os.File); ok && isTerminal(file) {
			return nil, failf(CodeUsage, "name a file, or pipe one in", "an artifact does not come from a terminal")
		}
		return interruptible(ctx, a.In), nil
	}
	info, err := os.Stat(name)
	if err == nil && !info.Mode().IsRegular() {
		return nil, failf(CodeUsage, "graft artifact import - reads a pipe", "import artifact: %s is not a regular file", name)
	}
	if err != nil {
		return nil, failf(CodeFailed, "graft artifact export writes one", "import artifact: %w", err)
	}
	return os.Open(name)
}

// interruptible lets ctx end a read that waits for a pipe. The read itself goes on until the pipe or the
// program ends.
func interruptible(ctx context.Context, in io.Reader) io.ReadCloser {
	r, w := io.Pipe()
	stop := context.AfterFunc(ctx, func() { _ = w.CloseWithError(ctx.Err()) })
	go func() {
		_, err := io.Copy(w, in)
		stop()
		_ = w.CloseWithError(err)
	}()
	return r
}

// bytesText is a size for people.
func bytesText(n int64) string {
	switch {
	case n >= 1<<30:
		return fmt.Sprintf("%.1f GiB", float64(n)/(1<<30))
	case n >= 1<<20:
		return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
	case n >= 1<<10:
		return fmt.Sprintf("%.1f KiB", float64(n)/(1<<10))
	}
	return fmt.Sprintf("%d bytes", n)
}
