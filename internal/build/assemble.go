package build

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"graft/internal/artifact"
	"graft/internal/build/job"
	"graft/internal/build/loadmodule"
	"graft/internal/build/source"
	"graft/internal/nginx"
)

// The steps of a build, as Progress names them.
const (
	stepUnpack    = "unpack"
	stepConfigure = "configure"
	stepCompile   = "compile"
	stepInstall   = "install"
	stepCheck     = "check"
	stepStore     = "store"
)

// steps are those of this build, in order.
func (r Request) steps() []string {
	steps := []string{stepUnpack, stepConfigure, stepCompile, stepInstall, stepCheck, stepStore}
	switch source.KindOf(r.Source) {
	case source.FromDistro:
		return append([]string{source.StepLists, source.StepDownload}, steps...)
	case source.FromNetwork:
		return append([]string{source.StepDownload}, steps...)
	}
	return steps
}

// assemble builds in a directory of its own, which is gone afterwards, and stores the result.
func assemble(ctx context.Context, r Request, j *job.Job, s source.Source, pr prepared, store *artifact.Store) (a artifact.Artifact, err error) {
	work, done, err := makeWork(r.WorkDir)
	if err != nil {
		return artifact.Artifact{}, err
	}
	defer func() { err = errors.Join(err, done()) }()

	j.Step(stepUnpack, s.Name+" "+s.Version)
	l, err := layOut(ctx, j, s, pr, work)
	if err != nil {
		return artifact.Artifact{}, err
	}
	if err := compile(ctx, r, j, pr, l, work); err != nil {
		return artifact.Artifact{}, err
	}
	j.Step(stepInstall, "")
	if l.Dest == "" {
		l.Dest = filepath.Join(work, "installed")
	}
	if err := j.Run(ctx, job.Command{Args: []string{"make", "install", "DESTDIR=" + l.Dest}, Dir: l.Top, Env: l.Env}); err != nil {
		return artifact.Artifact{}, fmt.Errorf("install into a directory of its own: %w", err)
	}
	tree := filepath.Join(work, "tree")
	m, err := pick(pr, l.Dest, tree)
	if err != nil {
		return artifact.Artifact{}, err
	}
	j.Step(stepCheck, m.Binary)
	if err := check(ctx, r, j, pr, tree, &m); err != nil {
		return artifact.Artifact{}, err
	}
	if err := splitSymbols(ctx, pr, tree, &m); err != nil {
		return artifact.Artifact{}, err
	}
	j.Step(stepStore, "")
	m.Flavor, m.Version = m.Build.Flavor, m.Build.Version
	m.Source, m.Flags, m.Name = s.Manifest, pr.Flags, title(s, m.Build)
	return store.Put(ctx, tree, m)
}

// layOut puts the tree, the modules, graft's addon and the wrapped compilers into the work directory.
func layOut(ctx context.Context, j *job.Job, s source.Source, pr prepared, work string) (source.Tree, error) {
	l, err := s.Unpack(ctx, j, work)
	if err != nil {
		return source.Tree{}, err
	}
	if err := copyAddons(ctx, j, pr.addons.found, work); err != nil {
		return source.Tree{}, err
	}
	if pr.LoadModule {
		if err := loadmodule.Write(filepath.Join(work, loadmodule.Name), pr.target.ModulesPath); err != nil {
			return source.Tree{}, err
		}
	}
	wrapped, err := compilers(ctx, j, work, pr.Configure, pr.needs.Fingerprint)
	l.Env = append(l.Env, wrapped...)
	return l, err
}

// title names the artifact for people.
func title(s source.Source, b nginx.Build) string {
	if s.Layout == source.LayoutDistro {
		return fmt.Sprintf("openresty equivalent %s (nginx %s, lua-nginx-module %s, %s)", b.Version, b.Version, s.Lua, s.Manifest.Location)
	}
	return string(b.Flavor) + " " + b.Version
}
