package cli_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"graft/internal/nginxtest"
)

// luaSites are twenty servers answered by Lua. One of them calls a function that not every binary has.
const luaSites = `user {{.User}};
worker_processes 2;
pid {{.PidFile}};
error_log {{.ErrorLog}} notice;
events { worker_connections 1024; }
http {
	log_format field '@format@';
	access_log {{.AccessLog}} field;
@servers@
}
`

func luaServers() (conf string) {
	for i := range 20 {
		code := `ngx.say("site ", ngx.var.host)`
		if i == 13 {
			code = `local head = ngx.req.raw_header() ngx.say(#head)`
		}
		conf += fmt.Sprintf("\tserver { listen 127.0.0.1:{{.Port \"http\"}}; server_name site%d.example; location / { content_by_lua_block { %s } } }\n", i, code)
	}
	return conf
}

// withoutRawHeader is the binary with ngx.req.raw_header under another name: what a Lua API that has
// gone looks like.
func withoutRawHeader(t *testing.T, binary string) string {
	t.Helper()
	data, err := os.ReadFile(binary)
	if err != nil {
		t.Fatal(err)
	}
	name := []byte("\x00raw_header\x00")
	if n := bytes.Count(data, name); n != 1 {
		t.Fatalf("%s names raw_header %d times", binary, n)
	}
	changed := filepath.Join(t.TempDir(), "nginx")
	if err := os.WriteFile(changed, bytes.Replace(data, name, []byte("\x00raw_heaven\x00"), 1), 0o755); err != nil {
		t.Fatal(err)
	}
	return changed
}

func TestALuaErrorInOneOfTwentyServersIsTakenBack(t *testing.T) {
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
	old := tree + "/usr/local/openresty/nginx/sbin/nginx"
	opts := nginxtest.Options{Binary: nginxtest.Binary{Path: old}, Config: strings.Replace(luaSites, "@servers@", luaServers(), 1)}
	h = fieldHost(t, opts, true, nil)
	sum := h.sha256(h.inst.Exe)
	file := h.plan(withoutRawHeader(t, old))
	crowd := emptyCrowd(t, h.inst)
	crowd.people(1, 4, 25, 10*time.Second, askSites)
	crowd.people(2, 4, 25, 0, askSites)
	crowd.warm()
	var onset time.Time
	run := h.through(func(phase string) {
		if phase == "overlap" {
			onset = time.Now()
		}
	}, append([]string{"apply", file}, gates("60s", "60s")...)...)
	h.tellVerdict(fault{at: "overlap", reason: `(?i)lua`}, run, onset)
	h.phase("rolled-back")
	if counts := crowd.end(); counts.lost > 0 || counts.faults == 0 {
		t.Errorf("not the fault that was meant: %v", counts)
	}
	if pid, err := h.inst.PID(); err != nil || pid != h.inst.MasterPID || h.sha256(h.inst.Exe) != sum {
		t.Errorf("the old binary does not serve: %d, %v", pid, err)
	}
}

// askSites asks some sites more than others; the one at fault gets about 3 %.
func askSites(rng *rand.Rand) ask {
	site := min(int(rng.ExpFloat64()*7), 19)
	return ask{host: fmt.Sprintf("site%d.example", site), uri: fmt.Sprintf("/%d", rng.IntN(100)), status: 200}
}
