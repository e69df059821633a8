package preflight

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"graft/internal/artifact"
	"graft/internal/nginx"
	"graft/internal/nginxtest"
)

func TestArgv0Relative(t *testing.T) {
	target := hardened(t)
	t.Run("started through PATH", func(t *testing.T) {
		inst := nginxtest.Start(t, nginxtest.Options{Args: []string{"nginx", "-p", "{{.Prefix}}", "-c", "{{.Conf}}"}})
		found(t, run(t, subject(t, inst, target)), "argv0-relative", Blocker, `"nginx"`, "PATH", "execve()")

		inst.Signal(t, inst.MasterPID, syscall.SIGUSR2)
		eventually(t, "execve() fails", func() bool {
			return strings.Contains(inst.ErrorLogText(t), `execve() failed while executing new binary process "nginx" (2: No such file or directory)`)
		})
	})
	t.Run("relative with a slash", func(t *testing.T) {
		inst := nginxtest.Start(t, nginxtest.Options{Args: []string{"./sbin/nginx", "-p", "{{.Prefix}}", "-c", "{{.Conf}}"}})
		found(t, run(t, subject(t, inst, target)), "argv0-relative", Note, inst.Exe, inst.Prefix)

		upgrade(t, inst, 2) // execve() finds it
	})
	t.Run("nothing there", func(t *testing.T) {
		inst := nginxtest.Start(t, nginxtest.Options{})
		if err := os.Rename(inst.Exe, inst.Exe+".moved"); err != nil {
			t.Fatal(err)
		}
		checks := run(t, subject(t, inst, target))
		found(t, checks, "argv0-relative", Blocker, inst.Exe, "no such file")
		found(t, checks, "text-file-busy", Blocker, inst.Exe)
	})
	t.Run("a link", func(t *testing.T) {
		inst := nginxtest.Start(t, nginxtest.Options{})
		if err := os.Rename(inst.Exe, inst.Exe+".real"); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink("nginx.real", inst.Exe); err != nil {
			t.Fatal(err)
		}
		checks := run(t, subject(t, inst, target))
		found(t, checks, "argv0-relative", OK, "a link to "+inst.Exe+".real")
		found(t, checks, "text-file-busy", OK, inst.Exe+".real")
	})
}

func TestTextFileBusy(t *testing.T) {
	inst := nginxtest.Start(t, nginxtest.Options{})
	target := hardened(t)
	replace := func(from string) {
		t.Helper()
		data, err := os.ReadFile(from)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(inst.Exe, data, 0o755); err == nil {
			t.Fatal("the running binary was written over")
		}
		if err := os.WriteFile(inst.Exe+".new", data, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(inst.Exe+".new", inst.Exe); err != nil {
			t.Fatal(err)
		}
	}
	replace(inst.Binary.Path)
	found(t, run(t, subject(t, inst, target)), "text-file-busy", Note, "content is the same")
	if err := os.Remove(inst.Exe); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		from string
		want Severity
		word string
	}{
		{target.Path, Note, "the target already"},
		{nginxtest.Release(t, "1.18.0").Path, Blocker, "replaced it"},
	} {
		data, err := os.ReadFile(tt.from)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(inst.Exe, data, 0o755); err != nil {
			t.Fatal(err)
		}
		found(t, run(t, subject(t, inst, target)), "text-file-busy", tt.want, tt.word)
	}
}

// packaged is a configuration as a distribution's nginx has it: it relies on the compiled-in prefix and
// pid path.
const packaged = `worker_processes 1;
error_log {{.ErrorLog}} notice;
events {}
http {
	access_log off;
	server {
		listen 127.0.0.1:{{.Port "http"}};
		location /files/ { root html; }
	}
	server {
		listen 127.0.0.1:{{.Port "other"}};
		return 204;
	}
}
`

// startPackaged starts Debian's nginx as its package would: everything compiled in, args apart.
func startPackaged(t testing.TB, config string, args ...string) *nginxtest.Instance {
	t.Helper()
	return nginxtest.Start(t, nginxtest.Options{
		Config: config, Conf: "/etc/nginx/nginx.conf", PidFile: "/run/nginx.pid",
		Args: append([]string{"{{.Exe}}"}, args...),
	})
}

func TestArgvReused(t *testing.T) {
	t.Run("no -c, and another conf path compiled in", func(t *testing.T) {
		inst := startPackaged(t, packaged, "-g", "daemon on;")
		checks := run(t, subject(t, inst, nginxtest.Foreign(t)))
		found(t, checks, "argv-reused", Blocker, "/usr/local/openresty/nginx/conf/nginx.conf", "/etc/nginx/nginx.conf")
		found(t, run(t, subject(t, inst, hardened(t))), "argv-reused", OK)
	})
	t.Run("-e, and a target that does not know it", func(t *testing.T) {
		inst := nginxtest.Start(t, nginxtest.Options{
			Args: []string{"{{.Exe}}", "-p", "{{.Prefix}}", "-c", "{{.Conf}}", "-e", "{{.ErrorLog}}"},
		})
		s := subject(t, inst, nginxtest.Release(t, "1.18.0"))
		found(t, run(t, s), "argv-reused", Blocker, "-e", "1.18.0")
		// nginx 1.18.0 itself says so, whatever its version is taken for.
		e, err := examine(t.Context(), s)
		if err != nil {
			t.Fatal(err)
		}
		if r := classify(e.newTest.output); r.trap != "argv-reused" {
			t.Errorf("-t was taken for %q: %s", r.trap, e.newTest.output)
		}
		found(t, run(t, subject(t, inst, nginxtest.Release(t, "1.26.3"))), "argv-reused", OK)
	})
	t.Run("in doubt", func(t *testing.T) {
		s := subject(t, nginxtest.Start(t, nginxtest.Options{}), hardened(t))
		s.Instance.ArgvDoubt = "the title may be cut"
		found(t, run(t, s), "argv-reused", Warning, "the title may be cut")
		s.Instance.PidFile.Holds = 0
		found(t, run(t, s), "argv-reused", Blocker, "the title may be cut")
	})
}

