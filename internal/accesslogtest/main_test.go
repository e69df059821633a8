package accesslogtest

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"graft/internal/cli/clitest"
	"graft/internal/nginxtest"
)

// The tests here have every nginx at hand write logs, of requests that a kind client would never send,
// and read each line back.
func TestMain(m *testing.M) { nginxtest.Main(m, clitest.BuildGraft, clitest.BuildOpenResty) }

// nginxes are all that there are to be had.
func nginxes(t *testing.T) map[string]nginxtest.Binary {
	t.Helper()
	return map[string]nginxtest.Binary{
		"Debian's nginx": nginxtest.Debian(t),
		"nginx 1.18.0":   nginxtest.Release(t, "1.18.0"),
		"nginx 1.22.1":   nginxtest.Release(t, "1.22.1"),
		"nginx 1.26.3":   nginxtest.Release(t, "1.26.3"),
		"OpenResty":      openResty(t),
	}
}

// openResty is the distribution's OpenResty equivalent, laid where it has to be.
func openResty(t *testing.T) nginxtest.Binary {
	t.Helper()
	state := t.TempDir()
	id, err := clitest.OpenResty(state)
	if err != nil {
		t.Fatal(err)
	}
	from := filepath.Join(state, "artifacts", id, "tree/usr/local/openresty")
	t.Cleanup(func() {
		if err := os.RemoveAll("/usr/local/openresty"); err != nil {
			t.Error(err)
		}
	})
	if out, err := exec.CommandContext(t.Context(), "cp", "-aT", from, "/usr/local/openresty").CombinedOutput(); err != nil {
		t.Fatal(errors.Join(err, errors.New(string(out))))
	}
	return nginxtest.Binary{Path: filepath.Join(from, "nginx/sbin/nginx")}
}
