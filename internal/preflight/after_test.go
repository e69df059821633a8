package preflight

import (
	"net/http"
	"syscall"
	"testing"
	"time"

	"graft/internal/nginx"
	"graft/internal/nginx/conf"
	"graft/internal/nginxtest"
)

const quit = syscall.SIGQUIT

// alone waits until one master is left.
func alone(t *testing.T, inst *nginxtest.Instance) {
	t.Helper()
	eventually(t, "one master is left", func() bool {
		masters, err := inst.Masters()
		return err == nil && len(masters) == 1
	})
}

// ask asks once, on a connection of its own.
func ask(t *testing.T, addr, path string) *http.Response {
	t.Helper()
	client := http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+addr+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	return resp
}

// parsed is an examination of nothing but a configuration.
func parsed(t *testing.T, text string) *examination {
	t.Helper()
	directives, err := conf.Parse("nginx.conf", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return &examination{Subject: Subject{Instance: nginx.Instance{Config: &conf.Config{Directives: directives}, Paths: nginx.Paths{Conf: "nginx.conf"}}}}
}

// wantCheck is found for one check that was made by itself.
func wantCheck(t *testing.T, c Check, want Severity, words ...string) {
	t.Helper()
	c.ID = "check"
	found(t, map[string]Check{c.ID: c}, c.ID, want, words...)
}
