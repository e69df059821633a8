package preflight

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"graft/internal/nginxtest"
)

// What nginx does at USR2 with a binary that a check would have refused.

// stillborn puts the binary at the instance's path and sends USR2. The new master must end with these words in
// the error log or on its standard error, and the old one go on serving.
func stillborn(t *testing.T, inst *nginxtest.Instance, bin nginxtest.Binary, words string) {
	t.Helper()
	swap(t, inst, bin)
	inst.Signal(t, inst.MasterPID, syscall.SIGUSR2)
	eventually(t, "the new master says: "+words, func() bool {
		return strings.Contains(inst.ErrorLogText(t)+read(t, filepath.Join(inst.Prefix, "logs/stderr")), words)
	})
	eventually(t, "the old master is alone again, with its pid file", func() bool {
		pid, err := inst.PID()
		masters, mastersErr := inst.Masters()
		return err == nil && mastersErr == nil && pid == inst.MasterPID && len(masters) == 1
	})
	if get(t, inst.Addr("http"), "/page.txt") == "" {
		t.Error("the old master does not serve")
	}
}

func TestModuleSignatureKeepsTheNewMasterFromStarting(t *testing.T) {
	stillborn(t, withModule(t, "ngx_http_echo_module.so"), nginxtest.Release(t, "1.26.3"), "version 1022001 instead of 1026003")
}

func TestModuleAlreadyLoadedKeepsTheNewMasterFromStarting(t *testing.T) {
	stillborn(t, withModule(t, "ngx_stream_module.so"), hardened(t), `module "ngx_stream_module" is already loaded`)
}

func TestModuleLostKeepsTheNewMasterFromStarting(t *testing.T) {
	config := strings.Replace(nginxtest.Realistic, "root html;", `root html;
        sub_filter a b;
        gunzip on;`, 1)
	inst := nginxtest.Start(t, nginxtest.Options{Config: config})
	// -t stops at the first; the binary's own tables tell of all.
	found(t, run(t, subject(t, inst, hardened(t))), "module-lost", Blocker, `unknown directive "sub_filter"`,
		"All that the target lacks: sub_filter ("+inst.Conf+":", "gunzip ("+inst.Conf+":")
	stillborn(t, inst, hardened(t), `unknown directive "sub_filter"`)
}

func TestModuleLostTellsOfVariables(t *testing.T) {
	config := strings.Replace(packaged, "root html;", "gunzip on;\n\t\t\tadd_header X-Active $connections_active;", 1)
	inst := startPackaged(t, "pid /run/nginx.pid;\n"+config, "-c", "/etc/nginx/nginx.conf")
	found(t, run(t, subject(t, inst, bare(t))), "module-lost", Blocker,
		`unknown directive "gunzip"`, "gunzip ("+inst.Conf+":9)", "$connections_active ("+inst.Conf+":10)")
}

func TestLibraryMissingKeepsTheNewMasterFromStarting(t *testing.T) {
	bin := nginxtest.Binary{Path: patched(t, hardened(t), "libnone.so.9")}
	stillborn(t, nginxtest.Start(t, nginxtest.Options{}), bin, "error while loading shared libraries: libnone.so.9")
}

// A module of the same version and signature, for an nginx whose structures are laid out otherwise, as
// OpenResty's patches do: it is loaded without a word, and the first request that it handles ends the worker.
func TestModuleSignatureProvesNoLayout(t *testing.T) {
	tree := filepath.Join(t.TempDir(), "nginx")
	if err := os.CopyFS(tree, os.DirFS(nginxtest.Source(t, "1.22.1"))); err != nil {
		t.Fatal(err)
	}
	header := filepath.Join(tree, "src/http/ngx_http_request.h")
	const field = "uint32_t                          signature;         /* \"HTTP\" */"
	text := read(t, header)
	if strings.Count(text, field) != 1 {
		t.Fatal("the request's structure looks otherwise than this test knows it")
	}
	write(t, header, strings.Replace(text, field, field+"\n    void *others[16];", 1))
	other := nginxtest.Build(t, tree, with(nginxtest.Flags(), "--with-cc-opt=-O0 -Wno-error")...)

	module := filepath.Join(nginxtest.Debian(t).Modules, "ngx_http_echo_module.so")
	config := "load_module " + module + ";\n" + strings.Replace(nginxtest.Realistic, "location /app/ {", "location /echo { echo it works; }\n        location /app/ {", 1)
	inst := nginxtest.Start(t, nginxtest.Options{Config: config})
	found(t, run(t, subject(t, inst, other)), "module-signature", Warning, "proves the version and the signature alone", inst.Conf+":1")
	if got := get(t, inst.Addr("http"), "/echo"); got != "it works\n" {
		t.Fatalf("before: %q", got)
	}
	swap(t, inst, other)
	upgrade(t, inst, 2)
	inst.Signal(t, inst.MasterPID, quit)
	alone(t, inst)
	if got := get(t, inst.Addr("http"), "/echo"); got == "it works\n" {
		t.Error("the module works with another layout")
	}
	eventually(t, "a worker ends by a signal", func() bool { return strings.Contains(inst.ErrorLogText(t), "exited on signal 11") })
}

// What cp and a redirection do to a capability, which shows only when nginx binds its next port.
func TestFileAttributesAreLostByAPlainCopy(t *testing.T) {
	inst := nginxtest.Start(t, nginxtest.Options{})
	if err := unix.Setxattr(inst.Exe, "security.capability", netBind, 0); err != nil {
		t.Skipf("this file system takes no capabilities: %v", err)
	}
	for name, copied := range map[string][]string{
		"cp": {"cp", inst.Exe, inst.Exe + ".copy"}, "install": {"install", "-m", "755", inst.Exe, inst.Exe + ".copy"},
	} {
		if out, err := exec.CommandContext(t.Context(), copied[0], copied[1:]...).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		if _, err := unix.Getxattr(inst.Exe+".copy", "security.capability", make([]byte, 64)); !errors.Is(err, unix.ENODATA) {
			t.Errorf("%s kept the capability (%v)", name, err)
		}
	}
	if n, err := unix.Getxattr(inst.Exe, "security.capability", make([]byte, 64)); err != nil || n != len(netBind) {
		t.Error(fmt.Errorf("the original lost it, too: %w", err))
	}
}
