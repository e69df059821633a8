package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	"github.com/spf13/cobra"

	"graft/internal/analysis"
	"graft/internal/report"
	"graft/internal/traffic"
)

// analyzeFlags are those of the command.
type analyzeFlags struct {
	formatFlags
	before, after []string
	errorLogs     []string
	html          string
	alpha, margin float64
	parallel      int
	detailed      bool
}

func (a *app) analyzeCommand() *cobra.Command {
	var flags analyzeFlags
	cmd := &cobra.Command{
		Use:   "analyze FILE…",
		Short: "Compare the logs of two periods, or describe those of one",
		Long: "Analyze reads access logs of any nginx, plain or gzip (- is stdin), and compares two periods as graft's gates do:\n" +
			"is the one after worse than the one before? Without periods it describes what is in the files.\n\n" +
			"  graft analyze --after 2026-11-25T01:30:00 access.log*     what came before a time, and what came after it\n" +
			"  graft analyze --before 2026-11-20..2026-11-22 --after 2026-11-24 access.log*\n" +
			"  graft analyze --before old/*.log --after new/*.log        two sets of files; of the same time: side by side\n" +
			"  graft analyze access.log --html report.html               one period\n\n" +
			"The format is combined or another well-known one that fits, unless --log-format or --conf names it.",
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error { return a.analyze(cmd.Context(), flags, args) },
	}
	f := cmd.Flags()
	f.StringArrayVar(&flags.before, "before", nil, "the period before: its FILES…, the TIME when it ends, or FROM..TO")
	f.StringArrayVar(&flags.after, "after", nil, "the period after: its FILES…, the TIME when it begins, or FROM..TO")
	f.StringArrayVar(&flags.errorLogs, "error-log", nil, "error logs (FILES…) of the same times")
	f.StringArrayVar(&flags.formats, "log-format", nil, "the text of the log_format, or its name in --conf; may be given several times")
	f.StringVar(&flags.conf, "conf", "", "nginx configuration FILE with the log_format")
	f.StringVar(&flags.html, "html", "", "write the report as one HTML page to FILE, too; - is stdout")
	f.Float64Var(&flags.alpha, "alpha", 0.01, "probability of calling a healthy period worse, of all signals together")
	f.Float64Var(&flags.margin, "margin", 0, "the rise (a factor) that is no fault (0: 1.5, or 1 side by side)")
	f.IntVar(&flags.parallel, "parallel", 0, "goroutines that read (0: one for each processor)")
	f.BoolVar(&flags.detailed, "detailed-exitcode", false, "exit 3 if after is worse, 9 if there is no saying, 0 if it is no worse")
	return cmd
}

func (a *app) analyze(ctx context.Context, flags analyzeFlags, args []string) error {
	if flags.alpha <= 0 || flags.alpha >= 1 {
		return failf(CodeUsage, "", "--alpha %g: want a probability between 0 and 1", flags.alpha)
	}
	if flags.margin != 0 && flags.margin < 1 {
		return failf(CodeUsage, "", "--margin %g: want a factor of 1 or more", flags.margin)
	}
	asked, err := toPeriods(args, flags.before, flags.after)
	if errors.Is(err, errNoLog) && len(flags.errorLogs) > 1 {
		return failf(CodeUsage, "--error-log takes all files up to the next flag: name the access logs before it, or after --", "%w", errNoLog)
	}
	if err != nil {
		return err
	}
	errorLogs, err := expand(flags.errorLogs)
	if err != nil {
		return err
	}
	r, err := a.analyzed(ctx, flags, asked, errorLogs)
	if err != nil {
		return err
	}
	if err := a.tell(r, flags.html); err != nil {
		return err
	}
	if !flags.detailed || r.Verdict == nil {
		return nil
	}
	switch *r.Verdict {
	case analysis.Pass:
		return nil
	case analysis.Fail, analysis.Degraded:
		return &Error{CodeChanges, errors.New("after is worse than before"), ""}
	}
	hint := r.ShortBefore()
	if hint == "" {
		hint = "more logs of both periods tell more"
	}
	return &Error{CodeInconclusive, errors.New("there is no saying whether after is worse"), hint}
}

