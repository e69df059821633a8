package build

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"time"

	"graft/internal/artifact"
)

// keySchema is part of every build's key: a change in how trees are put together raises it.
const keySchema = 1

// Plan tells what Build would do: the configure line, the fate of each flag, and what this machine
// lacks. For a source that is only named by its version it needs nothing at hand.
func Plan(ctx context.Context, r Request) (Planned, error) {
	p, err := plan(ctx, r)
	if err != nil {
		return Planned{}, fmt.Errorf("plan build: %w", err)
	}
	return p, nil
}

func plan(ctx context.Context, r Request) (Planned, error) {
	r, err := r.normalize()
	if err != nil {
		return Planned{}, err
	}
	j := &job{progress: func(Progress) {}, log: io.Discard, began: time.Now(), prefix: r.Prefix}
	var s source
	if f, ok := factsOfVersion(r.Source); ok {
		s = source{facts: f}
	} else if s, err = findSource(ctx, r, j); err != nil {
		return Planned{}, err
	}
	pr, err := prepare(ctx, r, j, s)
	if err != nil {
		return Planned{}, err
	}
	return Planned{Configure: pr.Configure, Flags: pr.Flags, Dependencies: pr.dependencies, Warnings: s.warnings}, nil
}

// prepared is a build decided on: nothing of it depends on the network or on a tree any more.
type prepared struct {
	Translation
	target       Target
	dependencies []Dependency
	toolchain    toolchain
	family       family
}

func prepare(ctx context.Context, r Request, j *job, s source) (prepared, error) {
	release, err := readOSRelease("/etc/os-release")
	if err != nil {
		return prepared{}, err
	}
	pr := prepared{target: target(r, s), family: release.family()}
	pr.Translation = Translate(r.Like, pr.target)
	needs := buildNeeds{layout: s.layout, nginx: s.nginx, configure: pr.Configure, pcre1: s.pcre1}
	if pr.toolchain, err = probeToolchain(ctx, j, needs); err != nil {
		return prepared{}, err
	}
	pr.dependencies = dependencies(needs, pr.toolchain, pr.family)
	return pr, nil
}

// target is what the translation needs to know of the source and of this machine.
func target(r Request, s source) Target {
	t := Target{
		Layout: s.layout, Nginx: s.nginx, Prefix: r.Prefix, Options: s.options, PCRE1: s.pcre1,
		Modules: r.Modules, Loaded: r.Loaded,
		Exists: func(path string) bool { _, err := os.Stat(path); return err == nil },
	}
	if s.layout == LayoutDistro {
		t.fitDistro()
	}
	return t
}

// fitDistro adds what turns nginx into an OpenResty equivalent: OpenResty's own configure does the
// like by itself.
func (t *Target) fitDistro() {
	libs := path.Join(t.Prefix, "luajit/lib")
	if t.PCRE1 {
		libs += ":" + path.Join(t.Prefix, "pcre/lib")
	}
	t.LD = []Addition{{"-Wl,-rpath," + libs, "nginx finds LuaJIT there, whatever its environment (env-stripped)"}}
	t.Add = []Addition{
		{"--sbin-path=" + path.Join(t.Prefix, "nginx/sbin/nginx"), "where OpenResty's lies"},
		{"--add-module=../ngx_devel_kit", "as OpenResty has"},
		{"--add-module=../lua-nginx-module", "as OpenResty has"},
	}
	lualib, site := path.Join(t.Prefix, "lualib"), path.Join(t.Prefix, "site/lualib")
	t.Defines = []Define{
		{"LUA_DEFAULT_PATH", site + "/?.lua;" + site + "/?/init.lua;" + lualib + "/?.lua;" + lualib + "/?/init.lua;" +
			path.Join(t.Prefix, "luajit/share/luajit-2.1/?.lua")},
		{"LUA_DEFAULT_CPATH", site + "/?.so;" + lualib + "/?.so"},
	}
}

// key names the build's inputs: equal keys give equal artifacts.
func (pr prepared) key(ctx context.Context, r Request, s source) (string, error) {
	modules := []string{}
	for _, dir := range r.Modules {
		sum, err := hashTree(ctx, dir)
		if err != nil {
			return "", fmt.Errorf("hash module %s: %w", dir, err)
		}
		modules = append(modules, sum)
	}
	text, err := json.Marshal([]any{keySchema, s.layout, s.hash, pr.Configure, pr.Flags, pr.Header, pr.toolchain.fingerprint, r.Prefix, modules})
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:]), nil
}

