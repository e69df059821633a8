package cli_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"graft/internal/nginxtest"
)

// withInit is an OpenResty whose Lua ends the start once a certain file is there.
const withInit = `pid {{.PidFile}};
error_log {{.ErrorLog}} notice;
events {}
http {
	access_log off;
	lua_shared_dict sessions 1m;
	init_by_lua_block {
		if io.open("{{.Prefix}}/broken") then error("broken on purpose") end
	}
	server { listen 127.0.0.1:{{.Port "http"}}; return 204; }
}
`

// -t passes whatever init_by_lua does, a real start does not. The plan says so; USR2 shows it.
func TestConfigTestSideEffectsOfInitByLua(t *testing.T) {
	h := &host{t: t, state: t.TempDir()}
	tree := filepath.Join(h.state, "artifacts", h.openResty(), "tree")
	t.Cleanup(func() {
		if err := os.RemoveAll("/usr/local/openresty"); err != nil {
			t.Error(err)
		}
	})
	if err := execute(exec.CommandContext(t.Context(), "cp", "-aT", tree+"/usr/local/openresty", "/usr/local/openresty")); err != nil {
		t.Fatal(err)
	}
	h.inst = nginxtest.Start(t, nginxtest.Options{
		Binary: nginxtest.Binary{Path: tree + "/usr/local/openresty/nginx/sbin/nginx"}, Config: withInit,
	})

	var plan struct {
		Checks []struct{ ID, Severity, Evidence, Remedy string }
	}
	r := h.graft("plan", "--to", nginxtest.Release(t, "1.26.3").Path, "--pid-file", h.inst.PidFile, "-o", "json")
	if err := json.Unmarshal([]byte(r.stdout), &plan); err != nil {
		t.Fatalf("%v in %s", err, r)
	}
	told := false
	for _, c := range plan.Checks {
		told = told || c.ID == "config-test-side-effects" && c.Severity == "note" && strings.Contains(c.Remedy, "rehearse") &&
			strings.Contains(c.Evidence, "init_by_lua_block ("+h.inst.Conf+":7), which runs at a real start only")
	}
	if !told {
		t.Errorf("the plan does not tell of init_by_lua: %s", r)
	}

	if err := os.WriteFile(filepath.Join(h.inst.Prefix, "broken"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(h.inst.Conf)
	if err != nil {
		t.Fatal(err)
	}
	without := filepath.Join(h.inst.Prefix, "conf/without.conf")
	if err := os.WriteFile(without, []byte(strings.Replace(string(text), "lua_shared_dict sessions 1m;", "", 1)), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, conf := range []string{h.inst.Conf, without} {
		if err := execute(exec.CommandContext(t.Context(), h.inst.Exe, "-p", h.inst.Prefix, "-c", conf, "-t")); err != nil {
			t.Errorf("-t runs init_by_lua: %v", err)
		}
	}
	h.inst.Signal(t, h.inst.MasterPID, syscall.SIGUSR2)
	h.eventually("the new master fails in init_by_lua", func() bool { return strings.Contains(h.inst.ErrorLogText(t), "broken on purpose") })
}
