package cli_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"graft/internal/cli/clitest"
	"graft/internal/nginxtest"
)

// The tests here run graft as its users do, the program and a real nginx, and read what it prints.
func TestMain(m *testing.M) { nginxtest.Main(m, clitest.BuildGraft, clitest.BuildOpenResty) }

func graftPath() string { return clitest.Graft() }

func execute(cmd *exec.Cmd) error {
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", strings.Join(cmd.Args, " "), err, out)
	}
	return nil
}

// openResty is the ID of the OpenResty equivalent, which is then in the host's store.
func (h *host) openResty() string {
	h.t.Helper()
	id, err := clitest.OpenResty(h.state)
	if err != nil {
		h.t.Fatal(err)
	}
	return id
}

// host is an instance, and graft's state for it.
type host struct {
	t     testing.TB
	inst  *nginxtest.Instance
	state string
}

func newHost(t testing.TB, opts nginxtest.Options) *host {
	t.Helper()
	return &host{t: t, inst: nginxtest.Start(t, opts), state: t.TempDir()}
}

// result is what one run of graft came to.
type result struct {
	args           []string
	code           int
	stdout, stderr string
}

func (r result) String() string {
	return fmt.Sprintf("graft %s: exit %d\n%s%s", strings.Join(r.args, " "), r.code, r.stderr, r.stdout)
}

// graft runs the program.
func (h *host) graft(args ...string) result { return h.graftEnv(nil, args...) }

func (h *host) graftEnv(env []string, args ...string) result {
	h.t.Helper()
	ctx, cancel := context.WithTimeout(h.t.Context(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, graftPath(), append(args, "--state-dir", h.state)...)
	cmd.Env = append(os.Environ(), env...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		h.t.Fatalf("graft %s: %v", strings.Join(args, " "), err)
	}
	return result{args, cmd.ProcessState.ExitCode(), stdout.String(), stderr.String()}
}

// must runs the program and fails the test unless it exits with the code.
func (h *host) must(code int, args ...string) result {
	h.t.Helper()
	r := h.graft(args...)
	if r.code != code {
		h.t.Fatalf("want exit %d: %s\nnginx's error log:\n%s", code, r, h.inst.ErrorLogText(h.t))
	}
	return r
}

// plan saves a plan to the target and returns its file.
func (h *host) plan(to string) string {
	h.t.Helper()
	file := filepath.Join(h.state, "plan.json")
	h.must(0, "plan", "--to", to, "--out", file, "--pid-file", h.inst.PidFile)
	return file
}

// quick are gates short enough for tests; they still ask for probes.
var quick = []string{"--overlap", "500ms", "--park", "500ms", "--min-requests", "0", "--probe-rate", "20", "--patience", "20s"}

// with adds them. What the tests of a migration change would not pass a rehearsal, so none is asked for;
// those of the rehearsal itself say so in their own words.
func with(args ...string) []string {
	if args[0] == "apply" && !slices.Contains(args, "--no-rehearsal") {
		args = append(args, "--no-rehearsal")
	}
	return append(args, quick...)
}

// status is what graft status -o json tells.
func (h *host) status() (s struct {
	Phase     string
	Migration string
	Running   bool
}) {
	h.t.Helper()
	r := h.must(0, "status", "-o", "json")
	if err := json.Unmarshal([]byte(r.stdout), &s); err != nil {
		h.t.Fatalf("%v in %s", err, r)
	}
	return s
}

// phase checks what graft status says, and that the host bears it out.
func (h *host) phase(want string) {
	h.t.Helper()
	if got := h.status().Phase; got != want {
		h.t.Fatalf("phase %s, want %s\n%s", got, want, h.must(0, "history"))
	}
}
