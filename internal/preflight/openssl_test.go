package preflight

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"graft/internal/nginx"
	"graft/internal/nginxtest"
)

// compiledFor is the target as if it was compiled with another OpenSSL: the text that it compares with what
// it runs with, of the same length.
func compiledFor(t *testing.T, target nginxtest.Binary, version string) nginxtest.Binary {
	t.Helper()
	const have = "OpenSSL 3.0."
	data := []byte(read(t, target.Path))
	if n := bytes.Count(data, []byte(have)); n == 0 || len(version) != len("3.0.") {
		t.Fatalf("%d times %q", n, have)
	}
	path := filepath.Join(t.TempDir(), "nginx")
	write(t, path, string(bytes.ReplaceAll(data, []byte(have), []byte("OpenSSL "+version))))
	if err := os.Chmod(path, 0o755); err != nil {
		t.Fatal(err)
	}
	return nginxtest.Binary{Path: path, Version: target.Version}
}

// bare is a target without TLS, and without most modules.
func bare(t *testing.T) nginxtest.Binary {
	return nginxtest.Build(t, nginxtest.Source(t, "1.22.1"), "--without-http_rewrite_module", "--without-http_gzip_module", "--with-cc-opt=-O0 -Wno-error")
}

func TestOpensslAbi(t *testing.T) {
	inst := nginxtest.Start(t, nginxtest.Options{})
	s := subject(t, inst, hardened(t))
	found(t, run(t, s), "openssl-abi", OK, "built with OpenSSL 3.0.", "runs with OpenSSL 3.0.", "/libssl.so.3")

	found(t, run(t, subject(t, inst, compiledFor(t, hardened(t), "1.1."))), "openssl-abi", Warning, "built with OpenSSL 1.1.", "runs with OpenSSL 3.0.", "another library or series")
	found(t, run(t, subject(t, inst, compiledFor(t, hardened(t), "3.9."))), "openssl-abi", Warning, "built with OpenSSL 3.9.", "older minor release")

	s.Instance.Build.BuiltWith = "OpenSSL 1.1.1n  15 Mar 2022"
	found(t, run(t, s), "openssl-abi", Note, "the running binary has OpenSSL 1.1.1n")

	e, err := examine(t.Context(), subject(t, inst, bare(t)))
	if err != nil {
		t.Fatal(err)
	}
	wantCheck(t, opensslABI(e), OK, "the target has no TLS library", "the running binary has OpenSSL")
}

func TestOpensslAbiOfALibraryThatWasReplaced(t *testing.T) {
	dir := t.TempDir()
	matches, err := filepath.Glob("/usr/lib/*-linux-gnu/libssl.so.3")
	if err != nil || len(matches) == 0 {
		t.Fatalf("no libssl.so.3: %v", err)
	}
	library := filepath.Join(dir, "libssl.so.3")
	write(t, library, read(t, matches[0]))
	inst := nginxtest.Start(t, nginxtest.Options{Env: []string{"LD_LIBRARY_PATH=" + dir}})
	s := subject(t, inst, hardened(t))
	if c := run(t, s)["openssl-abi"]; c.Severity != OK {
		t.Errorf("%v: %s", c.Severity, c.Evidence)
	}
	if err := os.Remove(library); err != nil { // as an upgrade of the library does
		t.Fatal(err)
	}
	found(t, run(t, s), "openssl-abi", Note, "still runs with "+library)
}

func TestTLSLibrariesOfV(t *testing.T) {
	for line, want := range map[string]string{
		"OpenSSL 3.0.20 7 Apr 2026 (running with OpenSSL 3.0.19 27 Jan 2026)":             "OpenSSL 3.0.20, OpenSSL 3.0.19",
		"OpenSSL 1.0.2g  1 Mar 2016":                                                      "OpenSSL 1.0.2g, OpenSSL 1.0.2g",
		"OpenSSL 1.1.1 (compatible; BoringSSL) (running with BoringSSL)":                  "OpenSSL 1.1.1, OpenSSL 1.1.1",
		"OpenSSL 1.0.1e-fips 11 Feb 2013 (running with OpenSSL 1.0.2k-fips  26 Jan 2017)": "OpenSSL 1.0.1e-fips, OpenSSL 1.0.2k-fips",
		"LibreSSL 3.8.2": "LibreSSL 3.8.2, LibreSSL 3.8.2",
		"":               "none",
	} {
		built, running, ok := tlsLibraries(line)
		got := built.String() + ", " + running.String()
		if !ok {
			got = "none"
		}
		if got != want {
			t.Errorf("%q: %s, want %s", line, got, want)
		}
	}
	for _, tt := range []struct {
		a, b tlsLibrary
		same bool
	}{
		{tlsLibrary{"OpenSSL", "3.0.19"}, tlsLibrary{"OpenSSL", "3.5.4"}, true},
		{tlsLibrary{"OpenSSL", "1.1.1n"}, tlsLibrary{"OpenSSL", "1.1.1w"}, true},
		{tlsLibrary{"OpenSSL", "1.0.2k-fips"}, tlsLibrary{"OpenSSL", "1.0.2u"}, true},
		{tlsLibrary{"OpenSSL", "1.0.2k"}, tlsLibrary{"OpenSSL", "1.1.1w"}, false},
		{tlsLibrary{"OpenSSL", "1.1.1w"}, tlsLibrary{"OpenSSL", "3.0.2"}, false},
		{tlsLibrary{"LibreSSL", "3.8.2"}, tlsLibrary{"LibreSSL", "3.9.0"}, false},
	} {
		if got := tt.a.series() == tt.b.series(); got != tt.same {
			t.Errorf("%v and %v: one series %v", tt.a, tt.b, got)
		}
	}
	if c := opensslABI(&examination{newHelp: outcome{ran: true}, build: nginx.Build{}}); c.Severity != OK || !strings.Contains(c.Evidence, "neither") {
		t.Errorf("%v: %s", c.Severity, c.Evidence)
	}
}
