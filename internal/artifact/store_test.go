package artifact_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"graft/internal/artifact"
	"graft/internal/nginx"
)

// sampleTree makes a small tree laid out like a real one. Its binary is this machine's /bin/true:
// the store asks no more of a binary than to be an ELF executable.
func sampleTree(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "tree")
	write := func(path, content string, mode os.FileMode) {
		p := filepath.Join(dir, path)
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(p, []byte(content), mode); err != nil {
			t.Fatal(err)
		}
	}
	elf, err := os.ReadFile("/bin/true")
	if err != nil {
		t.Fatal(err)
	}
	write("usr/local/openresty/nginx/sbin/nginx", string(elf), 0o755)
	write("usr/local/openresty/lualib/resty/core.lua", "return 1\n", 0o644)
	write("usr/local/openresty/lualib/resty.lua", "return 2\n", 0o644)
	for _, d := range []string{"usr/local/openresty/bin", "usr/local/openresty/site/lualib"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	link(t, "/usr/local/openresty/nginx/sbin/nginx", filepath.Join(dir, "usr/local/openresty/bin/openresty"))
	return dir
}

func link(t *testing.T, to, at string) {
	t.Helper()
	if err := os.Symlink(to, at); err != nil {
		t.Fatal(err)
	}
}

func sampleManifest() artifact.Manifest {
	return artifact.Manifest{
		Name:    "openresty 1.21.4.1",
		Flavor:  nginx.FlavorOpenResty,
		Version: "1.21.4.1",
		Build:   nginx.Build{Flavor: nginx.FlavorOpenResty, Version: "1.21.4.1", Configure: []string{"--with-threads"}},
		Binary:  "usr/local/openresty/nginx/sbin/nginx",
		Prefix:  "/usr/local/openresty",
		Source:  artifact.Source{Kind: "tarball", Location: "openresty-1.21.4.1.tar.gz"},
		Flags:   []artifact.Flag{{Flag: "--with-threads", Action: artifact.Keep, Reason: "same meaning"}},
	}
}

func open(t *testing.T) *artifact.Store {
	t.Helper()
	s, err := artifact.Open(filepath.Join(t.TempDir(), "state"))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func put(t *testing.T, s *artifact.Store) artifact.Artifact {
	t.Helper()
	a, err := s.Put(t.Context(), sampleTree(t), sampleManifest())
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func TestPutDescribesEveryFile(t *testing.T) {
	a := put(t, open(t))
	if err := a.Verify(); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, f := range a.Manifest.Files {
		got = append(got, f.Path+" "+f.Mode.String()+" "+f.Link)
	}
	want := []string{
		"usr/local/openresty/bin/openresty -rwxrwxrwx /usr/local/openresty/nginx/sbin/nginx",
		"usr/local/openresty/lualib/resty.lua -rw-r--r-- ",
		"usr/local/openresty/lualib/resty/core.lua -rw-r--r-- ",
		"usr/local/openresty/nginx/sbin/nginx -rwxr-xr-x ",
		"usr/local/openresty/site/lualib -rwxr-xr-x ",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if !slices.Contains(a.Manifest.Libraries, "libc.so.6") {
		t.Errorf("libraries of the binary: %v", a.Manifest.Libraries)
	}
}

func TestSameTreeSameArtifact(t *testing.T) {
	s := open(t)
	first, second := put(t, s), put(t, s)
	if first.Manifest.ID != second.Manifest.ID || first.Manifest.Built != second.Manifest.Built {
		t.Errorf("put twice: %s and %s", first.Manifest.ID, second.Manifest.ID)
	}
	tree := sampleTree(t)
	if err := os.Chmod(filepath.Join(tree, "usr/local/openresty/lualib/resty.lua"), 0o600); err != nil {
		t.Fatal(err)
	}
	other, err := s.Put(t.Context(), tree, sampleManifest())
	if err != nil {
		t.Fatal(err)
	}
	if other.Manifest.ID == first.Manifest.ID {
		t.Error("another mode, the same ID")
	}
	list, _, err := s.List()
	if err != nil || len(list) != 2 {
		t.Errorf("list: %d artifacts, %v", len(list), err)
	}
}

func TestManyPutsAtOnceGiveOneWholeArtifact(t *testing.T) {
	s := open(t)
	tree := sampleTree(t)
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			a, err := s.Put(t.Context(), tree, sampleManifest())
			if err == nil {
				err = a.Verify()
			}
			if err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	list, _, err := s.List()
	if err != nil || len(list) != 1 {
		t.Errorf("list: %d artifacts, %v", len(list), err)
	}
}

func TestPutLeavesNothingWhenItFails(t *testing.T) {
	bad := map[string]struct {
		change func(tree string, m *artifact.Manifest) error
		want   string
	}{
		"link out of the tree": {func(tree string, _ *artifact.Manifest) error {
			return os.Symlink("../../etc/passwd", filepath.Join(tree, "usr/passwd"))
		}, "not in the tree"},
		"absolute link elsewhere": {func(tree string, _ *artifact.Manifest) error {
			return os.Symlink("/etc/passwd", filepath.Join(tree, "usr/passwd"))
		}, "not in the tree"},
		"set-user-ID": {func(tree string, m *artifact.Manifest) error {
			return os.Chmod(filepath.Join(tree, m.Binary), 0o755|os.ModeSetuid)
		}, "set-user-ID"},
		"no binary": {func(_ string, m *artifact.Manifest) error {
			m.Binary = "usr/sbin/nginx"
			return nil
		}, "no file usr/sbin/nginx"},
		"a script as binary": {func(tree string, m *artifact.Manifest) error {
			return os.WriteFile(filepath.Join(tree, m.Binary), []byte("#!/bin/sh\n"), 0o755)
		}, "ELF"},
	}
	for name, tt := range bad {
		t.Run(name, func(t *testing.T) {
			state := filepath.Join(t.TempDir(), "state")
			s, err := artifact.Open(state)
			if err != nil {
				t.Fatal(err)
			}
			tree, m := sampleTree(t), sampleManifest()
			if err := tt.change(tree, &m); err != nil {
				t.Fatal(err)
			}
			if _, err := s.Put(t.Context(), tree, m); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want %q", err, tt.want)
			}
			left, err := os.ReadDir(filepath.Join(state, "artifacts"))
			if err != nil || len(left) > 0 {
				t.Errorf("left behind: %v, %v", left, err)
			}
		})
	}
	t.Run("interrupted", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := open(t).Put(ctx, sampleTree(t), sampleManifest()); !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	})
}

func TestVerifyNamesWhatWasTamperedWith(t *testing.T) {
	lua := "usr/local/openresty/lualib/resty.lua"
	for name, tt := range map[string]struct {
		change func(tree string) error
		want   string
	}{
		"content": {func(tree string) error {
			return os.WriteFile(filepath.Join(tree, lua), []byte("return 3\n"), 0o644)
		}, lua + " has other content"},
		"mode":    {func(tree string) error { return os.Chmod(filepath.Join(tree, lua), 0o666) }, lua + " has mode"},
		"missing": {func(tree string) error { return os.Remove(filepath.Join(tree, lua)) }, lua + " is missing"},
		"extra": {func(tree string) error {
			return os.WriteFile(filepath.Join(tree, "usr/extra"), nil, 0o644)
		}, "usr/extra is not in the manifest"},
		"link": {func(tree string) error {
			at := filepath.Join(tree, "usr/local/openresty/bin/openresty")
			return errors.Join(os.Remove(at), os.Symlink("/bin/sh", at))
		}, `is a link to "/bin/sh"`},
	} {
		t.Run(name, func(t *testing.T) {
			a := put(t, open(t))
			if err := tt.change(a.Tree()); err != nil {
				t.Fatal(err)
			}
			err := a.Verify()
			if !errors.Is(err, artifact.ErrDamaged) || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want %q", err, tt.want)
			}
		})
	}
}

