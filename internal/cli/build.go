package cli

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"graft/internal/artifact"
	"graft/internal/build"
	"graft/internal/build/job"
	"graft/internal/nginx"
)

// buildFlags are those of build and migrate.
type buildFlags struct {
	source  string
	modules []string
	prefix  string
	jobs    int
	refresh bool
}

func (b *buildFlags) add(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&b.source, "source", "", "OpenResty's or nginx's tarball or unpacked tree, or distro")
	f.StringArrayVar(&b.modules, "add-module", nil, "source directory of a module to build in")
	f.StringVar(&b.prefix, "openresty-prefix", build.DefaultPrefix, "where LuaJIT and lualib lie")
	f.IntVarP(&b.jobs, "jobs", "j", 0, "compilers at once (0: one per core)")
	f.BoolVar(&b.refresh, "refresh", false, "ask the distribution for newer packages")
}

func (a *app) buildCommand() *cobra.Command {
	var flags buildFlags
	var like string
	var dryRun bool
	cmd := &cobra.Command{
		Use:   "build --source TARBALL|DIR|distro [--like PID|BINARY|FILE]",
		Short: "Build an artifact with the running binary's flags and paths",
		Long: "Build configures and compiles the source with the flags of the running binary (or of --like: a pid,\n" +
			"a binary, or a file with what `nginx -V` prints), and keeps the result in the store. Nothing is installed.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if flags.source == "" {
				return required(cmd, "source")
			}
			request, err := a.buildRequest(cmd.Context(), flags, like)
			if err != nil {
				return err
			}
			if dryRun {
				planned, err := build.Plan(cmd.Context(), request)
				if err != nil {
					return err
				}
				return a.answer(planned, func(w io.Writer) { showPlannedBuild(w, planned) })
			}
			result, err := a.build(cmd.Context(), request)
			if err != nil {
				return err
			}
			m := result.Artifact.Manifest
			return a.answer(m, func(w io.Writer) { fmt.Fprintln(w, m.ID) })
		},
	}
	flags.add(cmd)
	cmd.Flags().StringVar(&like, "like", "", "pid, binary or file with -V's output to take the flags from (default: what runs)")
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "show the configure line, the fate of each flag and what this machine lacks")
	return cmd
}

func (a *app) buildRequest(ctx context.Context, f buildFlags, like string) (build.Request, error) {
	r := build.Request{Source: f.source, Modules: f.modules, Prefix: f.prefix, Jobs: f.jobs, Refresh: f.refresh}
	for i, dir := range r.Modules {
		abs, err := filepath.Abs(dir)
		if err != nil {
			return r, err
		}
		r.Modules[i] = abs
	}
	if like != "" {
		var err error
		r.Like, err = a.likeness(ctx, like)
		return r, err
	}
	i, err := a.instance(ctx)
	if err != nil {
		return r, err
	}
	return forInstance(r, i), nil
}

// forInstance takes the flags and the loaded modules of what runs.
func forInstance(r build.Request, i nginx.Instance) build.Request {
	r.Like = i.Build
	for _, module := range i.Modules {
		r.Loaded = append(r.Loaded, filepath.Base(module))
	}
	return r
}

// likeness reads --like: a pid, a binary, or the text of -V in a file.
func (a *app) likeness(ctx context.Context, like string) (nginx.Build, error) {
	path := like
	if strings.Trim(like, "0123456789") == "" {
		path = "/proc/" + like + "/exe"
	}
	head := make([]byte, 4)
	file, err := os.Open(path)
	if err != nil {
		return nginx.Build{}, failf(CodeUsage, "name a pid, a binary, or a file with the output of nginx -V", "--like: %w", err)
	}
	defer file.Close()
	if n, _ := io.ReadFull(file, head); string(head[:n]) == "\x7fELF" {
		return nginx.Ask(ctx, path)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nginx.Build{}, fmt.Errorf("--like: %w", err)
	}
	b, err := nginx.ParseBuild(string(text), "")
	if err != nil {
		return nginx.Build{}, failf(CodeUsage, "the file has to hold what nginx -V prints", "--like %s: %w", like, err)
	}
	return b, nil
}

// build shows the progress on stderr: a line that changes on a terminal, a line a step elsewhere.
func (a *app) build(ctx context.Context, r build.Request) (build.Result, error) {
	store, err := a.store()
	if err != nil {
		return build.Result{}, err
	}
	file, ok := a.Err.(*os.File)
	live := ok && isTerminal(file)
	lastStep := 0
	result, err := build.Build(ctx, r, store, func(p job.Progress) {
		switch {
		case a.quiet:
		case live:
			fmt.Fprintf(a.Err, "\r\x1b[K%s", progressLine(p))
		case p.N != lastStep:
			lastStep = p.N
			fmt.Fprintln(a.Err, progressLine(p))
		}
	})
	if live && !a.quiet {
		fmt.Fprintln(a.Err)
	}
	if err != nil {
		return result, err
	}
	for _, warning := range result.Warnings {
		a.say("warning: %s", warning)
	}
	m := result.Artifact.Manifest
	if result.Cached {
		a.say("built before: %s, artifact %.12s (%s)", m.Name, m.ID, result.Elapsed.Round(time.Millisecond))
	} else {
		a.say("built %s in %s, artifact %.12s, log %s", m.Name, result.Elapsed.Round(time.Second/10), m.ID, result.Log)
	}
	return result, nil
}

func progressLine(p job.Progress) string {
	text := fmt.Sprintf("[%d/%d] %s", p.N, p.Of, p.Step)
	if p.Files > 0 {
		text += fmt.Sprintf(" %d/%d", p.File, p.Files)
	}
	if p.Detail != "" {
		text += " " + p.Detail
	}
	return text + " (" + p.Elapsed.Round(time.Second/10).String() + ")"
}

func showPlannedBuild(w io.Writer, p build.Planned) {
	showFlags(w, p.Flags)
	fmt.Fprintf(w, "\n./configure %s\n", nginx.QuoteConfigure(p.Configure))
	for _, d := range p.Dependencies {
		if !d.Installed {
			fmt.Fprintf(w, "missing: %s (%s)\n", d.Name, d.Package)
		}
	}
	for _, warning := range p.Warnings {
		fmt.Fprintf(w, "warning: %s\n", warning)
	}
}

func showFlags(w io.Writer, flags []artifact.Flag) {
	marks := map[artifact.Action]string{artifact.Keep: " ", artifact.Drop: "-", artifact.Rewrite: "~", artifact.Add: "+"}
	for _, f := range flags {
		fmt.Fprintf(w, "%s %s\n", marks[f.Action], f.Flag)
		if f.To != "" {
			fmt.Fprintf(w, "    → %s\n", f.To)
		}
		if f.Action != artifact.Keep {
			fmt.Fprintf(w, "    %s\n", f.Reason)
		}
	}
}
