package cli_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"graft/internal/artifact"
	"graft/internal/nginx"
	"graft/internal/nginxtest"
)

// elsewhere is another host's state: nothing runs there.
func elsewhere(t testing.TB) *host {
	t.Helper()
	return &host{t: t, state: t.TempDir()}
}

// store puts a binary of its own with a small runtime into the host's store, and returns the ID.
func (h *host) store(name string) string {
	h.t.Helper()
	release := nginxtest.Release(h.t, "1.26.3").Path
	built, err := nginx.Ask(h.t.Context(), release)
	if err != nil {
		h.t.Fatal(err)
	}
	tree := h.t.TempDir()
	for _, dir := range []string{"opt/rt/sbin", "opt/rt/lualib"} {
		if err := os.MkdirAll(filepath.Join(tree, dir), 0o755); err != nil {
			h.t.Fatal(err)
		}
	}
	binary, err := os.ReadFile(release)
	if err != nil {
		h.t.Fatal(err)
	}
	for path, content := range map[string]string{"opt/rt/sbin/nginx": string(binary) + name, "opt/rt/lualib/name.lua": name} {
		if err := os.WriteFile(filepath.Join(tree, path), []byte(content), 0o755); err != nil {
			h.t.Fatal(err)
		}
	}
	s, err := artifact.Open(h.state)
	if err != nil {
		h.t.Fatal(err)
	}
	a, err := s.Put(h.t.Context(), tree, artifact.Manifest{
		Name: name, Flavor: built.Flavor, Version: built.Version, Build: built, Binary: "opt/rt/sbin/nginx", Prefix: "/opt/rt",
		Source: artifact.Source{Kind: "tarball", Location: "nginx-1.26.3.tar.gz", Signature: &artifact.Signature{Status: artifact.SignatureNone}},
	})
	if err != nil {
		h.t.Fatal(err)
	}
	return a.Manifest.ID
}

// piped runs graft in a directory with a standard input, and returns its standard output as it is.
func (h *host) piped(dir string, in io.Reader, args ...string) ([]byte, result) {
	h.t.Helper()
	ctx, cancel := context.WithTimeout(h.t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, graftPath(), append(args, "--state-dir", h.state)...)
	var stdout, stderr bytes.Buffer
	cmd.Dir, cmd.Stdin, cmd.Stdout, cmd.Stderr = dir, in, &stdout, &stderr
	_ = cmd.Run()
	return stdout.Bytes(), result{args, cmd.ProcessState.ExitCode(), "", stderr.String()}
}

// expect fails the test unless graft exits with the code.
func (h *host) expect(code int, args ...string) result {
	h.t.Helper()
	r := h.graft(args...)
	if r.code != code {
		h.t.Fatalf("want exit %d: %s", code, r)
	}
	return r
}

// holds are the IDs that artifact list shows.
func (h *host) holds() []string {
	h.t.Helper()
	var list struct{ Artifacts []struct{ ID string } }
	if err := json.Unmarshal([]byte(h.graft("artifact", "list", "-o", "json").stdout), &list); err != nil {
		h.t.Fatal(err)
	}
	ids := make([]string, len(list.Artifacts))
	for i, a := range list.Artifacts {
		ids[i] = a.ID
	}
	return ids
}

func TestAnArtifactBuiltElsewhereIsImportedAndMigratedTo(t *testing.T) {
	builder := elsewhere(t)
	id := builder.openResty()
	dir := t.TempDir()
	out, r := builder.piped(dir, nil, "artifact", "export", id[:12], "-o", "json")
	if r.code != 0 {
		t.Fatal(r)
	}
	var exported struct{ Artifact, File, SHA256 string }
	if err := json.Unmarshal(out, &exported); err != nil || exported.Artifact != id || !strings.Contains(exported.File, id[:12]+".tar.zst") {
		t.Fatalf("%v in %s", err, out)
	}
	file := filepath.Join(dir, exported.File)
	h := newHost(t, nginxtest.Options{Binary: nginxtest.Debian(t)})
	if sum := h.sha256(file); sum != exported.SHA256 {
		t.Errorf("the file hashes to %s, told was %s", sum, exported.SHA256)
	}
	before := h.sha256(h.inst.Exe)
	load := light(t, h.inst)
	load.warm()
	if r := h.must(0, "artifact", "import", file, "--expect", id); strings.TrimSpace(r.stdout) != id {
		t.Errorf("imported: %s", r)
	}
	h.must(0, "artifact", "verify", id)
	h.must(0, with("apply", h.plan(id[:12]))...)
	h.phase("finished")
	h.serveLua()
	h.must(0, "rollback")
	load.lostNothing()
	h.oneMaster(before)
}

