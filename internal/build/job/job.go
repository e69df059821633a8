// Package job runs the programs of one build: each one's output goes into the build's log, its steps to
// whoever watches, and a failure names the lines that tell why.
package job

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Progress is one event of a build.
type Progress struct {
	Step    string        `json:"step"` // "compile"
	N       int           `json:"n"`    // which step, from 1
	Of      int           `json:"of"`
	File    int           `json:"file,omitempty"`  // compiled so far
	Files   int           `json:"files,omitempty"` // to compile; 0 if not known
	Bytes   int64         `json:"bytes,omitempty"` // downloaded so far
	Size    int64         `json:"size,omitempty"`  // to download; 0 if not known
	Detail  string        `json:"detail,omitempty"`
	Elapsed time.Duration `json:"elapsed"` // nanoseconds since the build began
}

// Job is one build on its way: where it is, its log, and who is told.
type Job struct {
	Log string // path of the whole log; empty if none is kept

	progress func(Progress)
	log      io.Writer
	began    time.Time
	steps    []string // names, in order

	mu    sync.Mutex // compile output and steps come from different goroutines
	state Progress
}

// New begins a job of these steps. progress is called from one goroutine at a time and must not block.
func New(log io.Writer, path string, steps []string, progress func(Progress)) *Job {
	return &Job{Log: path, progress: progress, log: log, began: time.Now(), steps: steps}
}

// Silent is a job that nobody watches and that keeps no log: for questions that precede a build.
func Silent() *Job { return New(io.Discard, "", nil, func(Progress) {}) }

// Elapsed is how long ago the job began.
func (j *Job) Elapsed() time.Duration { return time.Since(j.began) }

// Logf writes to the log.
func (j *Job) Logf(format string, args ...any) { fmt.Fprintf(j.log, format, args...) }

// Step announces the next step.
func (j *Job) Step(name, detail string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.state = Progress{Step: name, N: slices.Index(j.steps, name) + 1, Of: len(j.steps), Detail: detail}
	fmt.Fprintf(j.log, "\n== %s %s\n", name, detail)
	j.tell()
}

// Compiled announces that n more files were handed to the compiler.
func (j *Job) Compiled(n int) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.state.File += n
	if j.state.Files > 0 {
		j.state.Files = max(j.state.Files, j.state.File)
	}
	j.tell()
}

// Expect sets how many files there are to compile.
func (j *Job) Expect(files int) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.state.Files = max(files, j.state.File)
	j.tell()
}

// Downloaded announces how much of a file has come; size is 0 if that is not known.
func (j *Job) Downloaded(bytes, size int64) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.state.Bytes, j.state.Size = bytes, size
	j.tell()
}

func (j *Job) tell() {
	p := j.state
	p.Elapsed = time.Since(j.began)
	j.progress(p)
}

// Command is a program to run, its output kept in the log.
type Command struct {
	Args []string
	Dir  string
	Env  []string          // added to the cleaned environment
	Each func(line []byte) // told of each line of output; may be nil
	In   string            // its standard input
	All  *bytes.Buffer     // takes stdout and stderr as well as the log; may be nil
	Out  *bytes.Buffer     // takes stdout instead of the log; may be nil
}

// ToolError is a program that failed: what it was, and the lines of its output that tell why.
type ToolError struct {
	Args  []string
	Lines []string // the last lines that matter, oldest first
	Log   string   // path of the whole log
	Err   error
}

func (e *ToolError) Error() string {
	text := fmt.Sprintf("%s: %v", strings.Join(clipArgs(e.Args), " "), e.Err)
	for _, line := range e.Lines {
		text += "\n    " + line
	}
	if e.Log != "" {
		text += "\n  the whole log: " + e.Log
	}
	return text
}

func (e *ToolError) Unwrap() error { return e.Err }

// clipArgs keeps an error message readable: configure has forty arguments.
func clipArgs(args []string) []string {
	if len(args) > 4 {
		return append(args[:4:4], "…")
	}
	return args
}

