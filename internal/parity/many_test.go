package parity

import (
	"fmt"
	"strings"
	"testing"
)

// A log without hosts that 300 servers write must neither be read in part nor miss a server.
func TestALogWithoutHostOfManyServers(t *testing.T) {
	const servers = 300
	var config, log strings.Builder
	config.WriteString(strings.Replace(preamble, "access_log off;", "access_log {{dir}}/a.log;", 1))
	for i := range servers {
		fmt.Fprintf(&config, "server { listen 80; listen 443 ssl; server_name s%d.test; location / { } location ~ \\.png$ { } }\n", i)
	}
	config.WriteString("}\n")
	const lines = 5000
	for i := range lines {
		fmt.Fprintf(&log, "1.2.3.4 - - [24/Nov/2026:22:15:13 +0000] \"GET /p%s/%d HTTP/1.1\" 200 17 \"-\" \"-\"\n", strings.Repeat("x", i%30), i)
	}
	s := newSite(t, config.String(), map[string]string{"a.log": log.String()})
	src := s.source()
	src.Max, src.Budget = 4*servers, 1<<40 // the machine may be slow
	got, err := Sample(t.Context(), src)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, r := range got.Requests {
		seen[r.Host] = true
	}
	if got.Logs[0].Lines != lines || got.Logs[0].Cut || len(seen) != servers {
		t.Errorf("%+v, %d servers", got.Logs, len(seen))
	}
}