func TestAnEmptyStoreSaysSo(t *testing.T) {
	h := elsewhere(t)
	if r := h.must(0, "artifact", "list"); r.stdout != "none\n" {
		t.Errorf("%s", r)
	}
	if r := h.must(0, "artifact", "list", "-o", "jsonl"); r.stdout != `{"artifacts":[]}`+"\n" {
		t.Errorf("%s", r)
	}
	id := h.store("one")
	if r := h.must(0, "artifact", "list"); !strings.HasPrefix(r.stdout, id[:12]) || strings.Contains(r.stdout, "none") {
		t.Errorf("%s", r)
	}
}

func TestAnExportNeverOverwritesUnasked(t *testing.T) {
	h := elsewhere(t)
	id := h.store("nginx one")
	file := filepath.Join(t.TempDir(), "a.tar.zst")
	if err := os.WriteFile(file, []byte("precious"), 0o644); err != nil {
		t.Fatal(err)
	}
	if r := h.expect(1, "artifact", "export", id, "--out", file); !strings.Contains(r.stderr, "--force") {
		t.Errorf("the way out is not told: %s", r)
	}
	if text, err := os.ReadFile(file); err != nil || string(text) != "precious" {
		t.Errorf("the file holds %q, %v", text, err)
	}
	h.expect(0, "artifact", "export", id, "--out", file, "--force")
	h.expect(0, "artifact", "import", file)
	null := filepath.Join(t.TempDir(), "null")
	if err := os.Symlink("/dev/null", null); err != nil {
		t.Fatal(err)
	}
	for _, out := range []string{"/dev/null", null, t.TempDir()} {
		h.expect(1, "artifact", "export", id, "--out", out, "--force")
	}
	if left, err := os.ReadDir(filepath.Dir(file)); err != nil || len(left) != 1 {
		t.Errorf("left beside: %v, %v", left, err)
	}
}

func TestArtifactsTravelThroughAPipe(t *testing.T) {
	from, to := elsewhere(t), elsewhere(t)
	id := from.store("nginx one")
	archive, r := from.piped("", nil, "artifact", "export", id, "--out", "-")
	if r.code != 0 {
		t.Fatal(r)
	}
	if again, _ := from.piped("", nil, "artifact", "export", id, "--out", "-", "-o", "json"); !bytes.Equal(archive, again) {
		t.Error("standard output holds other bytes the second time")
	}
	for _, want := range []string{`"already": false`, `"already": true`} {
		out, r := to.piped("", bytes.NewReader(archive), "artifact", "import", "-", "--expect", id, "-o", "json")
		if r.code != 0 || !strings.Contains(string(out), want) {
			t.Errorf("want %s: %s\n%s", want, r, out)
		}
	}
	if _, r := to.piped("", bytes.NewReader(archive), "artifact", "import", "-"); !strings.Contains(r.stderr, "warning") {
		t.Errorf("without --expect nothing warns: %s", r)
	}
}

func TestWhatCannotBeImportedIsToldWithTheRule(t *testing.T) {
	from, to := elsewhere(t), elsewhere(t)
	id := from.store("nginx one")
	archive, _ := from.piped("", nil, "artifact", "export", id, "--out", "-")
	dir := t.TempDir()
	write := func(name string, data []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, data, 0o644); err != nil {
			t.Fatal(err)
		}
		return path
	}
	whole, cut := write("whole", archive), write("cut", archive[:len(archive)-1])
	other := strings.Repeat("0", 64)
	for _, bad := range []struct {
		code int
		args []string
		want string
	}{
		{1, []string{cut}, `"archive"`},
		{1, []string{whole, "--expect", other}, `"expect"`},
		{2, []string{whole, "--expect", id[:12]}, "64"},
		{1, []string{write("text", []byte("hello, this is no archive"))}, "graft artifact export"},
		{1, []string{filepath.Join(dir, "none")}, "none"},
		{2, []string{dir}, "regular"},
		{2, nil, "usage"},
	} {
		r := to.graft(append([]string{"artifact", "import"}, bad.args...)...)
		if r.code != bad.code || !strings.Contains(r.stderr, bad.want) {
			t.Errorf("want exit %d and %q: %s", bad.code, bad.want, r)
		}
		if ids := to.holds(); len(ids) != 0 {
			t.Errorf("imported all the same: %v", ids)
		}
	}
	r := to.expect(1, "artifact", "import", cut, "-o", "json")
	var failure struct {
		Error string
		Exit  int
	}
	if err := json.Unmarshal([]byte(r.stdout), &failure); err != nil || failure.Exit != 1 || failure.Error == "" {
		t.Errorf("%v in %s", err, r)
	}
}