func TestPidPathDiffers(t *testing.T) {
	inst := startPackaged(t, packaged, "-c", "/etc/nginx/nginx.conf")
	found(t, run(t, subject(t, inst, nginxtest.Foreign(t))), "pid-path-differs", Blocker, "/run/nginx.pid", "/usr/local/openresty/nginx/logs/nginx.pid")
	found(t, run(t, subject(t, inst, hardened(t))), "pid-path-differs", OK)
}

// needing is a copy of the target whose libpcre goes by another name, of the same length.
func needing(t *testing.T, target nginxtest.Binary, library string) artifact.Artifact {
	t.Helper()
	b, err := nginx.Ask(t.Context(), target.Path)
	if err != nil {
		t.Fatal(err)
	}
	return storeAs(t, patched(t, target, library), b)
}

func patched(t *testing.T, target nginxtest.Binary, library string) string {
	t.Helper()
	const pcre = "libpcre.so.3"
	data, err := os.ReadFile(target.Path)
	if err != nil {
		t.Fatal(err)
	}
	if len(library) != len(pcre) || bytes.Count(data, []byte(pcre+"\x00")) != 1 {
		t.Fatalf("cannot put %q in the place of %s", library, pcre)
	}
	path := filepath.Join(t.TempDir(), "nginx")
	if err := os.WriteFile(path, bytes.Replace(data, []byte(pcre), []byte(library), 1), 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

// pcreFile is where this host has the library.
func pcreFile(t *testing.T) string {
	t.Helper()
	matches, err := filepath.Glob("/lib/*-linux-gnu/libpcre.so.3")
	if err != nil || len(matches) == 0 {
		t.Fatalf("no libpcre here: %v", err)
	}
	return matches[0]
}

func TestLibraryMissing(t *testing.T) {
	s := subject(t, nginxtest.Start(t, nginxtest.Options{}), hardened(t))
	s.Target = needing(t, hardened(t), "libnone.so.9")
	checks := run(t, s)
	found(t, checks, "library-missing", Blocker, "libnone.so.9")
	for _, unknown := range []string{"config-test", "module-lost", "env-stripped"} {
		found(t, checks, unknown, Warning, "not known", "libnone.so.9")
	}
}

func TestLibraryOfTheRuntimeIsFoundWhereItWillBe(t *testing.T) {
	const prefix, library = "/opt/g", "/opt/g/p.so3" // a path in DT_NEEDED is taken as it is
	target := hardened(t)
	b, err := nginx.Ask(t.Context(), target.Path)
	if err != nil {
		t.Fatal(err)
	}
	tree := t.TempDir()
	for from, to := range map[string]string{patched(t, target, library): "sbin/nginx", pcreFile(t): library} {
		data, err := os.ReadFile(from)
		if err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(tree, to), string(data))
		if err := os.Chmod(filepath.Join(tree, to), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	st, err := artifact.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	s := subject(t, nginxtest.Start(t, nginxtest.Options{}), target)
	s.Target, err = st.Put(t.Context(), tree, artifact.Manifest{
		Name: "with a runtime", Flavor: b.Flavor, Version: b.Version, Build: b, Binary: "sbin/nginx", Prefix: prefix,
		Source: artifact.Source{Kind: "tree", Location: tree},
	})
	if err != nil {
		t.Fatal(err)
	}
	checks := run(t, s)
	found(t, checks, "library-missing", OK)
	found(t, checks, "config-test", OK)
	found(t, checks, "staging-conflict", OK)
	if _, err := os.Stat(prefix); err == nil {
		t.Errorf("%s was left on the host", prefix)
	}

	write(t, library, "of somebody else")
	t.Cleanup(func() {
		if err := os.RemoveAll(prefix); err != nil {
			t.Error(err)
		}
	})
	found(t, run(t, s), "staging-conflict", Blocker, library)
}

func TestEnvStripped(t *testing.T) {
	s := subject(t, nginxtest.Start(t, nginxtest.Options{Config: "env LD_PRELOAD_SETTINGS;\n" + nginxtest.Realistic}), hardened(t))
	found(t, run(t, s), "env-stripped", Note, "LD_PRELOAD_SETTINGS")

	libraries := t.TempDir()
	if err := os.Symlink(pcreFile(t), filepath.Join(libraries, "libnone.so.9")); err != nil {
		t.Fatal(err)
	}
	t.Setenv("LD_LIBRARY_PATH", libraries)
	s.Target = needing(t, hardened(t), "libnone.so.9")
	checks := run(t, s)
	found(t, checks, "env-stripped", Blocker, "LD_LIBRARY_PATH="+libraries, "libnone.so.9")
	found(t, checks, "library-missing", Blocker, "libnone.so.9")
}
