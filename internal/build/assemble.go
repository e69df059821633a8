package build

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"graft/internal/artifact"
	"graft/internal/nginx"
)

// The steps of a build, as Progress names them.
const (
	stepLists     = "package lists"
	stepDownload  = "download"
	stepUnpack    = "unpack"
	stepConfigure = "configure"
	stepCompile   = "compile"
	stepInstall   = "install"
	stepCheck     = "check"
	stepStore     = "store"
)

var (
	treeSteps   = []string{stepUnpack, stepConfigure, stepCompile, stepInstall, stepCheck, stepStore}
	distroSteps = append([]string{stepLists, stepDownload}, treeSteps...)
)

// assemble builds in a directory of its own, which is gone afterwards, and stores the result.
func assemble(ctx context.Context, r Request, j *job, s source, pr prepared, store *artifact.Store) (a artifact.Artifact, err error) {
	if err := os.MkdirAll(r.WorkDir, 0o755); err != nil {
		return artifact.Artifact{}, err
	}
	work, err := os.MkdirTemp(r.WorkDir, "build-*")
	if err != nil {
		return artifact.Artifact{}, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(work)) }()

	j.step(stepUnpack, s.name+" "+s.version)
	l, err := s.unpack(ctx, j, work)
	if err != nil {
		return artifact.Artifact{}, err
	}
	if err := compile(ctx, r, j, pr, l, work); err != nil {
		return artifact.Artifact{}, err
	}
	j.step(stepInstall, "")
	dest := l.dest
	if dest == "" {
		dest = filepath.Join(work, "installed")
	}
	if err := j.run(ctx, command{args: []string{"make", "install", "DESTDIR=" + dest}, dir: l.top, env: l.env}); err != nil {
		return artifact.Artifact{}, fmt.Errorf("install into a directory of its own: %w", err)
	}
	tree := filepath.Join(work, "tree")
	m, err := pick(pr, dest, tree)
	if err != nil {
		return artifact.Artifact{}, err
	}
	j.step(stepCheck, m.Binary)
	if m.Build, err = identify(ctx, j, filepath.Join(tree, m.Binary), filepath.Join(tree, m.Prefix)); err != nil {
		return artifact.Artifact{}, err
	}
	if want := path.Clean(r.Like.Prefix); path.Clean(m.Build.Prefix) != want {
		return artifact.Artifact{}, fmt.Errorf("check the built binary: its nginx prefix is %s, not the old binary's %s", m.Build.Prefix, want)
	}
	j.step(stepStore, "")
	m.Flavor, m.Version = m.Build.Flavor, m.Build.Version
	m.Source, m.Flags, m.Name = s.manifest, pr.Flags, s.title(m.Build)
	return store.Put(ctx, tree, m)
}

// title names the artifact for people.
func (s source) title(b nginx.Build) string {
	if s.layout == LayoutDistro {
		return fmt.Sprintf("openresty equivalent %s (nginx %s, lua-nginx-module %s, %s)", b.Version, b.Version, s.lua, s.manifest.Location)
	}
	return string(b.Flavor) + " " + b.Version
}

// compile runs configure and make.
func compile(ctx context.Context, r Request, j *job, pr prepared, l layout, work string) error {
	j.step(stepConfigure, "")
	include := filepath.Join(work, "include")
	if err := os.MkdirAll(include, 0o755); err != nil {
		return err
	}
	env := l.env
	if pr.Header != "" {
		if err := os.WriteFile(filepath.Join(include, pathsHeader), []byte(pr.Header), 0o644); err != nil {
			return err
		}
	}
	// By environment, not by -I: the directory's name must not get into what -V prints.
	env = append(env[:len(env):len(env)], "C_INCLUDE_PATH="+strings.TrimSuffix(include+":"+os.Getenv("C_INCLUDE_PATH"), ":"))
	args := append([]string{"./configure"}, pr.Configure...)
	if pr.target.Layout == LayoutOpenResty {
		args = append(args, "-j"+strconv.Itoa(r.Jobs)) // for LuaJIT, which its configure builds
	}
	if _, err := os.Stat(filepath.Join(l.top, "configure")); errors.Is(err, fs.ErrNotExist) {
		args[0] = "auto/configure" // a tree from version control
	}
	if err := j.run(ctx, command{args: args, dir: l.top, env: env}); err != nil {
		return fmt.Errorf("configure: %w", explainConfigure(j, l.top, err))
	}
	j.step(stepCompile, "")
	var dry bytes.Buffer
	// What make would do tells how much there is to do; an estimate, so a failure is none of the build.
	if err := j.run(ctx, command{args: []string{"make", "-n"}, dir: l.top, env: env, out: &dry}); err == nil {
		files := 0
		for line := range bytes.Lines(dry.Bytes()) {
			files += compiles(line)
		}
		j.expect(files)
	}
	err := j.run(ctx, command{args: []string{"make", "-j" + strconv.Itoa(r.Jobs)}, dir: l.top, env: env,
		each: func(line []byte) {
			if n := compiles(line); n > 0 {
				j.compiled(n)
			}
		}})
	if err != nil {
		return fmt.Errorf("compile: %w", err)
	}
	return nil
}

// objectFile fits the end of a compiler call, as make prints it, and LuaJIT's short "CC  x.o".
var objectFile = regexp.MustCompile(`-o '?[^ ']+\.o'?( |\\|$)|^(CC|HOSTCC|DYNCC|ASM)\s+\S+\.o`)

func compiles(line []byte) int {
	return len(objectFile.FindAll(bytes.TrimRight(line, "\r\n"), -1))
}

// explainConfigure adds to a configure error what nginx's configure tried last and how that failed,
// and keeps all of it in the log: the file goes away with the tree.
func explainConfigure(j *job, top string, err error) error {
	var tool *ToolError
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
		fmt.Fprintf(j.log, "\n== %s\n%s\n", found[0], text)
		tries := strings.Split(string(text), "----------------------------------------\n")
		last := &lineTail{lines: strings.Split(tries[len(tries)-1], "\n")}
		tool.Lines = append(tool.Lines, last.relevant()...)
	}
	return err
}
