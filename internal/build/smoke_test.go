package build

import (
	"os"
	"testing"
	"path/filepath"
	"encoding/json"

	"graft/internal/artifact"
	"graft/internal/nginx"
)

func TestSmoke(t *testing.T) {
	v, _ := os.ReadFile("testdata/debian12-nginx.txt")
	like, err := nginx.ParseBuild(string(v), "")
	if err != nil { t.Fatal(err) }
	cache, _ := os.UserCacheDir()
	dir := filepath.Join(cache, "graft/test")
	store, err := artifact.Open(filepath.Join(dir, "state"))
	if err != nil { t.Fatal(err) }
	res, err := Build(t.Context(), Request{Like: like, Source: "distro", Prefix: "/tmp/graft-smoke/openresty", CacheDir: dir}, store, func(p Progress) { if p.File%20 == 0 { t.Logf("%+v", p) } })
	if err != nil { t.Fatal(err) }
	m := res.Artifact.Manifest
	m.Files = nil
	text, _ := json.MarshalIndent(m, "", " ")
	t.Logf("%+v %v\n%s", res.Elapsed, res.Warnings, text)
}
