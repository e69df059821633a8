package systemdtest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os/exec"
	"strings"
)

// load is graft's own client, in the machine: bounded in time and count.
type load struct {
	h      *host
	cmd    *exec.Cmd
	out    bytes.Buffer
	number int
}

var modes = []string{"keepalive", "connect"}

// load starts clients that keep their connections and clients that make new ones.
func (h *host) load() []*load {
	h.t.Helper()
	var all []*load
	for n, mode := range modes {
		l := &load{h: h, number: n}
		// Its pid, to end it by: nsenter passes no signal on.
		script := fmt.Sprintf("echo $$ >/run/load%d; exec graft probe http://127.0.0.1/ --mode %s -c 2 --rate 200 -n 20000 -d 90s --user-agent client -o json", n, mode)
		l.cmd = h.m.Command(h.t.Context(), "sh", "-c", script)
		l.cmd.Stdout, l.cmd.Stderr = &l.out, &l.out
		if err := l.cmd.Start(); err != nil {
			h.t.Fatal(err)
		}
		all = append(all, l)
	}
	h.eventually("requests of the load in the access log", func() bool {
		out, _ := h.m.Command(h.t.Context(), "grep", "-c", `"client"$`, "/var/log/nginx/access.log").Output()
		return len(out) > 0 && h.number(string(out)) > 100
	})
	return all
}

// lostNothing ends the load and checks what became of every request.
func (h *host) lostNothing(all []*load) {
	h.t.Helper()
	for _, l := range all {
		h.in("sh", "-c", fmt.Sprintf("kill -INT $(cat /run/load%d)", l.number))
		err := l.cmd.Wait()
		var answer struct {
			Targets []struct {
				Tally struct {
					Requests, Lost, Apart int64
					Status                map[string]int64
				}
			}
		}
		text := l.out.String()
		if jsonErr := json.NewDecoder(strings.NewReader(text)).Decode(&answer); jsonErr != nil || len(answer.Targets) != 1 {
			h.t.Fatalf("load %s: %v, %v\n%s", modes[l.number], err, jsonErr, text)
		}
		got := answer.Targets[0].Tally
		h.t.Logf("load %s: %d requests, %d lost, %d apart, status %v", modes[l.number], got.Requests, got.Lost, got.Apart, got.Status)
		// Apart: on an idle connection that nginx was closing, as after every reload; a client sends those again.
		if err != nil || got.Lost > 0 || got.Requests < 100 || got.Requests != got.Status["200"]+got.Apart {
			h.t.Errorf("load %s lost requests (%v): %s", modes[l.number], err, text)
		}
	}
}
