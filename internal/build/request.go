// Package build makes an artifact out of sources: it translates the running binary's configure
// arguments, configures, compiles, installs into a directory of its own and stores what is needed.
// Nothing outside Request's directories and the store is written.
package build

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"graft/internal/artifact"
	"graft/internal/build/needs"
	"graft/internal/build/source"
	"graft/internal/nginx"
	"graft/internal/nginx/conf"
)

// DefaultPrefix is where OpenResty's own packages lie.
const DefaultPrefix = "/usr/local/openresty"

// Request says what to build.
type Request struct {
	// Like is the running binary, whose configure arguments and nginx prefix are carried over.
	Like nginx.Build
	// Source is "distro", a version of OpenResty ("openresty-1.27.1.2", "1.27.1.2", "latest"), the URL of a
	// tarball, a tarball, or the directory of an unpacked one. Plan needs nothing at hand for a version,
	// other flavors' ("nginx-1.26.3") included.
	Source string
	// Trust says how a tarball is made sure of.
	Trust source.Trust
	// Binary is the running binary itself, whose hardening the new one is to have; empty: not at hand.
	Binary string
	// Modules are source directories of third-party modules.
	Modules []string
	// Loaded are the .so files that the running configuration loads: they are built anew. Modules that
	// the old build made dynamic and nobody loads are left out, and said so. nil: it is not known which.
	Loaded []Loaded
	// Config is the running configuration, which tells where a module is needed; nil: not at hand.
	Config *conf.Config
	// With are configure arguments that the user wants, whatever becomes of the old binary's; words of
	// --with-cc-opt and --with-ld-opt are added. Without are arguments, or names of options, that the
	// user does not want.
	With, Without []string
	// Prefix is where LuaJIT, lualib and .so modules lie on the host; nginx keeps the prefix that Like
	// has. Empty: DefaultPrefix for OpenResty; for a plain nginx, which needs one for .so modules alone,
	// a directory of its version, so that the next version's do not meet these.
	Prefix string
	// Jobs is how many compilers run at once; one per core if 0.
	Jobs int
	// CacheDir keeps downloads and logs between builds, WorkDir the trees while they are built;
	// empty: graft below the user's cache directory, and work below CacheDir.
	CacheDir, WorkDir string
	// Refresh asks the distribution for newer packages even if it was asked lately.
	Refresh bool
}

// Result is a build's outcome.
type Result struct {
	Artifact artifact.Artifact
	Cached   bool          // nothing was built: the inputs were those of an earlier build
	Log      string        // path of the whole log; empty if Cached
	Elapsed  time.Duration // all of it
	Warnings []string
}

// Planned is what a dry run tells: the keys of `graft build --dry-run -o json`.
type Planned struct {
	Configure    []string           `json:"configure"`
	Flags        []artifact.Flag    `json:"flags"`
	Lost         []Lost             `json:"lost"`
	Dependencies []needs.Dependency `json:"dependencies"`
	Warnings     []string           `json:"warnings,omitempty"`
}

// normalize checks a request and fills in its defaults.
func (r Request) normalize() (Request, error) {
	if r.Source == "" {
		return Request{}, errors.New("no source named: give a version (openresty-1.27.1.2, latest), a tarball or its URL, the directory of an unpacked one, or \"distro\"")
	}
	if r.Like.Version == "" {
		return Request{}, errors.New("no binary to be like: its configure arguments and prefix are carried over")
	}
	if r.Prefix != "" {
		if !filepath.IsAbs(r.Prefix) || filepath.Clean(r.Prefix) == "/" {
			return Request{}, fmt.Errorf("OpenResty's prefix %q is not an absolute directory below /", r.Prefix)
		}
		r.Prefix = filepath.Clean(r.Prefix)
	}
	if r.Jobs <= 0 {
		r.Jobs = runtime.NumCPU()
	}
	if r.CacheDir == "" {
		dir, err := os.UserCacheDir()
		if err != nil {
			return Request{}, fmt.Errorf("find a cache directory: %w", err)
		}
		r.CacheDir = filepath.Join(dir, "graft")
	}
	if r.WorkDir == "" {
		r.WorkDir = filepath.Join(r.CacheDir, "work")
	}
	for _, dir := range []*string{&r.CacheDir, &r.WorkDir} {
		abs, err := filepath.Abs(*dir)
		if err != nil {
			return Request{}, err
		}
		*dir = abs
	}
	for _, text := range slices.Concat(r.With, r.Without) {
		if err := checkOverride(text); err != nil {
			return Request{}, err
		}
	}
	modules := make([]string, 0, len(r.Modules))
	for _, dir := range r.Modules {
		abs, err := filepath.Abs(dir)
		if err != nil {
			return Request{}, err
		}
		if _, err := os.Stat(filepath.Join(abs, "config")); err != nil {
			return Request{}, fmt.Errorf("module %s has no file \"config\", which nginx's configure reads: %w", dir, err)
		}
		modules = append(modules, abs)
	}
	r.Modules = modules
	return r, nil
}

func (r Request) query() source.Query {
	return source.Query{Name: r.Source, CacheDir: r.CacheDir, Prefix: cmp.Or(r.Prefix, DefaultPrefix), Refresh: r.Refresh, Trust: r.Trust}
}

// settled is the request with the prefix that this source gives it.
func (r Request) settled(s source.Source) Request {
	fallback := DefaultPrefix
	if s.Layout == source.LayoutNginx {
		fallback = path.Join("/usr/local/graft", s.Name+"-"+s.Version)
	}
	r.Prefix = cmp.Or(r.Prefix, fallback)
	return r
}

// checkOverride refuses what the user cannot decide by a flag: the prefix is OpenResty's or the old
// nginx's, and modules have an option of their own.
func checkOverride(text string) error {
	name, _, _ := strings.Cut(text, "=")
	switch {
	case !strings.HasPrefix(text, "--") || len(name) == 2:
		return fmt.Errorf("%q is no argument of nginx's configure: they begin with --", text)
	case strings.ContainsAny(text, "\n\x00"):
		return fmt.Errorf("%q holds a line break, which configure cannot pass on", text)
	case name == "--prefix":
		return errors.New("--prefix is not for --flag and --without-flag: nginx keeps the running one's prefix, OpenResty's is --openresty-prefix")
	case name == "--add-module" || name == "--add-dynamic-module":
		return fmt.Errorf("%s is not for --flag and --without-flag: give the module's source with --add-module DIR", name)
	}
	return nil
}
