package build

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"graft/internal/artifact"
	"graft/internal/build/flags"
	"graft/internal/build/job"
	"graft/internal/build/loadmodule"
	"graft/internal/build/needs"
	"graft/internal/build/source"
	"graft/internal/elffile"
)

// keySchema is part of every build's key: a change in how trees are put together raises it.
const keySchema = 3

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
	j := job.Silent()
	if r.Source, err = source.ResolveLatest(ctx, r.query()); err != nil {
		return Planned{}, err
	}
	var s source.Source
	if f, ok := source.OfVersion(r.Source); ok {
		s = source.Source{Facts: f}
	} else if s, err = source.Find(ctx, r.query(), j); err != nil {
		return Planned{}, err
	}
	r = r.settled(s)
	pr, err := prepare(ctx, r, j, s)
	if err != nil {
		return Planned{}, err
	}
	if pr.needs, err = pr.needs.Verify(ctx, j); err != nil {
		return Planned{}, err
	}
	return Planned{Configure: pr.Configure, Flags: pr.Flags, Lost: pr.losses, Dependencies: pr.needs.Dependencies, Warnings: pr.warnings}, nil
}

// prepared is a build decided on: nothing of it depends on the network or on a tree any more.
type prepared struct {
	flags.Translation
	target   flags.Target
	addons   addons
	losses   []Lost
	warnings []string
	needs    needs.Prediction
	release  source.OSRelease
	old      *elffile.File // what the running binary's file says of itself; nil: not at hand
}

func prepare(ctx context.Context, r Request, j *job.Job, s source.Source) (prepared, error) {
	release, err := source.ReadOSRelease("/etc/os-release")
	if err != nil {
		return prepared{}, err
	}
	pr := prepared{release: release}
	if pr.old, err = readOld(r); err != nil {
		return prepared{}, err
	}
	if pr.addons, err = findAddons(ctx, r, j, s.Layout); err != nil {
		return prepared{}, err
	}
	pr.warnings = slices.Concat(s.Warnings, pr.addons.warnings)
	pr.target = target(ctx, r, j, s, pr)
	pr.Translation = flags.Translate(r.Like, pr.target)
	if len(pr.Unmatched) > 0 {
		return prepared{}, fmt.Errorf("--without-flag %s: the configure line has no such argument (graft build --dry-run shows it)", strings.Join(pr.Unmatched, ", "))
	}
	pr.losses = foreseeLost(r, pr)
	for _, l := range pr.losses {
		pr.warnings = append(pr.warnings, l.String())
	}
	q := needs.Query{Layout: s.Layout, Nginx: s.Nginx, Configure: pr.Configure, PCRE1: s.PCRE1(), Modules: pr.addons.sources()}
	if pr.needs, err = needs.Predict(ctx, j, q, release); err != nil {
		return prepared{}, err
	}
	for _, note := range pr.needs.Notes {
		pr.warnings = append(pr.warnings, note.String())
	}
	return pr, nil
}

// readOld reads what the running binary's file says of itself.
func readOld(r Request) (*elffile.File, error) {
	if r.Binary == "" {
		return nil, nil
	}
	old, err := elffile.Read(r.Binary)
	if err != nil {
		return nil, fmt.Errorf("read how the running binary is hardened: %w", err)
	}
	return &old, nil
}

// target is what the translation needs to know of the source and of this machine.
func target(ctx context.Context, r Request, j *job.Job, s source.Source, pr prepared) flags.Target {
	t := flags.Target{
		Layout: s.Layout, Nginx: s.Nginx, Prefix: r.Prefix, Options: s.Options, PCRE1: s.PCRE1(),
		Modules: pr.addons.flags(), Loaded: r.loadedFiles(), With: r.With, Without: r.Without,
		ModulesPath: path.Join(r.Prefix, "nginx/modules"), LoadModule: "../" + loadmodule.Name,
		DefaultPIE: defaultPIE(ctx, j, r.Like.Configure),
		Exists:     func(path string) bool { _, err := os.Stat(path); return err == nil },
	}
	if old := pr.old; old != nil {
		t.Hardening = flags.Hardening{
			PIE: old.PIE == elffile.Yes, RELRO: old.RELRO >= elffile.RELROPartial, Now: old.Now == elffile.Yes,
			StackProtector: old.StackProtector == elffile.Yes, Fortify: old.Fortify.State == elffile.Yes,
			CET: old.IBT == elffile.Yes || old.SHSTK == elffile.Yes,
		}
	}
	if s.Layout == source.LayoutDistro {
		t.FitDistro()
	}
	return t
}

