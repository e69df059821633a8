package cli_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"graft/internal/nginx"
	"graft/internal/nginxtest"
	"graft/internal/rehearse"
)

// nobody is a user who owns nothing but what the test gives him.
const nobody = 65534

// asNobody runs a program as that user.
func (h *host) asNobody(name string, args ...string) (stdout, stderr string, code int) {
	h.t.Helper()
	cmd := exec.CommandContext(h.t.Context(), name, args...)
	cmd.Dir = h.inst.Prefix
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + h.inst.Prefix}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	var out, words bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &words
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		h.t.Fatalf("%s: %v", name, err)
	}
	return out.String(), words.String(), cmd.ProcessState.ExitCode()
}

// An nginx that its owner runs without root is rehearsed and migrated by him, in user namespaces.
func TestTheOwnerRehearsesInUserNamespaces(t *testing.T) {
	config := strings.Replace(nginxtest.Realistic, "user {{.User}};\n", "", 1)
	h := &host{t: t, inst: nginxtest.Prepare(t, nginxtest.Options{Config: config}), state: ""}
	h.state = filepath.Join(h.inst.Prefix, "state")
	program, target := filepath.Join(h.inst.Prefix, "graft"), filepath.Join(h.inst.Prefix, "target")
	for from, to := range map[string]string{graftPath(): program, nginxtest.Release(t, "1.26.3").Path: target} {
		data, err := os.ReadFile(from)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(to, data, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	openResty := h.openResty()
	if err := filepath.WalkDir(h.inst.Prefix, func(path string, _ fs.DirEntry, err error) error {
		return errors.Join(err, os.Lchown(path, nobody, nobody))
	}); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.CommandContext(t.Context(), "setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "unshare", "--user", "true").CombinedOutput(); err != nil {
		t.Skipf("no user namespaces for ordinary users here: %v: %s", err, out)
	}
	if _, words, code := h.asNobody(h.inst.Exe, "-p", h.inst.Prefix+"/", "-c", h.inst.Conf, "-e", h.inst.ErrorLog); code != 0 {
		t.Fatalf("start nginx: %s", words)
	}
	h.eventually("nginx runs", func() bool {
		pid, err := nginx.ReadPidFile(h.inst.PidFile)
		h.inst.MasterPID = pid
		return err == nil
	})
	// The tests' own sandbox covers parts of /proc, and the kernel lets no ordinary user mount one that
	// would show more than is to be seen already.
	proc := t.TempDir()
	if err := syscall.Mount("proc", proc, "proc", 0, ""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Unmount(proc, syscall.MNT_DETACH) })
	closed := t.TempDir()
	if err := os.Chmod(closed, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{closed, filepath.Join(closed, "below"), "/var/lib/of-graft"} {
		if _, words, code := h.asNobody(program, "status", "--state-dir", dir); code != 1 || !strings.Contains(words, "--state-dir or GRAFT_STATE_DIR") {
			t.Errorf("a state directory that is closed to him, %s: exit %d\n%s", dir, code, words)
		}
	}
	blocked, _, code := h.asNobody(program, "plan", "-v", "--to", openResty, "--state-dir", h.state, "--pid-file", h.inst.PidFile)
	told := strings.Join(strings.Fields(blocked), " ")
	if code != 4 || !strings.Contains(told, "blocker permissions the runtime cannot be placed at /usr/local/openresty") || !strings.Contains(told, "graft build --openresty-prefix DIR") {
		t.Errorf("plan of a runtime that he cannot place: exit %d\n%s", code, blocked)
	}
	load := light(t, h.inst)
	load.warm()
	plan := filepath.Join(h.inst.Prefix, "plan.json")
	if out, words, code := h.asNobody(program, "plan", "--to", target, "--out", plan, "--state-dir", h.state, "--pid-file", h.inst.PidFile); code != 0 {
		t.Fatalf("plan: exit %d\n%s%s", code, words, out)
	}
	out, words, code := h.asNobody(program, "rehearse", plan, "-o", "json", "--state-dir", h.state)
	var r rehearse.Result
	if err := json.Unmarshal([]byte(out), &r); err != nil || code != 0 {
		t.Fatalf("rehearse: exit %d, %v\n%s%s", code, err, words, out)
	}
	if !r.Green || r.Sandbox != "user namespaces" || len(r.Acts) != 7 || r.Parity.Requests == 0 {
		t.Errorf("%+v", r)
	}
	if out, words, code := h.asNobody(program, append([]string{"apply", plan, "--state-dir", h.state}, quick...)...); code != 0 {
		t.Fatalf("apply: exit %d\n%s%s", code, words, out)
	}
	load.lostNothing()
	if got, want := h.sha256(h.inst.Exe), h.sha256(target); got != want {
		t.Errorf("the binary on disk is %s, want %s", got, want)
	}
}
