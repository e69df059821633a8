package build

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"graft/internal/build/flags"
	"graft/internal/build/job"
	"graft/internal/build/source"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
)

// compile runs configure and make.
func compile(ctx context.Context, r Request, j *job.Job, pr prepared, l source.Tree, work string) error {
	j.Step(stepConfigure, "")
	include := filepath.Join(work, "include")
	if err := os.MkdirAll(include, 0o755); err != nil {
		return err
	}
	env := l.Env
	if pr.Header != "" {
		if err := os.WriteFile(filepath.Join(include, flags.PathsHeader), []byte(pr.Header), 0o644); err != nil {
			return err
		}
	}
	// By environment, not by -I: the directory's name must not get into what -V prints.
	env = append(env[:len(env):len(env)], "C_INCLUDE_PATH="+strings.TrimSuffix(include+":"+os.Getenv("C_INCLUDE_PATH"), ":"))
	args := append([]string{"./configure"}, pr.Configure...)
	if pr.target.Layout == source.LayoutOpenResty {
		args = append(args, "-j"+strconv.Itoa(r.Jobs)) // for LuaJIT, which its configure builds
	}
	if _, err := os.Stat(filepath.Join(l.Top, "configure")); errors.Is(err, fs.ErrNotExist) {
		args[0] = "auto/configure" // a tree from version control
	}
	if err := j.Run(ctx, job.Command{Args: args, Dir: l.Top, Env: env}); err != nil {
		return fmt.Errorf("configure: %w", explainConfigure(j, l.Top, err))
	}
	if err := forgetDirectory(l.Top, work); err != nil {
		return err
	}
	j.Step(stepCompile, "")
	counted := make(chan struct{})
	go func() {
		defer close(counted)
		expectFiles(ctx, j, l.Top, env)
	}()
	defer func() { <-counted }()
	err := j.Run(ctx, job.Command{Args: []string{"make", "-j" + strconv.Itoa(r.Jobs)}, Dir: l.Top, Env: env,
		Each: func(line []byte) {
			if n := compiles(line); n > 0 {
				j.Compiled(n)
			}
		}})
	if err != nil {
		return fmt.Errorf("compile: %w", err)
	}
	return nil
}

// expectFiles counts what make would compile, while it begins to: an estimate, so that a failure is none
// of the build.
func expectFiles(ctx context.Context, j *job.Job, top string, env []string) {
	var dry bytes.Buffer
	if err := j.Run(ctx, job.Command{Args: []string{"make", "-n"}, Dir: top, Env: env, Out: &dry}); err != nil {
		return
	}
	files := 0
	for line := range bytes.Lines(dry.Bytes()) {
		files += compiles(line)
	}
	j.Expect(files)
}

// objectFile fits the end of a compiler call, as make prints it, and LuaJIT's short "CC  x.o".
var objectFile = regexp.MustCompile(`-o '?[^ ']+\.o'?( |\\|$)|^(CC|HOSTCC|DYNCC|ASM)\s+\S+\.o`)

func compiles(line []byte) int {
	return len(objectFile.FindAll(bytes.TrimRight(line, "\r\n"), -1))
}

// explainConfigure adds to a configure error what nginx's configure tried last and how that failed,
// and keeps all of it in the log: the file goes away with the tree.
func explainConfigure(j *job.Job, top string, err error) error {
	var tool *job.ToolError
	if !errors.As(err, &tool) {
		return err
	}
	for _, pattern := range []string{"objs/autoconf.err", "build/nginx-*/objs/autoconf.err"} {
		found, globErr := filepath.Glob(filepath.Join(top, pattern))
		if globErr != nil || len(found) != 1 {
			continue
		}
		text, readErr := os.ReadFile(found[0])
		if readErr != nil {
			continue
		}
		j.Logf("\n== %s\n%s\n", found[0], text)
		tries := strings.Split(string(text), "----------------------------------------\n")
		tool.Lines = append(tool.Lines, job.Telling(tries[len(tries)-1])...)
	}
	return err
}
