package artifact

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"graft/internal/nginx"
)

// put stores the honest artifact's tree after a change.
func putChanged(t *testing.T, s *Store, change func(tree string, m *Manifest) error) (Artifact, error) {
	t.Helper()
	f := honest(t)
	from, _ := freshStore(t)
	i, err := from.Import(t.Context(), bytes.NewReader(f.archive()), "")
	if err != nil {
		t.Fatal(err)
	}
	m := f.manifest
	m.ID, m.Files, m.Libraries, m.Flags = "", nil, nil, append([]Flag{}, m.Flags...)
	if err := change(i.Artifact.Tree(), &m); err != nil {
		t.Fatal(err)
	}
	return s.Put(t.Context(), i.Artifact.Tree(), m)
}

func write(tree, path string, mode os.FileMode) error {
	path = filepath.Join(tree, path)
	return errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte("x"), mode))
}

func TestPutRefusesWhatImportRefuses(t *testing.T) {
	for _, tt := range []struct {
		name   string
		rule   Rule
		entry  string
		change func(tree string, m *Manifest) error
	}{
		{"a fifo", RuleType, "pipe", func(tree string, _ *Manifest) error { return syscall.Mkfifo(filepath.Join(tree, "pipe"), 0o600) }},
		{"a socket", RuleType, "sock", func(tree string, _ *Manifest) error {
			return syscall.Mknod(filepath.Join(tree, "sock"), syscall.S_IFSOCK|0o600, 0)
		}},
		{"a device", RuleType, "null", func(tree string, _ *Manifest) error {
			return syscall.Mknod(filepath.Join(tree, "null"), syscall.S_IFCHR|0o600, 1<<8|3)
		}},
		{"set-user-ID", RuleMode, nginxBin, func(tree string, m *Manifest) error {
			return os.Chmod(filepath.Join(tree, m.Binary), 0o755|os.ModeSetuid)
		}},
		{"set-group-ID", RuleMode, nginxBin, func(tree string, m *Manifest) error {
			return os.Chmod(filepath.Join(tree, m.Binary), 0o755|os.ModeSetgid)
		}},
		{"sticky", RuleMode, luaA, func(tree string, _ *Manifest) error { return os.Chmod(filepath.Join(tree, luaA), 0o644|os.ModeSticky) }},
		{"unreadable for its owner", RuleMode, luaA, func(tree string, _ *Manifest) error { return os.Chmod(filepath.Join(tree, luaA), 0o044) }},
		{"a link out of the tree", RuleLink, "out", func(tree string, _ *Manifest) error { return os.Symlink("../etc", filepath.Join(tree, "out")) }},
		{"a link out of the prefix", RuleLink, "/out", func(tree string, _ *Manifest) error {
			return os.Symlink("/debug/nginx.debug", filepath.Join(tree, forgedPrefix, "out"))
		}},
		{"a name with an escape", RuleName, "a\x1b", func(tree string, _ *Manifest) error { return write(tree, "a\x1b[2J", 0o644) }},
		{"a name that is not UTF-8", RuleName, "a\xff", func(tree string, _ *Manifest) error { return write(tree, "a\xff", 0o644) }},
		{"a long name", RuleName, "dir", func(tree string, _ *Manifest) error {
			return write(tree, strings.Repeat(strings.Repeat("dir", 60)+"/", 6)+"x", 0o644)
		}},
		{"a huge file", RuleSize, "huge", func(tree string, _ *Manifest) error {
			return errors.Join(write(tree, "huge", 0o644), os.Truncate(filepath.Join(tree, "huge"), maxFile+1))
		}},
		{"a huge tree", RuleSize, "huge", func(tree string, _ *Manifest) error {
			for i := range 3 {
				name := fmt.Sprint("zz-huge", i)
				if err := errors.Join(write(tree, name, 0o644), os.Truncate(filepath.Join(tree, name), maxFile)); err != nil {
					return err
				}
			}
			return nil
		}},
		{"configuration in the runtime", RuleConfig, "nginx.conf", func(tree string, _ *Manifest) error {
			return write(tree, forgedPrefix+"/nginx/conf/nginx.conf", 0o644)
		}},
		{"the system's prefix", RulePrefix, "prefix", func(_ string, m *Manifest) error { m.Prefix = "/usr/lib/nginx"; return nil }},
		{"a prefix that is not clean", RulePrefix, "prefix", func(_ string, m *Manifest) error { m.Prefix = "/opt/rt/"; return nil }},
		{"an unknown action", RuleManifest, "action", func(_ string, m *Manifest) error { m.Flags[0].Action = "obey"; return nil }},
		{"a time that is none", RuleText, "built", func(_ string, m *Manifest) error { m.Built = "yesterday"; return nil }},
		{"a module that is not there", RuleListed, "modules", func(_ string, m *Manifest) error {
			m.Modules = []Module{{Name: "m", File: "m.so"}}
			return nil
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s, _ := freshStore(t)
			_, err := putChanged(t, s, tt.change)
			refused(t, err, tt.rule, tt.entry)
			holdsNothing(t, s)
		})
	}
}

