package artifact

import (
	"bytes"
	"strings"
	"testing"
)

// TestWhatImportRefuses would pass if everything were refused.
func TestUnusualButHonestArtifactsAreTaken(t *testing.T) {
	for name, change := range map[string]func(f *forged){
		"as it is":            func(*forged) {},
		"a long name":         func(f *forged) { f.file("d/"+strings.Repeat("n", 255), 0o644, "x") },
		"a long path":         func(f *forged) { f.file(strings.Repeat("directory/", 102)+"file", 0o644, "x") },
		"names in Chinese":    func(f *forged) { f.file("文档/说明 书.txt", 0o644, "x") },
		"a long link":         func(f *forged) { f.link("long", strings.Repeat("./", 200)+"debug") },
		"an empty file":       func(f *forged) { f.file("empty", 0o600, "") },
		"zeros at the end":    func(f *forged) { f.file("zzz", 0o644, strings.Repeat("\x00", 2048)) },
		"a big file":          func(f *forged) { f.file("big", 0o644, strings.Repeat("graft", 4<<20)) },
		"a link to a link":    func(f *forged) { f.link("l1", "l2"); f.link("l2", opener) },
		"a link to the dir":   func(f *forged) { f.link(forgedPrefix+"/luajit", "lualib") },
		"a tab in a flag":     func(f *forged) { f.manifest.Build.Configure = []string{"--with-cc-opt=-O2\t-g"} },
		"a link for sibling":  func(f *forged) { f.link(forgedPrefix+"/x", "../rt/lualib/a.lua") },
		"a module":            func(f *forged) { f.manifest.Modules = []Module{{Name: "m", File: luaA}, {Name: "built in"}} },
		"a signature":         func(f *forged) { f.manifest.Source.Signature = &Signature{Status: SignatureGood} },
		"debug symbols":       func(f *forged) { f.manifest.Debug = "debug/nginx.debug" },
		"backslashes":         func(f *forged) { f.file(`a\b`, 0o644, "x") },
		"prefix in a home":    func(f *forged) { f.manifest.Prefix = "/home/nginx/rt" },
		"prefix in root's":    func(f *forged) { f.manifest.Prefix = "/root/.cache/graft/rt" },
		"prefix in local":     func(f *forged) { f.manifest.Prefix = "/usr/local/openresty" },
		"prefix in /data":     func(f *forged) { f.manifest.Prefix = "/data/openresty" },
		"prefix in /var/opt":  func(f *forged) { f.manifest.Prefix = "/var/opt/openresty" },
		"a name like a rule":  func(f *forged) { f.file("tree/manifest.json", 0o644, "{}") },
		"two dots in a name":  func(f *forged) { f.file("a..b/..c", 0o644, "x") },
		"nearly in conf":      func(f *forged) { f.file(forgedPrefix+"/nginx/conform", 0o644, "x") },
		"nothing but nginx":   func(f *forged) { f.manifest.Prefix = "" },
		"configuration aside": func(f *forged) { f.file("etc/nginx/nginx.conf", 0o644, "x") },
	} {
		t.Run(name, func(t *testing.T) {
			s, _ := freshStore(t)
			f := honest(t)
			change(f)
			f.seal()
			got, err := s.Import(t.Context(), bytes.NewReader(f.archive()), f.manifest.ID)
			if err != nil {
				t.Fatal(err)
			}
			if err := got.Artifact.Verify(); err != nil {
				t.Error(err)
			}
			var again bytes.Buffer
			if _, err := s.Export(t.Context(), f.manifest.ID, &again); err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(decompress(t, again.Bytes()), f.tar()) {
				t.Error("its export holds another tar than was imported")
			}
		})
	}
}