// Unpack lays out the tree of r's source below dir, patched as it would be built, and builds nothing.
func Unpack(ctx context.Context, r Request, dir string) error {
	r, err := r.normalize()
	if err != nil {
		return fmt.Errorf("unpack source: %w", err)
	}
	j := &job{progress: func(Progress) {}, log: io.Discard, began: time.Now(), prefix: r.Prefix}
	s, err := findSource(ctx, r, j)
	if err == nil {
		_, err = s.unpack(ctx, j, dir)
	}
	if err != nil {
		return fmt.Errorf("unpack source: %w", err)
	}
	return nil
}

// Build makes the artifact that r asks for, or finds that the store has it. progress is called from
// one goroutine at a time and must not block; nil is allowed.
func Build(ctx context.Context, r Request, store *artifact.Store, progress func(Progress)) (Result, error) {
	res, err := build(ctx, r, store, progress)
	if err != nil {
		return Result{}, fmt.Errorf("build: %w", err)
	}
	return res, nil
}

func build(ctx context.Context, r Request, store *artifact.Store, progress func(Progress)) (res Result, err error) {
	r, err = r.normalize()
	if err != nil {
		return Result{}, err
	}
	if f, ok := factsOfVersion(r.Source); ok {
		return Result{}, fmt.Errorf("source %q names a release of %s, not a file: give its tarball or directory", r.Source, f.name)
	}
	if progress == nil {
		progress = func(Progress) {}
	}
	log, err := newLog(r.CacheDir)
	if err != nil {
		return Result{}, err
	}
	j := &job{progress: progress, log: log, logPath: log.Name(), began: time.Now(), prefix: r.Prefix, steps: treeSteps}
	if r.Source == SourceDistro {
		j.steps = distroSteps
	}
	defer func() {
		if closeErr := log.Close(); err == nil {
			err = closeErr
		}
		if res.Cached {
			err = errors.Join(err, os.Remove(log.Name()))
		}
	}()
	s, err := findSource(ctx, r, j)
	if err != nil {
		return Result{}, err
	}
	pr, err := prepare(ctx, r, j, s)
	if err != nil {
		return Result{}, err
	}
	a, cached, err := obtain(ctx, r, j, s, pr, store)
	if err != nil {
		return Result{}, err
	}
	res = Result{Artifact: a, Cached: cached, Log: j.logPath, Elapsed: time.Since(j.began), Warnings: s.warnings}
	if cached {
		res.Log = ""
	}
	return res, nil
}

// obtain returns the stored artifact of the same inputs, or makes it. Of several processes that want
// the same one builds and the others wait.
func obtain(ctx context.Context, r Request, j *job, s source, pr prepared, store *artifact.Store) (a artifact.Artifact, cached bool, err error) {
	key, err := pr.key(ctx, r, s)
	if err != nil {
		return artifact.Artifact{}, false, err
	}
	if a, err := stored(store, key); !errors.Is(err, artifact.ErrNotFound) {
		return a, true, err
	}
	locks := filepath.Join(r.CacheDir, "locks")
	if err := os.MkdirAll(locks, 0o755); err != nil {
		return artifact.Artifact{}, false, err
	}
	unlock, err := lockFile(ctx, filepath.Join(locks, key))
	if err != nil {
		return artifact.Artifact{}, false, err
	}
	defer unlock()
	if a, err := stored(store, key); !errors.Is(err, artifact.ErrNotFound) {
		return a, true, err
	}
	if err := missing(pr.dependencies, pr.family); err != nil {
		return artifact.Artifact{}, false, err
	}
	if a, err = assemble(ctx, r, j, s, pr, store); err != nil {
		return artifact.Artifact{}, false, err
	}
	return a, false, store.Remember(key, a.Manifest.ID)
}

// stored returns the whole artifact that a build with this key gave, or ErrNotFound. A damaged one
// is an error: something else than graft wrote there.
func stored(store *artifact.Store, key string) (artifact.Artifact, error) {
	id, err := store.Lookup(key)
	if err != nil {
		return artifact.Artifact{}, err
	}
	a, err := store.Get(id)
	if err != nil {
		return artifact.Artifact{}, err
	}
	return a, a.Verify()
}

// newLog makes the file that takes the whole output of one build.
func newLog(cacheDir string) (*os.File, error) {
	dir := filepath.Join(cacheDir, "logs")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	return os.CreateTemp(dir, "build-"+time.Now().UTC().Format("20060102T150405Z")+"-*.log")
}