func TestWhatABuildLeavesIsMadeFitToCarry(t *testing.T) {
	s, _ := freshStore(t)
	a, err := putChanged(t, s, func(tree string, m *Manifest) error {
		m.Build.Configure = []string{"--build=caf\xe9", "--with-cc-opt=-O2\t-g"}
		m.Build.BuiltWith = "OpenSSL\u200b 3"
		return errors.Join(
			os.Chmod(filepath.Join(tree, luaA), 0o666),
			os.Chmod(filepath.Join(tree, m.Binary), 0o775),
			os.Chmod(filepath.Join(tree, forgedPrefix), 0o777),
			os.Chmod(filepath.Join(tree, site), 0o700),
		)
	})
	if err != nil {
		t.Fatal(err)
	}
	l, err := newListing(a.Manifest.Files)
	if err != nil {
		t.Fatal(err)
	}
	if mode := l.files[luaA].Mode; mode != 0o644 {
		t.Errorf("a file that all may write became %v", mode)
	}
	if mode := l.files[nginxBin].Mode; mode != 0o755 {
		t.Errorf("the binary, which its group may write, became %v", mode)
	}
	if info, err := os.Stat(filepath.Join(a.Tree(), forgedPrefix)); err != nil || info.Mode().Perm() != 0o755 {
		t.Errorf("a directory that all may write: %v, %v", info.Mode(), err)
	}
	if got := fmt.Sprintf("%q", a.Manifest.Build.Configure); got != `["--build=caf�" "--with-cc-opt=-O2\t-g"]` {
		t.Errorf("configure arguments: %s", got)
	}
	again, err := s.Get(a.Manifest.ID)
	if err != nil || again.Verify() != nil {
		t.Fatalf("read again: %v", err)
	}
	var archive bytes.Buffer
	if _, err := s.Export(t.Context(), a.Manifest.ID, &archive); err != nil {
		t.Fatal(err)
	}
	other, _ := freshStore(t)
	if _, err := other.Import(t.Context(), &archive, a.Manifest.ID); err != nil {
		t.Error(err)
	}
}

// On the way back from a finished migration graft stores the old binary: nothing that it says of itself
// may stand in the way.
func TestAnOddOldBinaryCanBeStored(t *testing.T) {
	s, dir := freshStore(t)
	path := filepath.Join(dir, "nginx")
	if err := os.WriteFile(path, smallELF(t, "lib\x1bodd.so"), 0o111); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, 0o4777); err != nil {
		t.Fatal(err)
	}
	b := nginx.Build{Flavor: "\xff\x00", Version: "1\n2", Configure: []string{"\x1b", "\xff"}, Conf: "/a\u202e"}
	a, err := s.PutBinary(t.Context(), path, b)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Get(a.Manifest.ID); err != nil {
		t.Error(err)
	}
}

func TestAnArtifactThatBreaksARuleIsNotReadFromTheStore(t *testing.T) {
	s, _ := freshStore(t)
	f := honest(t)
	f.manifest.Prefix = "/etc"
	f.seal()
	dir := filepath.Join(s.artifacts, f.manifest.ID)
	if err := os.MkdirAll(filepath.Join(dir, treeName), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, manifestName), f.encoded(), 0o644); err != nil {
		t.Fatal(err)
	}
	_, err := s.Get(f.manifest.ID)
	refused(t, err, RulePrefix, "prefix")
}

func sampleBuild() nginx.Build {
	return nginx.Build{Flavor: nginx.FlavorNginx, Version: "1.22.1", Configure: []string{"--with-threads"}, BuiltWith: "OpenSSL 3.0.11"}
}
