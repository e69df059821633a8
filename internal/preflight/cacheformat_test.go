package preflight

import (
	"encoding/binary"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"graft/internal/nginx"
	"graft/internal/nginxtest"
)

// cached is Realistic with a cache before its application.
var cached = strings.NewReplacer(
	"keepalive_timeout 65;", "keepalive_timeout 65;\n    proxy_cache_path {{.Prefix}}/cache levels=1:2 keys_zone=c:1m;",
	"location /app/ {", "location /app/ {\n            proxy_cache c;\n            proxy_cache_valid 200 1h;\n            add_header X-Cache $upstream_cache_status;",
).Replace(nginxtest.Realistic)

// cacheFile is the file of a cached response.
func cacheFile(t *testing.T, inst *nginxtest.Instance, key string) string {
	t.Helper()
	found := ""
	err := filepath.WalkDir(filepath.Join(inst.Prefix, "cache"), func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() && strings.Contains(read(t, path), "\nKEY: "+key+"\n") {
			found = path
		}
		return err
	})
	if err != nil || found == "" {
		t.Fatalf("no file of %s: %v", key, err)
	}
	return found
}

// mark writes the number of a format into a cache file.
func mark(t *testing.T, path string, format uint64) {
	t.Helper()
	file, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if _, err := file.Write(binary.NativeEndian.AppendUint64(nil, format)); err != nil {
		t.Fatal(err)
	}
}

func TestCacheFormat(t *testing.T) {
	inst := nginxtest.Start(t, nginxtest.Options{Config: cached})
	hit := func(path string) string { return ask(t, inst.Addr("http"), path).Header.Get("X-Cache") }
	for _, path := range []string{"/app/one", "/app/two"} {
		if first, second := hit(path), hit(path); first != "MISS" || second != "HIT" {
			t.Fatalf("%s: %s, then %s", path, first, second)
		}
	}
	s := subject(t, inst, hardened(t))
	found(t, run(t, s), "cache-format", OK, "format 5", inst.Prefix+"/cache ("+inst.Conf+":", "in 2 files, 2 that were read are of format 5")

	// What nginx 1.10 leaves has a 3 where these have a 5.
	e := &examination{Subject: s, build: s.Target.Manifest.Build}
	e.Instance.Build.Version = "1.10.3"
	if c := cacheFormat(e); c.Severity != Warning || !strings.Contains(c.Evidence, "nginx 1.10.3 writes cache files of format 3") {
		t.Errorf("%v: %s", c.Severity, c.Evidence)
	}
	e = &examination{Subject: s, build: nginx.Build{Flavor: nginx.FlavorNginx, Version: "1.10.3"}}
	if c := cacheFormat(e); c.Severity != Warning || !strings.Contains(c.Evidence, "nginx 1.10.3 of format 3") {
		t.Errorf("the other way round: %v: %s", c.Severity, c.Evidence)
	}
	for _, path := range []string{"one", "two"} {
		mark(t, cacheFile(t, inst, "http://app/app/"+path), 3)
	}
	e = &examination{Subject: s, build: s.Target.Manifest.Build}
	if c := cacheFormat(e); c.Severity != Warning || !strings.Contains(c.Evidence, "2 that were read are of format 3") || c.Remedy == "" {
		t.Errorf("what the running binary writes counts more than its version: %v: %s", c.Severity, c.Evidence)
	}

	mark(t, cacheFile(t, inst, "http://app/app/two"), 5)
	swap(t, inst, hardened(t))
	upgrade(t, inst, 2)
	inst.Signal(t, inst.MasterPID, quit)
	alone(t, inst)
	if got := hit("/app/two"); got != "HIT" {
		t.Errorf("a file of the target's format: %s", got)
	}
	if got := hit("/app/one"); got != "MISS" {
		t.Errorf("a file of another format: %s", got)
	}
}

func TestCacheFormatNeedsACache(t *testing.T) {
	found(t, run(t, subject(t, nginxtest.Start(t, nginxtest.Options{}), hardened(t))), "cache-format", OK, "no *_cache_path")
}

func TestCacheFormatLooksForALimitedTime(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"0123456789abcdef0123456789abcdef", "0123456789abcdef0123456789abcdee", "0123456789abcdef0123456789abcdef.0000000001", "other"} {
		write(t, filepath.Join(dir, "a", name), strings.Repeat("\x05\x00\x00\x00\x00\x00\x00\x00", 2))
	}
	c := readCache(dir, "nginx.conf:1", time.Now().Add(-time.Minute), time.Minute)
	if c.files != 2 || c.bytes == 0 || c.partly || c.formats[5] != 2 {
		t.Errorf("%+v", c)
	}
	if c := readCache(dir, "nginx.conf:1", time.Now().Add(time.Minute), time.Minute); c.files != 2 || len(c.formats) != 0 {
		t.Errorf("files that are older than the master tell nothing of it: %+v", c)
	}
	if c := readCache(dir, "nginx.conf:1", time.Time{}, 0); c.files != 0 || !c.partly || !strings.Contains(c.String(), "at least") {
		t.Errorf("no time at all: %v", c)
	}
	if c := readCache(dir+"/none", "nginx.conf:1", time.Time{}, time.Minute); c.files != 0 || c.err != nil {
		t.Errorf("a cache that nginx has not made yet: %+v", c)
	}
}

func TestCacheFormatsOfReleases(t *testing.T) {
	for _, tt := range []struct {
		flavor  nginx.Flavor
		version string
		want    []uint64
	}{
		{nginx.FlavorNginx, "1.6.2", nil},
		{nginx.FlavorNginx, "1.8.0", []uint64{3}},
		{nginx.FlavorNginx, "1.11.9", []uint64{3}},
		{nginx.FlavorNginx, "1.11.10", []uint64{5}},
		{nginx.FlavorNginx, "1.31.0", []uint64{5}},
		{nginx.FlavorOpenResty, "1.11.2.5", []uint64{3}},
		{nginx.FlavorOpenResty, "1.27.1.1", []uint64{5}},
		{nginx.FlavorAngie, "1.5.1", []uint64{5}},
		{nginx.FlavorTengine, "2.1.2", nil},
		{nginx.FlavorTengine, "3.1.0", []uint64{5}},
		{nginx.FlavorFreenginx, "1.26.0", []uint64{5}},
		{nginx.FlavorFreenginx, "1.29.1", []uint64{5, 6}},
	} {
		if got := cacheFormats(nginx.Build{Flavor: tt.flavor, Version: tt.version}); !slices.Equal(got, tt.want) {
			t.Errorf("%s %s: %v, want %v", tt.flavor, tt.version, got, tt.want)
		}
	}
}

// The sources that are at hand say so themselves.
func TestCacheFormatsAreThoseOfTheSources(t *testing.T) {
	for _, version := range []string{"1.18.0", "1.22.1", "1.26.3"} {
		header := read(t, filepath.Join(nginxtest.Source(t, version), "src/http/ngx_http_cache.h"))
		if !strings.Contains(strings.Join(strings.Fields(header), " "), "#define NGX_HTTP_CACHE_VERSION 5 ") {
			t.Errorf("%s has another format than 5", version)
		}
	}
}
