package preflight

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"graft/internal/nginx"
)

// cacheWalk bounds how long all caches together are looked at; large ones have tens of millions of files.
const cacheWalk = 500 * time.Millisecond

// cacheSample is of how many files the format is read.
const cacheSample = 64

// cacheFormats are the formats of cache files that a binary may write, by NGX_HTTP_CACHE_VERSION
// (http/ngx_http_cache.h): 3 since 1.7.7 (Vary), 5 since 1.11.10 (stale-while-revalidate; no release had
// 4). Before, and for flavors whose releases are not known, it is not told. freenginx went on to 6 with
// its Age header, in a release of 1.27 or later.
func cacheFormats(b nginx.Build) []uint64 {
	switch {
	case b.Flavor == nginx.FlavorTengine && older(b.Version, "2.3.0"):
		return nil // of nginx 1.6 and 1.8, with a cache of its own
	case b.Flavor == nginx.FlavorFreenginx && !older(b.Version, "1.27.0"):
		return []uint64{5, 6}
	case !coreOlder(b, "1.11.10"):
		return []uint64{5}
	case !coreOlder(b, "1.7.7"):
		return []uint64{3}
	}
	return nil
}

// cacheDir is one cache on the disk.
type cacheDir struct {
	path, where string // where: file:line of the directive
	files       int
	bytes       uint64
	partly      bool           // there was more than could be looked at in time
	formats     map[uint64]int // of the files that were read, written since the master was started
	err         error
}

func (c cacheDir) String() string {
	atLeast := ""
	if c.partly {
		atLeast = "at least "
	}
	text := fmt.Sprintf("%s (%s): %s%s in %d files", c.path, c.where, atLeast, size(c.bytes), c.files)
	for _, format := range c.found() {
		text += fmt.Sprintf(", %d that were read are of format %d", c.formats[format], format)
	}
	return text
}

// found lists the formats that were read, the most frequent first.
func (c cacheDir) found() []uint64 {
	var list []uint64
	for format := range c.formats {
		list = append(list, format)
	}
	slices.SortFunc(list, func(a, b uint64) int {
		if c.formats[a] != c.formats[b] {
			return c.formats[b] - c.formats[a]
		}
		return int(a) - int(b)
	})
	return list
}

// cacheFormat compares the format of the files in the caches with the one that the target reads. Files of
// another are a MISS for it (ngx_http_file_cache_read), and its own for the old binary.
func cacheFormat(e *examination) Check {
	c := e.Instance.Config
	directives := c.Find("proxy_cache_path", "fastcgi_cache_path", "uwsgi_cache_path", "scgi_cache_path")
	if len(directives) == 0 {
		return ok("no *_cache_path in %s", e.Instance.Paths.Conf)
	}
	running, target := cacheFormats(e.Instance.Build), cacheFormats(e.build)
	age, err := e.FS.Age(e.Instance.Master.PID)
	if err != nil {
		return warning("run graft plan again", "not checked: %v", err)
	}
	var caches, foreign, unread []string
	for _, d := range directives {
		path := d.Arg(0)
		if !filepath.IsAbs(path) {
			path = filepath.Join(e.Instance.Paths.Prefix, path)
		}
		dir := readCache(path, d.Pos().String(), time.Now().Add(-age), cacheWalk/time.Duration(len(directives)))
		caches = append(caches, dir.String())
		if dir.err != nil {
			unread = append(unread, dir.err.Error())
		}
		if f := dir.found(); len(f) > 0 && len(target) > 0 && !slices.Contains(target, f[0]) {
			foreign = append(foreign, path)
		}
	}
	kept := strings.Join(caches, "; ")
	const quiet = "choose a quiet hour, see that the upstreams can bear the whole load, and set proxy_cache_lock on; (fastcgi_, uwsgi_, scgi_cache_lock) so that one request for each key goes to them"
	formats := fmt.Sprintf("%s %s writes cache files of format %s, %s %s of format %s",
		e.Instance.Build.Flavor, e.Instance.Build.Version, formatNames(running), e.build.Flavor, e.build.Version, formatNames(target))
	switch {
	case len(running) == 1 && len(target) > 0 && !slices.Contains(target, running[0]) || len(foreign) > 0:
		return warning(quiet, "%s: to the target the caches are cold, and what it stores is cold to the old binary after a rollback. %s", formats, kept)
	case len(running) != 1 || len(target) != 1:
		return warning(quiet, "%s: whether the target can use what is stored is not known. %s", formats, kept)
	case len(unread) > 0:
		return note("", "%s; not all of the caches could be read: %s. %s", formats, strings.Join(unread, "; "), kept)
	}
	return ok("%s. %s", formats, kept)
}

func formatNames(formats []uint64) string {
	if len(formats) == 0 {
		return "unknown"
	}
	var names []string
	for _, f := range formats {
		names = append(names, fmt.Sprint(f))
	}
	return strings.Join(names, " or ")
}

// readCache adds up a cache's files, for no longer than limit, and reads the format of some that were written
// since then: older ones may be another binary's.
func readCache(path, where string, since time.Time, limit time.Duration) cacheDir {
	deadline := time.Now().Add(limit)
	c := cacheDir{path: path, where: where, formats: map[uint64]int{}}
	read := 0
	err := filepath.WalkDir(path, func(name string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // nginx removed it meanwhile, or has not made the cache yet
		}
		if err != nil {
			return err
		}
		if time.Now().After(deadline) {
			c.partly = true
			return filepath.SkipAll
		}
		// The name is the key's MD5 in hex; what is still written has a number instead.
		if !d.Type().IsRegular() || len(d.Name()) != 32 {
			return nil
		}
		info, err := d.Info()
		if err != nil {
			return nil
		}
		c.files++
		if st, isStat := info.Sys().(*syscall.Stat_t); isStat {
			c.bytes += uint64(st.Blocks) * 512
		}
		if read < cacheSample && info.ModTime().After(since) {
			if format, err := fileFormat(name); err == nil {
				c.formats[format]++
				read++
			}
		}
		return nil
	})
	if err != nil {
		c.err = fmt.Errorf("read cache: %w", err)
	}
	return c
}

// fileFormat reads the first field of ngx_http_file_cache_header_t, an ngx_uint_t. Before 1.7.4 there was
// none, and the time stands there that the response is valid until.
func fileFormat(path string) (uint64, error) {
	file, err := os.Open(path)
	if err != nil {
		return 0, err
	}
	defer file.Close()
	var version [8]byte
	if _, err := io.ReadFull(file, version[:]); err != nil {
		return 0, err
	}
	if n := binary.NativeEndian.Uint64(version[:]); n < 1<<16 {
		return n, nil
	}
	return 0, nil
}