// key names the build's inputs: equal keys give equal artifacts.
func (pr prepared) key(ctx context.Context, r Request, s source.Source) (string, error) {
	modules := []string{}
	for _, m := range pr.addons.found {
		sum, err := source.HashTree(ctx, m.from)
		if err != nil {
			return "", fmt.Errorf("hash the source of module %s: %w", m.Name, err)
		}
		modules = append(modules, sum)
	}
	text, err := json.Marshal([]any{keySchema, s.Layout, s.Hash, pr.Configure, pr.Flags, pr.Header, pr.needs.Fingerprint, r.Prefix, modules, pr.old != nil && pr.old.Stripped})
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
	j := job.Silent()
	s, err := source.Find(ctx, r.query(), j)
	if err == nil {
		_, err = s.Unpack(ctx, j, dir)
	}
	if err != nil {
		return fmt.Errorf("unpack source: %w", err)
	}
	return nil
}

// Build makes the artifact that r asks for, or finds that the store has it. progress is called from
// one goroutine at a time and must not block; nil is allowed.
func Build(ctx context.Context, r Request, store *artifact.Store, progress func(job.Progress)) (Result, error) {
	res, err := build(ctx, r, store, progress)
	if err != nil {
		return Result{}, fmt.Errorf("build: %w", err)
	}
	return res, nil
}

func build(ctx context.Context, r Request, store *artifact.Store, progress func(job.Progress)) (res Result, err error) {
	r, err = r.normalize()
	if err != nil {
		return Result{}, err
	}
	if progress == nil {
		progress = func(job.Progress) {}
	}
	log, err := newLog(r.CacheDir)
	if err != nil {
		return Result{}, err
	}
	j := job.New(log, log.Name(), r.steps(), progress)
	defer func() {
		if closeErr := log.Close(); err == nil {
			err = closeErr
		}
		if res.Cached {
			err = errors.Join(err, os.Remove(log.Name()))
		}
	}()
	if r.Source, err = source.ResolveLatest(ctx, r.query()); err != nil {
		return Result{}, err
	}
	s, err := source.Find(ctx, r.query(), j)
	if err != nil {
		return Result{}, err
	}
	r = r.settled(s)
	pr, err := prepare(ctx, r, j, s)
	if err != nil {
		return Result{}, err
	}
	a, cached, err := obtain(ctx, r, j, s, pr, store)
	if err != nil {
		return Result{}, err
	}
	res = Result{Artifact: a, Cached: cached, Log: j.Log, Elapsed: j.Elapsed(), Warnings: pr.warnings}
	if cached {
		res.Log = ""
	}
	return res, nil
}

// obtain returns the stored artifact of the same inputs, or makes it. Of several processes that want
// the same one builds and the others wait.
func obtain(ctx context.Context, r Request, j *job.Job, s source.Source, pr prepared, store *artifact.Store) (a artifact.Artifact, cached bool, err error) {
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
	unlock, err := job.Lock(ctx, filepath.Join(locks, key))
	if err != nil {
		return artifact.Artifact{}, false, err
	}
	defer unlock()
	if a, err := stored(store, key); !errors.Is(err, artifact.ErrNotFound) {
		return a, true, err
	}
	if pr.needs, err = pr.needs.Verify(ctx, j); err != nil {
		return artifact.Artifact{}, false, err
	}
	if err := pr.needs.Missing(); err != nil {
		return artifact.Artifact{}, false, err
	}
	if err := checkRoom(r.WorkDir, workRoom); err != nil {
		return artifact.Artifact{}, false, err
	}
	if a, err = assemble(ctx, r, j, s, pr, store); err != nil {
		return artifact.Artifact{}, false, explained(err, pr.release)
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
