package build

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"graft/internal/build/job"
)

// madeIn is what the built files say instead of the directory they were built in, so that a build
// gives the same bytes wherever it is made.
const madeIn = "/graft"

// compilers writes wrappers of the compilers to work/compilers and returns the environment that puts
// them first. Through them, and not through --with-cc-opt, which -V prints, the compiler is told what is
// about this machine alone: not to write work's own name into what it makes, and to ask ccache, if that
// is installed.
func compilers(ctx context.Context, j *job.Job, work string, configure []string, fingerprint string) (env []string, err error) {
	dir, inner := filepath.Join(work, "compilers"), filepath.Join(work, "compilers/uncached")
	if err := os.MkdirAll(inner, 0o755); err != nil {
		return nil, err
	}
	ccache, err := exec.LookPath("ccache")
	if err != nil && !errors.Is(err, exec.ErrNotFound) {
		return nil, err
	}
	for _, name := range compilerNames(ctx, j, configure) {
		real, err := exec.LookPath(name)
		if errors.Is(err, exec.ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, err
		}
		option := prefixMap(ctx, j, real, work)
		text := "#!/bin/sh\nexec " + shellQuote(real) + " " + shellQuote(option) + " \"$@\"\n"
		to := filepath.Join(dir, name)
		if ccache != "" {
			to = filepath.Join(inner, name)
			outer := "#!/bin/sh\nexec " + shellQuote(ccache) + " " + shellQuote(to) + " \"$@\"\n"
			if err := os.WriteFile(filepath.Join(dir, name), []byte(outer), 0o755); err != nil {
				return nil, err
			}
		}
		if err := os.WriteFile(to, []byte(text), 0o755); err != nil {
			return nil, err
		}
	}
	env = []string{
		"PATH=" + dir + ":" + os.Getenv("PATH") + ":/usr/sbin:/sbin", // OpenResty's configure looks for ldconfig
		"SOURCE_DATE_EPOCH=315532800",                                // what __DATE__ says: 1980-01-01
	}
	if ccache != "" {
		// The wrapper's own time and the directory's name differ from build to build; what they stand
		// for does not.
		env = append(env, "CCACHE_BASEDIR="+work, "CCACHE_NOHASHDIR=1", "CCACHE_COMPILERTYPE=gcc", "CCACHE_COMPILERCHECK=string:"+fingerprint)
	}
	return env, nil
}

// compilerNames are those by which nginx's configure, LuaJIT's make and Perl's modules call a compiler
// through PATH.
func compilerNames(ctx context.Context, j *job.Job, configure []string) []string {
	names := []string{"cc", "gcc"}
	if cc := lastValue(configure, "--with-cc"); cc != "" && filepath.Base(cc) == cc {
		names = append(names, cc)
	}
	if slices.ContainsFunc(configure, func(arg string) bool { return strings.HasPrefix(arg, "--with-http_perl_module") }) {
		var out bytes.Buffer
		if err := j.Run(ctx, job.Command{Args: []string{"perl", "-MConfig", "-e", "print $Config{cc}"}, Out: &out}); err == nil {
			if cc := out.String(); cc != "" && filepath.Base(cc) == cc {
				names = append(names, cc)
			}
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// prefixMap is the option that keeps work's name out of debugging information, and of __FILE__ where
// the compiler is new enough for that.
func prefixMap(ctx context.Context, j *job.Job, compiler, work string) string {
	option := "-ffile-prefix-map=" + work + "=" + madeIn
	if err := j.Run(ctx, job.Command{Args: []string{compiler, option, "-E", "-x", "c", "-"}, Out: new(bytes.Buffer)}); err != nil {
		option = "-fdebug-prefix-map=" + work + "=" + madeIn
	}
	return option
}

func shellQuote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

// forgetDirectory replaces work's name in the configure arguments that the binary will print: OpenResty's
// configure makes the directories of modules absolute.
func forgetDirectory(top, work string) error {
	for _, pattern := range []string{"objs/ngx_auto_config.h", "build/nginx-*/objs/ngx_auto_config.h"} {
		found, err := filepath.Glob(filepath.Join(top, pattern))
		if err != nil {
			return err
		}
		for _, file := range found {
			if err := replaceIn(file, work, madeIn); err != nil {
				return fmt.Errorf("make the build independent of its directory: %w", err)
			}
		}
	}
	return nil
}

func replaceIn(file, old, with string) error {
	text, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) || err == nil && !bytes.Contains(text, []byte(old)) {
		return nil
	}
	if err != nil {
		return err
	}
	return os.WriteFile(file, bytes.ReplaceAll(text, []byte(old), []byte(with)), 0o644)
}

// defaultPIE tells whether the compiler makes position-independent executables unless told otherwise.
func defaultPIE(ctx context.Context, j *job.Job, configure []string) bool {
	cc := lastValue(configure, "--with-cc")
	if _, err := exec.LookPath(cc); cc == "" || err != nil {
		cc = "cc"
	}
	var out bytes.Buffer
	err := j.Run(ctx, job.Command{Args: []string{cc, "-E", "-dM", "-x", "c", "-"}, Out: &out})
	return err == nil && bytes.Contains(out.Bytes(), []byte("#define __PIE__ "))
}
