// Package cli is graft's commands: what the user says, what graft answers, in text and JSON.
package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"graft/internal/artifact"
	"graft/internal/migrate"
	"graft/internal/procfs"
)

// Streams are the program's own: Out is data, Err is for people.
type Streams struct {
	In       io.Reader
	Out, Err io.Writer
}

// Output formats.
const (
	outputText  = "text"
	outputJSON  = "json"
	outputLines = "jsonl"
)

// app is one run of the program.
type app struct {
	Streams
	fs procfs.FS

	output      string
	pid         int
	pidFile     string
	stateDir    string
	yes         bool
	noInput     bool
	quiet       bool
	verbose     bool
	answered    bool // the JSON answer is out
	progressing bool // a line on the terminal tells how far something has come
}

// Main runs one command and returns its exit code.
func Main(ctx context.Context, args []string, s Streams) int {
	a := &app{Streams: s, fs: procfs.New("/proc")}
	root := a.root()
	root.SetArgs(spreadLists(args))
	root.SetOut(s.Out)
	root.SetErr(s.Err)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return int(CodeDone)
	}
	e := a.ofStateDir(classify(err))
	a.report(e)
	return int(e.Code)
}

func (a *app) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "graft",
		Short: "Put OpenResty under a running nginx without dropping a request",
		Long: "graft replaces the binary of a running nginx by OpenResty, or any binary of the nginx family by\n" +
			"another, without dropping a request; watches it; and takes it back if it does worse.",
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return nil
			}
			hint := "graft --help lists the commands"
			if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
				hint = "did you mean graft " + near[0] + "?"
			}
			return failf(CodeUsage, hint, "no such command: %s", args[0])
		},
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
		SilenceErrors: true,
		SilenceUsage:  true,
		PersistentPreRunE: func(*cobra.Command, []string) error {
			switch a.output {
			case outputText, outputJSON, outputLines:
				return nil
			}
			return failf(CodeUsage, "", "-o %s: want text, json or jsonl", a.output)
		},
	}
	f := root.PersistentFlags()
	f.StringVarP(&a.output, "output", "o", outputText, "text, json or jsonl")
	f.IntVar(&a.pid, "pid", 0, "pid of the master, where several instances run")
	f.StringVar(&a.pidFile, "pid-file", "", "pid file of the instance, where several run")
	f.StringVar(&a.stateDir, "state-dir", defaultStateDir(), "graft's directory ($GRAFT_STATE_DIR)")
	f.BoolVar(&a.yes, "yes", false, "do not ask")
	f.BoolVar(&a.noInput, "no-input", false, "never ask; fail where an answer is needed")
	f.BoolVarP(&a.quiet, "quiet", "q", false, "only data and errors")
	f.BoolVarP(&a.verbose, "verbose", "v", false, "more, on stderr")
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return &Error{CodeUsage, err, cmd.CommandPath() + " --help lists the flags"}
	})
	root.AddCommand(
		a.inspectCommand(), a.buildCommand(), a.artifactCommand(), a.planCommand(), a.rehearseCommand(), a.applyCommand(), a.migrateCommand(),
		a.resumeCommand(), a.finishCommand(), a.rollbackCommand(), a.statusCommand(), a.watchCommand(), a.policyCommand(), a.historyCommand(),
		a.probeCommand(), a.analyzeCommand(), a.trapsCommand(), a.versionCommand(),
	)
	root.SuggestionsMinimumDistance = 2
	for _, cmd := range root.Commands() {
		usageErrors(cmd)
	}
	return root
}

// usageErrors gives wrong arguments the exit code for wrong usage.
func usageErrors(cmd *cobra.Command) {
	if check := cmd.Args; check != nil {
		cmd.Args = func(cmd *cobra.Command, args []string) error {
			if err := check(cmd, args); err != nil {
				return &Error{CodeUsage, err, "usage: " + cmd.UseLine()}
			}
			return nil
		}
	}
	for _, sub := range cmd.Commands() {
		usageErrors(sub)
	}
}

func defaultStateDir() string {
	if dir := os.Getenv("GRAFT_STATE_DIR"); dir != "" {
		return dir
	}
	return "/var/lib/graft"
}

// required is the error of a flag that was left out.
func required(cmd *cobra.Command, flag string) error {
	return failf(CodeUsage, "usage: "+cmd.UseLine(), "--%s is required", flag)
}

func (a *app) state() (migrate.State, error) { return migrate.OpenState(a.stateDir) }

func (a *app) store() (*artifact.Store, error) { return artifact.Open(a.stateDir) }

func (a *app) log() *slog.Logger {
	level := slog.LevelWarn
	if a.verbose {
		level = slog.LevelDebug
	}
	return slog.New(slog.NewTextHandler(a.Err, &slog.HandlerOptions{Level: level}))
}

// answer writes the command's data: v as JSON, or text.
func (a *app) answer(v any, text func(io.Writer)) error {
	a.answered = true
	if a.output == outputText {
		text(a.Out)
		return nil
	}
	out := json.NewEncoder(a.Out)
	if a.output == outputJSON {
		out.SetIndent("", "  ")
	}
	return out.Encode(v)
}

// say writes a line for people.
func (a *app) say(format string, args ...any) {
	if !a.quiet {
		fmt.Fprintf(a.Err, format+"\n", args...)
	}
}

// confirm asks a yes-or-no question; no answer is no.
func (a *app) confirm(question string) error {
	if a.yes {
		return nil
	}
	if err := a.canAsk(); err != nil {
		return err
	}
	fmt.Fprintf(a.Err, "%s [y/N] ", question)
	var answer string
	if _, err := fmt.Fscanln(a.In, &answer); err != nil {
		answer = "" // an empty line, or the end of the input
	}
	switch strings.ToLower(answer) {
	case "y", "yes":
		return nil
	}
	return failf(CodeFailed, "", "not confirmed; nothing was changed")
}

// canAsk fails where a question would meet nobody.
func (a *app) canAsk() error {
	if file, ok := a.In.(*os.File); a.yes || !a.noInput && ok && isTerminal(file) {
		return nil
	}
	return failf(CodeUsage, "--yes answers it", "there is a question to answer, and nobody to ask; nothing was changed")
}

func isTerminal(f *os.File) bool {
	_, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	return err == nil
}
