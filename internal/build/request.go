// Package build makes an artifact out of sources: it translates the running binary's configure
// arguments, configures, compiles, installs into a directory of its own and stores what is needed.
// Nothing outside Request's directories and the store is written.
package build

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"graft/internal/artifact"
	"graft/internal/build/source"
	"graft/internal/nginx"
)

// DefaultPrefix is where OpenResty's own packages lie.
const DefaultPrefix = "/usr/local/openresty"

// Request says what to build.
type Request struct {
	// Like is the running binary, whose configure arguments and nginx prefix are carried over.
	Like nginx.Build
	// Source is "distro", a tarball (.tar.gz, .tgz, .tar), or the directory of an unpacked one.
	// Plan also takes a version: "openresty-1.21.4.1" or "1.21.4.1" for OpenResty, "nginx-1.26.3".
	Source string
	// Modules are source directories of modules to build in.
	Modules []string
	// Loaded are the base names of the .so files that the running configuration loads
	// ("ngx_http_geoip_module.so"): those among nginx's own modules are then built in. Others
	// that the old binary had as dynamic modules are left out, and said so.
	Loaded []string
	// Prefix is OpenResty's own; DefaultPrefix if empty. nginx keeps the prefix that Like has.
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
	Configure    []string        `json:"configure"`
	Flags        []artifact.Flag `json:"flags"`
	Dependencies []Dependency    `json:"dependencies"`
	Warnings     []string        `json:"warnings,omitempty"`
}

// normalize checks a request and fills in its defaults.
func (r Request) normalize() (Request, error) {
	if r.Source == "" {
		return Request{}, errors.New("no source named: give a tarball, the directory of an unpacked one, or \"distro\"")
	}
	if r.Like.Version == "" {
		return Request{}, errors.New("no binary to be like: its configure arguments and prefix are carried over")
	}
	if r.Prefix == "" {
		r.Prefix = DefaultPrefix
	}
	if !filepath.IsAbs(r.Prefix) || filepath.Clean(r.Prefix) == "/" {
		return Request{}, fmt.Errorf("OpenResty's prefix %q is not an absolute directory below /", r.Prefix)
	}
	r.Prefix = filepath.Clean(r.Prefix)
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
	return source.Query{Name: r.Source, CacheDir: r.CacheDir, Prefix: r.Prefix, Refresh: r.Refresh}
}
