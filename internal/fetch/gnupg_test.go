package fetch_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"graft/internal/fetch"
)

// gnupg is a home with one key that signs itself and one whose subkey signs.
type gnupg struct {
	t    *testing.T
	home string
}

func newGnupg(t *testing.T) gnupg {
	t.Helper()
	if _, err := exec.LookPath("gpg"); err != nil {
		t.Skip("no gpg here; the other tests make their signatures themselves")
	}
	home, err := os.MkdirTemp("", "gpg") //nolint:usetesting // the path of its agent's socket must be short
	if err != nil {
		t.Fatal(err)
	}
	g := gnupg{t, home}
	t.Cleanup(func() {
		stop := exec.Command("gpgconf", "--kill", "all")
		stop.Env = append(os.Environ(), "GNUPGHOME="+home)
		if out, err := stop.CombinedOutput(); err != nil {
			t.Logf("%v: %s", err, out)
		}
		os.RemoveAll(home)
	})
	return g
}

func (g gnupg) run(args ...string) string {
	g.t.Helper()
	cmd := exec.CommandContext(g.t.Context(), "gpg", append([]string{"--batch", "--quiet", "--no-tty", "--pinentry-mode", "loopback", "--passphrase", ""}, args...)...)
	cmd.Env = append(os.Environ(), "GNUPGHOME="+g.home)
	out, err := cmd.CombinedOutput()
	if err != nil {
		g.t.Fatalf("gpg %v: %v: %s", args, err, out)
	}
	return string(out)
}

// key makes one and returns its fingerprint.
func (g gnupg) key(algorithm, usage string) string {
	g.t.Helper()
	id := algorithm + usage + "@example.com"
	g.run("--quick-gen-key", id, algorithm, usage, "never")
	for line := range strings.Lines(g.run("--with-colons", "--list-keys", id)) {
		if fields := strings.Split(line, ":"); fields[0] == "fpr" {
			return fields[9]
		}
	}
	g.t.Fatal("no key was made")
	return ""
}

func TestWhatGnuPGSignsIsJudgedAsItIs(t *testing.T) {
	g := newGnupg(t)
	file := written(t, "release.tar.gz", content)
	for _, tt := range []struct {
		name, algorithm, usage, subkey string
		args                           []string
		kind                           fetch.Kind // 0: good
	}{
		{"RSA 2048, SHA-256, as OpenResty's", "rsa2048", "sign,cert", "", []string{"--armor", "--digest-algo", "SHA256"}, 0},
		{"RSA 2048, SHA-1", "rsa2048", "sign,cert", "", []string{"--armor", "--digest-algo", "SHA1"}, fetch.WeakHash},
		{"RSA 2048, RIPEMD-160", "rsa2048", "sign,cert", "", []string{"--digest-algo", "RIPEMD160"}, fetch.WeakHash},
		{"RSA 2048, over text", "rsa2048", "sign,cert", "", []string{"--textmode"}, fetch.BadSignature},
		{"Ed25519, binary", "ed25519", "sign,cert", "", nil, 0},
		{"P-384", "nistp384", "sign,cert", "", nil, 0},
		{"subkey", "ed25519", "cert", "rsa2048", []string{"--armor"}, 0},
		{"DSA", "dsa2048", "sign,cert", "", nil, fetch.WrongKey},
	} {
		t.Run(tt.name, func(t *testing.T) {
			g.t = t
			fpr := g.key(tt.algorithm, tt.usage)
			defer g.run("--yes", "--delete-secret-and-public-key", fpr)
			if tt.subkey != "" {
				g.run("--quick-add-key", fpr, tt.subkey, "sign", "never")
			}
			dir := t.TempDir()
			asc, keyFile := filepath.Join(dir, "asc"), filepath.Join(dir, "key.asc")
			g.run(append([]string{"--local-user", fpr, "--output", asc, "--detach-sign"}, append(tt.args, file)...)...)
			g.run("--armor", "--output", keyFile, "--export", fpr)

			keys, err := fetch.ReadKeys(keyFile)
			if tt.kind == fetch.WrongKey {
				if err == nil {
					t.Error("the key is trusted")
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			got, err := keys.Verify(t.Context(), file, asc)
			switch {
			case tt.kind != 0:
				refused(t, err, tt.kind)
			case err != nil:
				t.Error(err)
			case tt.subkey == "" && (got.Fingerprint != fpr || got.Primary != ""),
				tt.subkey != "" && (got.Primary != fpr || got.Fingerprint == fpr),
				time.Since(got.Created).Abs() > time.Hour:
				t.Errorf("%+v", got)
			}
		})
	}
}