// analyzed reads the logs and makes the report.
func (a *app) analyzed(ctx context.Context, flags analyzeFlags, asked periods, errorLogs []string) (*report.Report, error) {
	reader := &accessReader{app: a, parallel: flags.parallel, stdin: bufio.NewReaderSize(a.In, headSize)}
	sets := [][]side{asked.sides}
	files := [][]string{asked.files}
	if asked.files == nil {
		sets, files = nil, nil
		for _, s := range asked.sides {
			sets, files = append(sets, []side{s}), append(files, s.files)
		}
	}
	options := report.Options{Alpha: flags.alpha, Margin: flags.margin}
	var counts []traffic.Overview
	for i, sides := range sets {
		formats, err := a.formats(reader, flags.formatFlags, files[i])
		if err != nil {
			return nil, err
		}
		for _, f := range formats {
			if flags.guessed() && f.name != "combined" && !slices.Contains(options.Formats, f.String()) {
				a.say("the lines fit the format %s: %s", f.name, f.text)
			}
			options.Formats = appendNew(options.Formats, f.String())
		}
		read, reading, err := reader.read(ctx, files[i], sides, formats)
		if err != nil {
			return nil, err
		}
		if 2*reading.Malformed > reading.Lines {
			return nil, failf(CodeFailed, "--log-format takes the log_format's text, or its name together with --conf FILE",
				"%s fits too little: %d of %d lines do not, such as\n  %s", formatNames(formats), reading.Malformed, reading.Lines, sample(reading))
		}
		counts = append(counts, read...)
		options.Readings = append(options.Readings, reading)
	}
	if both := inBoth(asked); both != "" {
		last := &options.Readings[len(options.Readings)-1]
		last.Notes = append(last.Notes, both+" is of both periods: it is compared with itself")
	}
	inputs := make([]*report.Input, len(counts))
	spans := make([]stretch, len(counts))
	for i := range counts {
		inputs[i] = &report.Input{Name: asked.sides[i].name, Counts: &counts[i]}
		spans[i] = asked.sides[i].stretch
		if from, to, ok := counts[i].Span(); ok && asked.files == nil {
			spans[i] = stretch{from, to}
		}
	}
	if len(errorLogs) > 0 {
		if len(spans) == 2 && asked.files == nil && spans[0].to.After(spans[1].from) && spans[1].to.After(spans[0].from) {
			return nil, failf(CodeUsage, "", "--error-log: both periods are of one time, so that error-log lines cannot be told apart")
		}
		logs, err := readErrorLogs(errorLogs, spans)
		if err != nil {
			return nil, err
		}
		for i := range inputs {
			inputs[i].Errors = logs[i]
		}
	}
	return report.New(options, inputs...), nil
}

// inBoth is a file that both periods have whole; "" if there is none.
func inBoth(asked periods) string {
	if asked.files != nil || len(asked.sides) != 2 || asked.sides[0].bounded() || asked.sides[1].bounded() {
		return ""
	}
	for _, b := range asked.sides[0].files {
		before, err := os.Stat(b)
		if err != nil {
			continue
		}
		for _, a := range asked.sides[1].files {
			if after, err := os.Stat(a); err == nil && os.SameFile(before, after) {
				return a
			}
		}
	}
	return ""
}

func appendNew(list []string, s string) []string {
	for _, have := range list {
		if have == s {
			return list
		}
	}
	return append(list, s)
}

func sample(r report.Reading) string {
	if len(r.Samples) == 0 {
		return "(none was kept)"
	}
	return report.Printable(r.Samples[0], 300)
}

// formats are those to read the files with.
func (a *app) formats(reader *accessReader, ff formatFlags, files []string) ([]logFormat, error) {
	asked, err := ff.of(files)
	if err != nil {
		return nil, err
	}
	heads, err := reader.heads(files)
	if err != nil {
		return nil, err
	}
	chosen, err := choose(asked, firstLines(heads))
	if err != nil {
		return nil, err
	}
	return chosen, foreign(chosen, heads)
}

// tell writes the report where it was asked for.
func (a *app) tell(r *report.Report, html string) error {
	switch html {
	case "":
	case "-":
		a.answered = true
		return r.HTML(a.Out)
	default:
		if err := writePage(r, html); err != nil {
			return fmt.Errorf("write the report: %w", err)
		}
		a.say("the report is in %s", html)
	}
	return a.answer(r, func(w io.Writer) { r.Text(w, newScreen(w).width) })
}

// writePage writes the page whole or not at all: a browser may have the old one open.
func writePage(r *report.Report, path string) error {
	file, err := os.CreateTemp(filepath.Dir(path), ".graft-report-*")
	if err != nil {
		return err
	}
	defer os.Remove(file.Name())
	if err := r.HTML(file); err != nil {
		file.Close()
		return err
	}
	if err := file.Chmod(0o644); err != nil {
		file.Close()
		return err
	}
	if err := file.Close(); err != nil {
		return err
	}
	return os.Rename(file.Name(), path)
}
