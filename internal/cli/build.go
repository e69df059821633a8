package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"graft/internal/artifact"
	"graft/internal/build"
	"graft/internal/build/job"
	"graft/internal/build/needs"
	"graft/internal/build/source"
	"graft/internal/nginx"
)

// buildFlags are those of build and migrate.
type buildFlags struct {
	source  string
	trust   source.Trust
	modules []string
	with    []string
	without []string
	prefix  string
	jobs    int
	refresh bool
	install bool
}

func (b *buildFlags) add(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&b.source, "source", "", "what to build: openresty-VERSION, latest, a tarball or its URL, an unpacked tree, or distro (the distribution's own packages)")
	f.StringVar(&b.trust.Mirror, "mirror", "", "URL of a directory with OpenResty's releases and their signatures")
	f.StringVar(&b.trust.SHA256, "sha256", "", "what the tarball's SHA-256 must be")
	f.StringArrayVar(&b.trust.Keys, "key", nil, "file with the public key that signed the tarball (default: OpenResty's release key)")
	f.BoolVar(&b.trust.InsecureNoSignature, "insecure-no-signature", false, "do not check who signed the tarball; the manifest says so")
	f.StringArrayVar(&b.modules, "add-module", nil, "source directory of a third-party module (a .so file if the configuration loads it as one)")
	f.StringArrayVar(&b.with, "flag", nil, "configure argument to add or to keep, e.g. --flag=--with-debug; words of --with-cc-opt and --with-ld-opt are added")
	f.StringArrayVar(&b.without, "without-flag", nil, "configure argument, or name of one, to leave out")
	f.StringVar(&b.prefix, "openresty-prefix", "", "where LuaJIT, lualib and .so modules lie (default "+build.DefaultPrefix+")")
	f.IntVarP(&b.jobs, "jobs", "j", 0, "compilers at once (0: one per core)")
	f.BoolVar(&b.install, "install-deps", false, "install what the build needs and this machine lacks, with its package manager; asks first")
	f.BoolVar(&b.refresh, "refresh", false, "ask the distribution for newer packages")
}

func (a *app) buildCommand() *cobra.Command {
	var flags buildFlags
	var like, loads string
	var dryRun bool
	cmd := &cobra.Command{
		Use:   "build --source VERSION|TARBALL|URL|DIR|distro [--like PID|BINARY|FILE]",
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
			if loads != "" {
				if request.Loaded != nil {
					return failf(CodeUsage, "leave --loads out", "--loads: the running configuration tells which modules it loads")
				}
				request.Loaded = loadedByName(loads)
			}
			if dryRun {
				planned, err := build.Plan(cmd.Context(), request)
				if err != nil {
					return err
				}
				return a.answer(planned, func(w io.Writer) { showPlannedBuild(w, planned) })
			}
			result, err := a.build(cmd.Context(), request, flags.install)
			if err != nil {
				return err
			}
			m := result.Artifact.Manifest
			return a.answer(m, func(w io.Writer) { fmt.Fprintln(w, m.ID) })
		},
	}
	flags.add(cmd)
	cmd.Flags().StringVar(&like, "like", "", "pid, binary or file with -V's output to take the flags from (default: what runs)")
	cmd.Flags().StringVar(&loads, "loads", "", "with --like BINARY or FILE: .so files that the configuration loads, apart by commas, or none (default: it is not known, all are built)")
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "show the configure line, the fate of each flag and what this machine lacks")
	return cmd
}

func (a *app) buildRequest(ctx context.Context, f buildFlags, like string) (build.Request, error) {
	r := build.Request{Source: f.source, Trust: f.trust, Modules: f.modules, With: f.with, Without: f.without, Prefix: f.prefix, Jobs: f.jobs, Refresh: f.refresh}
	if like != "" {
		return a.resemble(ctx, r, like)
	}
	i, err := a.instance(ctx)
	if err != nil {
		return r, err
	}
	return forInstance(r, i), nil
}

// loadedByName reads --loads.
func loadedByName(list string) []build.Loaded {
	loaded := []build.Loaded{}
	for file := range strings.SplitSeq(list, ",") {
		if file = strings.TrimSpace(file); file != "" && file != "none" {
			loaded = append(loaded, build.Loaded{File: file, At: "--loads"})
		}
	}
	return loaded
}

