package build

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

// job is one build on its way: where it is, its log, and who is told.
type job struct {
	progress func(Progress)
	log      io.Writer
	logPath  string
	began    time.Time
	steps    []string // names, in order
	prefix   string   // OpenResty's, on the host

	mu    sync.Mutex // compile output and steps come from different goroutines
	state Progress
}

// step announces the next step.
func (j *job) step(name, detail string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.state = Progress{Step: name, N: slices.Index(j.steps, name) + 1, Of: len(j.steps), Detail: detail}
	fmt.Fprintf(j.log, "\n== %s %s\n", name, detail)
	j.tell()
}

// compiled announces that n more files were handed to the compiler.
func (j *job) compiled(n int) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.state.File += n
	if j.state.Files > 0 {
		j.state.Files = max(j.state.Files, j.state.File)
	}
	j.tell()
}

// expect sets how many files there are to compile.
func (j *job) expect(files int) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.state.Files = files
	j.tell()
}

func (j *job) tell() {
	p := j.state
	p.Elapsed = time.Since(j.began)
	j.progress(p)
}

// command is a program to run, its output kept in the log.
type command struct {
	args []string
	dir  string
	env  []string          // added to the cleaned environment
	each func(line []byte) // told of each line of output; may be nil
	in   string            // its standard input
	all  *bytes.Buffer     // takes stdout and stderr as well as the log; may be nil
	out  *bytes.Buffer     // takes stdout instead of the log; may be nil
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

// run runs a program to its end, or kills its whole process group when ctx ends.
func (j *job) run(ctx context.Context, c command) error {
	fmt.Fprintf(j.log, "$ %s\n", strings.Join(c.args, " "))
	tail := &lineTail{each: c.each}
	cmd := exec.CommandContext(ctx, c.args[0], c.args[1:]...)
	cmd.Dir, cmd.Env = c.dir, append(environment(), c.env...)
	cmd.Stdin = strings.NewReader(c.in)
	writers := []io.Writer{j.log, tail}
	if c.all != nil {
		writers = append(writers, c.all)
	}
	both := io.MultiWriter(writers...)
	cmd.Stdout, cmd.Stderr = both, both
	if c.out != nil {
		cmd.Stdout = c.out
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
		err = ctx.Err()
	}
	return &ToolError{Args: c.args, Lines: tail.relevant(), Log: j.logPath, Err: err}
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
var telling = regexp.MustCompile(`(?i)\berror\b|^E: |undefined reference|not found|No such file|No space left|\*\*\* |cannot |fatal`)

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
