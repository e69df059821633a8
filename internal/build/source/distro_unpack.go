package source

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"graft/internal/build/job"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// unpackDistro lays out the sources side by side and the libraries as they will lie on the host:
//
//	nginx/ ngx_devel_kit/ lua-nginx-module/    sources, the distribution's patches applied
//	installed/PREFIX/luajit, pcre, lualib      what the artifact brings along
//	include/ lib/                              what only the build needs
func unpackDistro(ctx context.Context, j *job.Job, cache distroCache, found resolution, prefix string, pcre1 bool, dir string) (Tree, error) {
	for _, s := range distroSources {
		if err := unpackDebianSource(ctx, j, cache, found.find(s.name), filepath.Join(dir, s.dir)); err != nil {
			return Tree{}, err
		}
	}
	root := filepath.Join(dir, "packages")
	for _, p := range found.Packages {
		if p.Kind != "download" {
			continue
		}
		deb, err := p.file(".deb")
		if err != nil {
			return Tree{}, err
		}
		if err := j.Run(ctx, job.Command{Args: []string{"dpkg-deb", "-x", filepath.Join(cache.files(), deb), root}}); err != nil {
			return Tree{}, fmt.Errorf("unpack package %s: %w", p.Name, err)
		}
	}
	return arrangeDistro(root, dir, prefix, pcre1)
}

// arrangeDistro moves the packages' files to where the artifact has them.
func arrangeDistro(root, dir, prefix string, pcre1 bool) (Tree, error) {
	dest := filepath.Join(dir, "installed")
	under := func(path ...string) string { return filepath.Join(append([]string{dest, prefix}, path...)...) }
	t := Tree{Top: filepath.Join(dir, "nginx"), Dest: dest}
	moves := []struct{ pattern, to string }{
		{"usr/lib/*/libluajit-5.1.so*", under("luajit/lib")},
		{"usr/include/luajit-2.*/*", under("luajit/include/luajit-2.1")},
		{"usr/share/luajit-2.*/*", under("luajit/share/luajit-2.1")},
		{"usr/share/lua/5.1/*", under("lualib")},
	}
	if pcre1 {
		moves = append(moves,
			struct{ pattern, to string }{"lib/*/libpcre.so.3*", under("pcre/lib")},
			struct{ pattern, to string }{"usr/lib/*/libpcre.so.3*", under("pcre/lib")}, // where /lib is /usr/lib
			struct{ pattern, to string }{"usr/include/pcre.h", filepath.Join(dir, "include")})
	}
	for _, m := range moves {
		if err := move(filepath.Join(root, m.pattern), m.to); err != nil {
			return Tree{}, err
		}
	}
	luajit, err := filepath.Glob(under("luajit/lib/libluajit-5.1.so.2.*"))
	if err != nil || len(luajit) == 0 {
		return Tree{}, errors.Join(errors.New("the distribution's LuaJIT package holds no libluajit-5.1.so.2.*"), err)
	}
	if err := os.MkdirAll(filepath.Join(dir, "lib"), 0o755); err != nil {
		return Tree{}, err
	}
	// The packages' own development links are absolute: they would lead to this machine's libraries.
	if pcre1 {
		if err := os.Symlink(under("pcre/lib/libpcre.so.3"), filepath.Join(dir, "lib/libpcre.so")); err != nil {
			return Tree{}, err
		}
	}
	t.Env = []string{
		"LUAJIT_LIB=" + under("luajit/lib"),
		"LUAJIT_INC=" + under("luajit/include/luajit-2.1"),
		"LIBRARY_PATH=" + filepath.Join(dir, "lib"),
	}
	return t, nil
}

// move renames all that fits the pattern into a directory; nothing fitting is no error.
func move(pattern, to string) error {
	found, err := filepath.Glob(pattern)
	if err != nil || len(found) == 0 {
		return err
	}
	if err := os.MkdirAll(to, 0o755); err != nil {
		return err
	}
	for _, p := range found {
		if err := os.Rename(p, filepath.Join(to, filepath.Base(p))); err != nil {
			return err
		}
	}
	return nil
}

// unpackDebianSource does what `dpkg-source -x` does for the format "3.0 (quilt)", without needing
// dpkg-dev: the upstream tarball, the debian directory over it, the patches of debian/patches/series.
func unpackDebianSource(ctx context.Context, j *job.Job, cache distroCache, p distroPackage, dir string) error {
	fail := func(err error) error { return fmt.Errorf("unpack source %s %s: %w", p.Name, p.Version, err) }
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	orig, err := p.file(".orig.tar.")
	if err != nil {
		return fail(err)
	}
	debian, err := p.file(".debian.tar.")
	if err != nil {
		return fail(err)
	}
	for _, args := range [][]string{
		{"tar", "-x", "--no-same-owner", "--strip-components=1", "-f", filepath.Join(cache.files(), orig), "-C", dir},
		{"tar", "-x", "--no-same-owner", "-f", filepath.Join(cache.files(), debian), "-C", dir},
	} {
		if err := j.Run(ctx, job.Command{Args: args}); err != nil {
			return fail(err)
		}
	}
	series, err := os.Open(filepath.Join(dir, "debian/patches/series"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fail(err)
	}
	defer series.Close()
	lines := bufio.NewScanner(series)
	for lines.Scan() {
		name, _, _ := strings.Cut(lines.Text(), "#")
		if name = strings.TrimSpace(name); name == "" {
			continue
		}
		if err := j.Run(ctx, job.Command{Dir: dir, Args: []string{"patch", "-p1", "--batch", "--forward", "--fuzz=0", "--no-backup-if-mismatch", "-i", filepath.Join("debian/patches", name)}}); err != nil {
			return fail(err)
		}
	}
	if err := lines.Err(); err != nil {
		return fail(err)
	}
	return nil
}