func TestDamagedManifestIsRefused(t *testing.T) {
	s := open(t)
	a := put(t, s)
	path := filepath.Join(a.Dir, "manifest.json")
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	changed := strings.Replace(string(text), "1.21.4.1", "1.21.4.2", 1)
	if err := os.WriteFile(path, []byte(changed), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Get(a.Manifest.ID); !errors.Is(err, artifact.ErrDamaged) {
		t.Errorf("get: %v", err)
	}
	// Putting the same tree again does not paper over the damage.
	if _, err := s.Put(t.Context(), sampleTree(t), sampleManifest()); !errors.Is(err, artifact.ErrDamaged) {
		t.Errorf("put: %v", err)
	}
}

func TestGetByPrefix(t *testing.T) {
	s := open(t)
	a := put(t, s)
	got, err := s.Get(a.Manifest.ID[:8])
	if err != nil || got.Dir != a.Dir {
		t.Errorf("get %s: %v, %v", a.Manifest.ID[:8], got.Dir, err)
	}
	for _, id := range []string{"", "abc", "../..", strings.Repeat("0", 64)} {
		if _, err := s.Get(id); !errors.Is(err, artifact.ErrNotFound) {
			t.Errorf("get %q: %v", id, err)
		}
	}
}

func TestPutBinaryTakesARunningOne(t *testing.T) {
	b := nginx.Build{Flavor: nginx.FlavorNginx, Version: "1.22.1"}
	a, err := open(t).PutBinary(t.Context(), "/proc/self/exe", b)
	if err != nil {
		t.Fatal(err)
	}
	if a.Manifest.Prefix != "" || a.Manifest.Source.Kind != "binary" || a.Manifest.Name != "nginx 1.22.1" {
		t.Errorf("manifest: %+v", a.Manifest)
	}
	if info, err := os.Stat(a.BinaryPath()); err != nil || info.Mode()&0o111 == 0 {
		t.Errorf("binary: %v, %v", info, err)
	}
	if err := a.Verify(); err != nil {
		t.Error(err)
	}
}

func TestRememberedBuild(t *testing.T) {
	s := open(t)
	if _, err := s.Lookup("abcd"); !errors.Is(err, artifact.ErrNotFound) {
		t.Errorf("lookup of nothing: %v", err)
	}
	for _, id := range []string{"1111", "2222"} {
		if err := s.Remember("abcd", id); err != nil {
			t.Fatal(err)
		}
		if got, err := s.Lookup("abcd"); err != nil || got != id {
			t.Errorf("lookup: %q, %v; want %s", got, err, id)
		}
	}
	if err := s.Remember("../abcd", "1111"); err == nil {
		t.Error("a key that is a path was accepted")
	}
}