// forInstance takes the flags, the binary and the loaded modules of what runs.
func forInstance(r build.Request, i nginx.Instance) build.Request {
	r.Like, r.Binary = i.Build, fmt.Sprintf("/proc/%d/exe", i.Master.PID)
	if i.Config == nil {
		return r
	}
	r.Config, r.Loaded = i.Config, []build.Loaded{}
	for _, d := range i.Config.Directives {
		if d.Name == "load_module" {
			r.Loaded = append(r.Loaded, build.Loaded{File: i.Modules[len(r.Loaded)], At: d.Pos().String()})
		}
	}
	return r
}

// resemble takes the flags from what --like names: a pid, a binary, or the text of -V in a file.
func (a *app) resemble(ctx context.Context, r build.Request, like string) (build.Request, error) {
	if pid, err := strconv.Atoi(like); err == nil {
		i, err := nginx.Inspect(ctx, a.fs, pid)
		if err != nil {
			return r, failf(CodeUsage, "graft inspect shows which masters run", "--like %s: %w", like, err)
		}
		return forInstance(r, i), nil
	}
	head := make([]byte, 4)
	file, err := os.Open(like)
	if err != nil {
		return r, failf(CodeUsage, "name a pid, a binary, or a file with the output of nginx -V", "--like: %w", err)
	}
	defer file.Close()
	if n, _ := io.ReadFull(file, head); string(head[:n]) == "\x7fELF" {
		r.Binary = like
		r.Like, err = nginx.Ask(ctx, like)
		return r, err
	}
	text, err := os.ReadFile(like)
	if err != nil {
		return r, fmt.Errorf("--like: %w", err)
	}
	if r.Like, err = nginx.ParseBuild(string(text), ""); err != nil {
		return r, failf(CodeUsage, "the file has to hold what nginx -V prints", "--like %s: %w", like, err)
	}
	return r, nil
}

// build builds, and installs first what is missing for that, if the user wants it.
func (a *app) build(ctx context.Context, r build.Request, install bool) (build.Result, error) {
	result, err := a.buildOnce(ctx, r)
	missing, ok := errors.AsType[*needs.MissingError](err)
	failed, known := errors.AsType[*build.FailedError](err)
	switch {
	case known:
		return result, &Error{CodeFailed, err, failed.Remedy}
	case !ok:
		return result, err
	case !install:
		return result, &Error{CodeFailed, err, "graft installs them with --install-deps; nothing was changed"}
	}
	if err := a.installDeps(ctx, missing); err != nil {
		return result, err
	}
	return a.buildOnce(ctx, r)
}

func (a *app) installDeps(ctx context.Context, missing *needs.MissingError) error {
	release, err := source.ReadOSRelease("/etc/os-release")
	if err != nil {
		return err
	}
	proposal, err := missing.Propose(ctx, job.Silent(), release)
	if err != nil {
		return err
	}
	a.say("to install: %s", proposal)
	if err := a.confirm("Install these packages?"); err != nil {
		return err
	}
	return proposal.Run(ctx, job.Silent())
}

// buildOnce shows the progress on stderr: a line that changes on a terminal, a line a step elsewhere.
func (a *app) buildOnce(ctx context.Context, r build.Request) (build.Result, error) {
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
	switch {
	case p.Files > 0:
		text += fmt.Sprintf(" %d/%d", p.File, p.Files)
	case p.Size > 0:
		text += fmt.Sprintf(" %.1f/%.1f MB", float64(p.Bytes)/1e6, float64(p.Size)/1e6)
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

// showFlags shows what becomes of each configure argument, as a diff does, and why.
func showFlags(w io.Writer, flags []artifact.Flag) {
	marks := map[artifact.Action]string{artifact.Keep: " ", artifact.Drop: "-", artifact.Rewrite: "-", artifact.Add: "+"}
	for _, f := range flags {
		fmt.Fprintf(w, "%s %s\n", marks[f.Action], f.Flag)
		if f.To != "" {
			fmt.Fprintf(w, "+ %s\n", f.To)
		}
		fmt.Fprintf(w, "    # %s\n", f.Reason)
	}
}
