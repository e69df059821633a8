package artifact

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"graft/internal/durable"
	"graft/internal/nginx"
)

// hostArtifact stores a tree with a runtime below /opt/rt; its binary is /bin/true under nginx's place.
func hostArtifact(t *testing.T) Artifact {
	t.Helper()
	store, err := Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return hostArtifactIn(t, store)
}

func hostArtifactIn(t *testing.T, store *Store) Artifact {
	t.Helper()
	tree := t.TempDir()
	for path, content := range map[string]string{
		"usr/sbin/nginx":               "",
		"opt/rt/lualib/resty/core.lua": "return {}",
		"opt/rt/lualib/cjson.so":       "ELF",
		"etc/other":                    "outside of the prefix",
	} {
		full := filepath.Join(tree, path)
		if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
			t.Fatal(err)
		}
		if path == "usr/sbin/nginx" {
			data, err := os.ReadFile("/bin/true")
			if err != nil {
				t.Fatal(err)
			}
			content = string(data)
		}
		if err := os.WriteFile(full, []byte(content), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("cjson.so", filepath.Join(tree, "opt/rt/lualib/json.so")); err != nil {
		t.Fatal(err)
	}
	a, err := store.Put(t.Context(), tree, Manifest{Name: "t", Flavor: nginx.FlavorNginx, Version: "1", Binary: "usr/sbin/nginx", Prefix: "/opt/rt"})
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func list(t *testing.T, root string) string {
	t.Helper()
	var names []string
	err := filepath.Walk(root, func(path string, info os.FileInfo, err error) error {
		if path != root {
			names = append(names, strings.TrimPrefix(path, root))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(names, " ")
}

func TestPlaceTouchesOnlyThePrefixAndRemoveTakesBackOnlyItsOwn(t *testing.T) {
	a, root, record := hostArtifact(t), t.TempDir(), t.TempDir()
	// One file is there already, equal: it is somebody else's and stays.
	own := filepath.Join(root, "opt/rt/lualib/cjson.so")
	if err := os.MkdirAll(filepath.Dir(own), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(own, []byte("ELF"), 0o644); err != nil {
		t.Fatal(err)
	}
	before := list(t, root)
	p, err := a.Place(root, record)
	if err != nil {
		t.Fatal(err)
	}
	if got := list(t, root); got != "/opt /opt/rt /opt/rt/lualib /opt/rt/lualib/cjson.so /opt/rt/lualib/json.so /opt/rt/lualib/resty /opt/rt/lualib/resty/core.lua" {
		t.Errorf("placed: %s", got)
	}
	if _, err := a.Place(root, record); err != nil {
		t.Errorf("placing again: %v", err)
	}
	changed := filepath.Join(root, "opt/rt/lualib/resty/core.lua")
	if err := os.WriteFile(changed, []byte("return 42"), 0o644); err != nil {
		t.Fatal(err)
	}
	left, err := p.Remove(root, record)
	if err != nil || len(left) != 1 || left[0] != "/opt/rt/lualib/resty/core.lua" {
		t.Errorf("left %q, %v, want the file that was changed since", left, err)
	}
	os.Remove(changed)
	if p, err = a.Place(root, record); err != nil {
		t.Fatal(err)
	}
	if left, err = p.Remove(root, record); err != nil || left != nil {
		t.Errorf("left %q, %v", left, err)
	}
	// The directory "resty" was kept the first time because of the changed file, so it was there already.
	os.Remove(filepath.Dir(changed))
	if after := list(t, root); after != before {
		t.Errorf("after removal: %s, want %s", after, before)
	}
}

func TestPlaceRefusesToOverwriteAnotherRuntime(t *testing.T) {
	a, root, record := hostArtifact(t), t.TempDir(), t.TempDir()
	other := filepath.Join(root, "opt/rt/lualib/cjson.so")
	if err := os.MkdirAll(filepath.Dir(other), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(other, []byte("another version"), 0o644); err != nil {
		t.Fatal(err)
	}
	before := list(t, root)
	if conflicts, err := a.Conflicts(root); err != nil || len(conflicts) != 1 {
		t.Errorf("conflicts %q, %v", conflicts, err)
	}
	if _, err := a.Place(root, record); err == nil || !strings.Contains(err.Error(), "/opt/rt/lualib/cjson.so") {
		t.Errorf("error %v, want one that names the file", err)
	}
	if after := list(t, root); after != before {
		t.Errorf("changed: %s, was %s", after, before)
	}
}

func TestBackupAndPutBackRestoreContentAndAttributes(t *testing.T) {
	a, dir := hostArtifact(t), t.TempDir()
	path := filepath.Join(t.TempDir(), "nginx")
	if err := os.WriteFile(path, []byte("the old one"), 0o755); err != nil {
		t.Fatal(err)
	}
	if os.Geteuid() == 0 {
		if err := os.Chown(path, 0, 33); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(path, 0o710); err != nil {
		t.Fatal(err)
	}
	old, err := durable.ReadAttributes(path)
	if err != nil {
		t.Fatal(err)
	}
	const sum = "bd0ebd9e8ba93f4ec0aaea5fe2d3dbebd04f1a4d4b30d5d3ecd2a4d5d0a3f7b1"
	if _, err := TakeBackup(path, sum, dir); err == nil {
		t.Fatal("a backup with another hash than the running binary's was taken")
	}
	real := hashOf(t, path)
	if _, err := TakeBackup(path, real, dir); err != nil {
		t.Fatal(err)
	}
	if err := a.Install(path, old); err != nil {
		t.Fatal(err)
	}
	if hashOf(t, path) != hashOf(t, a.BinaryPath()) {
		t.Error("the installed binary is not the artifact's")
	}
	b, err := ReadBackup(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := b.PutBack(path); err != nil {
		t.Fatal(err)
	}
	back, err := durable.ReadAttributes(path)
	if err != nil || hashOf(t, path) != real || old.Differ(back) != nil || !back.ModTime.Equal(old.ModTime) {
		t.Errorf("put back: %+v, %v, want %+v", back, err, old)
	}
	if err := os.WriteFile(b.Path, []byte("rotten"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := b.PutBack(path); err == nil || hashOf(t, path) != real {
		t.Errorf("a rotten backup: error %v, and the file must stay as it is", err)
	}
}

func hashOf(t *testing.T, path string) string {
	t.Helper()
	sum, _, err := hashFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return sum
}

// An administrator's link from the runtime's place into /etc must not become a way there.
func TestPlaceDoesNotGoThroughALinkIntoEtc(t *testing.T) {
	a, root, record := hostArtifact(t), t.TempDir(), t.TempDir()
	for _, dir := range []string{"etc/nginx", "opt/rt"} {
		if err := os.MkdirAll(filepath.Join(root, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("../../etc/nginx", filepath.Join(root, "opt/rt/lualib")); err != nil {
		t.Fatal(err)
	}
	before := list(t, root)
	_, err := a.Place(root, record)
	refused(t, err, RuleConfig, "opt/rt/lualib/")
	if after := list(t, root); after != before {
		t.Errorf("placed: %s, was %s", after, before)
	}
}

// Workers run as another user: what graft's own umask would hide from them, they would not find.
func TestWhatIsPlacedCanBeReadByWorkersWhateverTheUmask(t *testing.T) {
	tree := t.TempDir()
	if err := os.MkdirAll(filepath.Join(tree, "opt/rt/site/empty"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(tree, "opt/rt/nginx"), smallELF(t, "libc.so.6"), 0o755); err != nil {
		t.Fatal(err)
	}
	old := syscall.Umask(0o077)
	defer syscall.Umask(old)
	s, _ := freshStore(t)
	a, err := s.Put(t.Context(), tree, Manifest{Name: "t", Binary: "opt/rt/nginx", Prefix: "/opt/rt"})
	if err != nil {
		t.Fatal(err)
	}
	root := t.TempDir()
	if _, err := a.Place(root, t.TempDir()); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]os.FileMode{"opt": 0o755, "opt/rt": 0o755, "opt/rt/nginx": 0o755, "opt/rt/site/empty": 0o755} {
		if info, err := os.Stat(filepath.Join(root, path)); err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: %v, %v, want %v", path, info.Mode(), err, want)
		}
	}
}