// environment is what the programs get: the caller's, without what changes builds or messages.
func environment() []string {
	env := []string{"LC_ALL=C"}
	for _, v := range os.Environ() {
		name, _, _ := strings.Cut(v, "=")
		switch name {
		case "LC_ALL", "LANG", "LANGUAGE", "MAKEFLAGS", "MFLAGS", "MAKELEVEL", "DESTDIR", "CC", "CPP", "CFLAGS", "LDFLAGS", "CPPFLAGS",
			"LUAJIT_LIB", "LUAJIT_INC", "CDPATH", "LD_PRELOAD", "LD_LIBRARY_PATH", "LD_RUN_PATH":
		default:
			env = append(env, v)
		}
	}
	return env
}

// Run runs a program to its end, or kills its whole process group when ctx ends.
func (j *Job) Run(ctx context.Context, c Command) error {
	fmt.Fprintf(j.log, "$ %s\n", strings.Join(c.Args, " "))
	tail := &lineTail{each: c.Each}
	cmd := exec.CommandContext(ctx, c.Args[0], c.Args[1:]...)
	cmd.Dir, cmd.Env = c.Dir, append(environment(), c.Env...)
	cmd.Stdin = strings.NewReader(c.In)
	writers := []io.Writer{j.log, tail}
	if c.All != nil {
		writers = append(writers, c.All)
	}
	both := io.MultiWriter(writers...)
	cmd.Stdout, cmd.Stderr = both, both
	if c.Out != nil {
		cmd.Stdout = c.Out
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	//nolint:forbidigo // the compilers are this program's own children, in a process group of their own
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = 5 * time.Second
	err := cmd.Run()
	tail.flush()
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		// What it was doing when it was stopped tells nothing.
		return &ToolError{Args: c.Args, Log: j.Log, Err: ctx.Err()}
	}
	return &ToolError{Args: c.Args, Lines: tail.relevant(), Log: j.Log, Err: err}
}

// keptLines is how much of a program's output is kept in memory for the error.
const keptLines = 400

// lineTail cuts output into lines, tells each of them, and keeps the last ones.
type lineTail struct {
	each    func([]byte)
	partial []byte
	lines   []string
}

func (t *lineTail) Write(p []byte) (int, error) {
	t.partial = append(t.partial, p...)
	for {
		line, rest, ok := bytes.Cut(t.partial, []byte("\n"))
		if !ok {
			return len(p), nil
		}
		t.line(line)
		t.partial = rest
	}
}

func (t *lineTail) flush() {
	if len(t.partial) > 0 {
		t.line(t.partial)
		t.partial = nil
	}
}

func (t *lineTail) line(line []byte) {
	if t.each != nil {
		t.each(line)
	}
	if len(t.lines) == keptLines {
		t.lines = append(t.lines[:0], t.lines[keptLines/2:]...)
	}
	t.lines = append(t.lines, string(line))
}

// telling fits the lines by which configure, the compiler, the linker, make and apt say what is wrong.
var telling = regexp.MustCompile(`(?i)\berror\b|^E: |undefined reference|not found|No such file|No space left|\*\*\* |can ?not |fatal|recompile with|\bkilled\b|memory|[Pp]ermission denied|clock skew`)

// Telling returns up to five lines of a program's output that tell why it failed.
func Telling(output string) []string {
	return (&lineTail{lines: strings.Split(output, "\n")}).relevant()
}

// relevant returns up to five lines that tell why the program failed: the first telling one of the
// end of its output, where the trouble began, and those after it; failing that the last lines.
func (t *lineTail) relevant() []string {
	const most = 5
	var found []string
	for _, line := range t.lines {
		if telling.MatchString(line) && !strings.HasSuffix(strings.TrimSpace(line), "... not found") {
			found = append(found, strings.TrimSpace(line))
		}
	}
	if len(found) > most {
		found = found[:most]
	}
	for i := len(t.lines) - 1; i >= 0 && len(found) == 0; i-- {
		if strings.TrimSpace(t.lines[i]) != "" {
			found = append(found, t.lines[max(0, i-most+1):i+1]...)
		}
	}
	return found
}