func TestAnImportThatWaitsForAPipeEndsWhenAsked(t *testing.T) {
	h := elsewhere(t)
	in, out, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	defer out.Close()
	cmd := exec.CommandContext(t.Context(), graftPath(), "artifact", "import", "-", "--state-dir", h.state)
	cmd.Stdin = in
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	h.eventually("the import has begun", func() bool {
		drafts, _ := filepath.Glob(filepath.Join(h.state, "artifacts", ".put-*"))
		return len(drafts) == 1
	})
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	if code := cmd.ProcessState.ExitCode(); code != 130 {
		t.Errorf("exit %d, want 130", code)
	}
	if left, err := os.ReadDir(filepath.Join(h.state, "artifacts")); err != nil || len(left) != 0 {
		t.Errorf("left: %v, %v", left, err)
	}
}

func TestAnImportKilledAtItsEndIsThereWholeOrNotAtAll(t *testing.T) {
	from := elsewhere(t)
	id := from.store("nginx one")
	file := filepath.Join(t.TempDir(), "a.tar.zst")
	from.expect(0, "artifact", "export", id, "--out", file)
	for point, there := range map[string]bool{"before-rename-manifest": false, "before-rename-artifact": false, "after-rename-artifact": true} {
		h := elsewhere(t)
		if r := h.graftEnv([]string{"GRAFT_FAULT=" + point}, "artifact", "import", file); r.code != -1 {
			t.Fatalf("not killed at %s: %s", point, r)
		}
		if ids := h.holds(); (len(ids) == 1) != there {
			t.Errorf("killed at %s: the store holds %v", point, ids)
		}
		h.expect(0, "artifact", "import", file, "--expect", id)
		h.expect(0, "artifact", "verify", id)
		h.expect(0, "artifact", "prune", "--keep", "1", "--yes")
		if left, err := os.ReadDir(filepath.Join(h.state, "artifacts")); err != nil || len(left) != 1 {
			t.Errorf("killed at %s, pruned, left: %v, %v", point, left, err)
		}
	}
}

func TestOneUnreadableArtifactDoesNotHideTheOthers(t *testing.T) {
	h := elsewhere(t)
	good, bad := h.store("nginx good"), h.store("nginx bad")
	if err := os.Truncate(filepath.Join(h.state, "artifacts", bad, "manifest.json"), 100); err != nil {
		t.Fatal(err)
	}
	r := h.expect(1, "artifact", "list")
	if !strings.Contains(r.stdout, "nginx good") || !strings.Contains(r.stdout, bad[:12]+"  cannot be read") || !strings.Contains(r.stderr, "1 of 2") {
		t.Errorf("list: %s", r)
	}
	r = h.expect(1, "artifact", "list", "-o", "json")
	var list struct {
		Artifacts  []struct{ ID string }
		Unreadable []struct{ ID, Dir, Error string }
	}
	if err := json.Unmarshal([]byte(r.stdout), &list); err != nil || len(list.Artifacts) != 1 || list.Artifacts[0].ID != good ||
		len(list.Unreadable) != 1 || list.Unreadable[0].ID != bad || list.Unreadable[0].Error == "" {
		t.Errorf("%v in %s", err, r)
	}
}

func TestShowTellsThatNobodyVouchesForTheSource(t *testing.T) {
	h := elsewhere(t)
	if r := h.expect(0, "artifact", "show", h.store("nginx one")); !strings.Contains(r.stdout, "nobody vouches") {
		t.Errorf("show: %s", r)
	}
}
