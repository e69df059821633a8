package cli_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"graft/internal/nginxtest"
)

// caught sees that preflight finds nothing that blocks, that the rehearsal fails for that reason, that
// apply refuses the plan then, and that the instance was not touched.
func (h *host) caught(target, reason string) {
	h.t.Helper()
	log, sum := h.inst.ErrorLogText(h.t), h.sha256(h.inst.Exe)
	file := h.plan(target)
	r := h.must(4, "rehearse", file)
	if !strings.Contains(r.stdout+r.stderr, reason) {
		h.t.Errorf("%q is not told: %s", reason, r)
	}
	if refused := h.must(4, "apply", file); !strings.Contains(refused.stderr, "its rehearsal failed") {
		h.t.Errorf("not refused for its rehearsal: %s", refused)
	}
	if now := h.inst.ErrorLogText(h.t); now != log {
		h.t.Errorf("the instance's error log has grown: %s", strings.TrimPrefix(now, log))
	}
	h.restored(sum)
}

// Ten and more targets that would do harm, each in another way, and none of them touches the host.
func TestBrokenTargetsAreCaughtBefore(t *testing.T) {
	without := func(t *testing.T, flag string) string {
		return nginxtest.Build(t, nginxtest.Source(t, "1.22.1"), append(nginxtest.Flags(), flag)...).Path
	}
	bare := nginxtest.Realistic // without a pid directive, and with paths that hang on the prefix
	for _, b := range []struct {
		name string
		opts nginxtest.Options
		edit [2]string // of the configuration on disk, once nginx runs
		to   func(*testing.T) string
		trap string // that blocks the plan
		told string // by the rehearsal
		how  string // what the worse binary is told to do
	}{
		{name: "a module less", to: func(t *testing.T) string { return without(t, "--without-http_upstream_keepalive_module") }, trap: "module-lost"},
		{name: "an older one", opts: nginxtest.Options{Binary: nginxtest.Release(t, "1.26.3"), Config: strings.Replace(bare, "443 ssl http2", "443 ssl", 1)},
			edit: [2]string{"sendfile on;", "sendfile on; http2 on;"}, to: func(t *testing.T) string { return nginxtest.Release(t, "1.18.0").Path }, trap: "module-lost"},
		{name: "another prefix", opts: nginxtest.Options{Args: []string{"{{.Exe}}", "-c", "{{.Conf}}"}, Config: strings.ReplaceAll(bare, "_temp_path temp/", "_temp_path {{.Prefix}}/temp/")},
			to: func(t *testing.T) string { return nginxtest.Foreign(t).Path }, trap: "prefix-relative-paths"},
		{name: "an option it does not know", opts: nginxtest.Options{Args: []string{"{{.Exe}}", "-p", "{{.Prefix}}/", "-c", "{{.Conf}}", "-e", "{{.ErrorLog}}"}},
			to: func(t *testing.T) string { return nginxtest.Release(t, "1.18.0").Path }, trap: "argv-reused"},
		{name: "a library less", to: missingLibrary, trap: "library-missing"},
		{name: "fewer workers", opts: nginxtest.Options{Config: strings.Replace(bare, `listen 127.0.0.1:{{.Port "http"}};`, `listen 127.0.0.1:{{.Port "http"}} reuseport;`, 1)},
			edit: [2]string{"worker_processes 2;", "worker_processes 1;"}, to: func(t *testing.T) string { return nginxtest.Release(t, "1.26.3").Path }, trap: "reuseport-blackhole"},
		{name: "dies at its start", how: "die-at-start", to: func(t *testing.T) string { return worse(t) }, told: "died at its start"},
		{name: "forgets its sockets", how: "forget-sockets", to: func(t *testing.T) string { return worse(t) }, told: "overlap and back"},
		{name: "crashes", how: "crash", to: func(t *testing.T) string { return worse(t) }, told: "overlap and back"},
		{name: "fails", how: "fail", to: func(t *testing.T) string { return worse(t) }, told: "answered otherwise"},
		{name: "loses headers", how: "no-headers", opts: nginxtest.Options{Config: strings.Replace(bare, "add_header X-Worker $pid;", "add_header Strict-Transport-Security max-age=60;", 1)},
			to: func(t *testing.T) string { return worse(t) }, told: "Strict-Transport-Security"},
	} {
		t.Run(b.name, func(t *testing.T) {
			h := newHost(t, b.opts)
			if b.edit[0] != "" {
				h.edit(b.edit[0], b.edit[1])
			}
			target := b.to(t)
			if b.trap == "library-missing" { // a binary that does not start cannot even be asked what it is
				if r := h.must(4, "plan", "--to", target); !strings.Contains(r.stderr, b.trap) {
					t.Errorf("%s is not told: %s", b.trap, r)
				}
				return
			}
			if b.trap != "" {
				h.blocked(b.trap, target)
				return
			}
			// The instance's own files: the clone has them too, the host's nginx is not the worse one.
			h.misbehave(b.how)
			h.caught(target, b.told)
		})
	}
}

// edit changes the configuration on disk; nginx is not told.
func (h *host) edit(old, new string) {
	h.t.Helper()
	text, err := os.ReadFile(h.inst.Conf)
	if err != nil {
		h.t.Fatal(err)
	}
	if !strings.Contains(string(text), old) {
		h.t.Fatalf("%q is not in %s", old, h.inst.Conf)
	}
	if err := os.WriteFile(h.inst.Conf, []byte(strings.Replace(string(text), old, new, 1)), 0o644); err != nil {
		h.t.Fatal(err)
	}
}

// missingLibrary is a binary that wants a library which no host has. It ran where it was built.
func missingLibrary(t *testing.T) string {
	t.Helper()
	data, err := os.ReadFile(nginxtest.Release(t, "1.26.3").Path)
	if err != nil {
		t.Fatal(err)
	}
	const name, none = "libcrypt.so.1\x00", "libcrypt.so.7\x00"
	if !strings.Contains(string(data), name) {
		t.Fatalf("%q is not needed", name)
	}
	file := filepath.Join(t.TempDir(), "nginx")
	if err := os.WriteFile(file, []byte(strings.Replace(string(data), name, none, 1)), 0o755); err != nil {
		t.Fatal(err)
	}
	return file
}
