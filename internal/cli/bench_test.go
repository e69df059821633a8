package cli_test

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"graft/internal/nginxtest"
	"graft/internal/procfs"
)

// BenchmarkOverlap compares how long it takes from USR2 to an overlap that graft has verified with
// how long nginx itself takes until the new master's workers are up, which a tight loop measures on
// the same pair in the same run. The goal is 10 ms more at most.
func BenchmarkOverlap(b *testing.B) {
	for name, target := range map[string]func(h *host) string{
		"nginx 1.22.1 to 1.26.3":               func(h *host) string { return nginxtest.Release(b, "1.26.3").Path },
		"nginx 1.22.1 to OpenResty equivalent": func(h *host) string { return h.openResty() },
	} {
		b.Run(name, func(b *testing.B) {
			var own, graft []time.Duration
			for b.Loop() {
				h := newHost(b, nginxtest.Options{})
				h.must(0, with("apply", h.plan(target(h)), "--until", "overlap")...)
				graft = append(graft, h.took())
				// The same pair by hand: the new binary is at the path still.
				h.quitNew()
				own = append(own, h.ownTime())
				h.quitNew()
				h.must(0, "rollback")
			}
			slices.Sort(own)
			slices.Sort(graft)
			o, g := own[len(own)/2], graft[len(graft)/2]
			b.ReportMetric(float64(o.Microseconds())/1000, "own-ms")
			b.ReportMetric(float64(g.Microseconds())/1000, "graft-ms")
			b.ReportMetric(float64((g-o).Microseconds())/1000, "extra-ms")
			b.ReportMetric(0, "ns/op")
		})
	}
}

// took is what the journal tells of the last start.
func (h *host) took() time.Duration {
	h.t.Helper()
	files, err := filepath.Glob(filepath.Join(h.state, "migrations", "*", "journal"))
	if err != nil || len(files) == 0 {
		h.t.Fatalf("journals %v, %v", files, err)
	}
	data, err := os.ReadFile(files[len(files)-1])
	if err != nil {
		h.t.Fatal(err)
	}
	for line := range strings.Lines(string(data)) {
		var event struct {
			Step, Event string
			Data        struct {
				Took time.Duration `json:"took_ns"`
			}
		}
		if err := json.Unmarshal([]byte(line), &event); err == nil && event.Step == "start" && event.Event == "done" {
			return event.Data.Took
		}
	}
	h.t.Fatal("the journal tells of no start")
	return 0
}

// quitNew ends the new master by hand and waits until the old one is alone again.
func (h *host) quitNew() {
	h.t.Helper()
	pid, err := h.inst.PID()
	if err != nil || pid == h.inst.MasterPID {
		h.t.Fatalf("new master %d, %v", pid, err)
	}
	h.inst.Signal(h.t, pid, syscall.SIGQUIT)
	h.eventually("the old master alone", func() bool { now, err := h.inst.PID(); return err == nil && now == h.inst.MasterPID })
}

// ownTime is nginx's own: from USR2 until the new master's two workers are up.
func (h *host) ownTime() time.Duration {
	h.t.Helper()
	fs := procfs.New("/proc")
	begin := time.Now()
	h.inst.Signal(h.t, h.inst.MasterPID, syscall.SIGUSR2)
	for time.Since(begin) < 20*time.Second {
		children, err := fs.Children(h.inst.MasterPID)
		if err != nil {
			h.t.Fatal(err)
		}
		for _, child := range children {
			workers, err := fs.Children(child)
			if err != nil || len(workers) < 2 {
				continue
			}
			up := 0
			for _, w := range workers {
				if title, err := fs.Title(w); err == nil && title == "nginx: worker process" {
					up++
				}
			}
			if up == 2 {
				return time.Since(begin)
			}
		}
	}
	h.t.Fatal("no new workers within 20 s")
	return 0
}

// busy is an instance of 500 server blocks that holds 10,000 connections.
const (
	busyServers     = 500
	busyConnections = 10_000
)

// BenchmarkInspect takes the time of `graft inspect` on a busy instance, beside that of nginx -T on
// the same configuration. The goal is 150 ms.
func BenchmarkInspect(b *testing.B) {
	var servers strings.Builder
	for i := range busyServers {
		fmt.Fprintf(&servers, "server {\n listen 127.0.0.1:{{.Port \"http\"}};\n server_name s%d.example;\n root html;\n access_log logs/s%d.log;\n"+
			" location / { try_files $uri =404; }\n location /app/ { proxy_pass http://127.0.0.1:9; }\n}\n", i, i%20)
	}
	h := newHost(b, nginxtest.Options{Config: `worker_processes 2;
pid {{.PidFile}};
error_log {{.ErrorLog}};
events { worker_connections 8192; }
http {
server_names_hash_max_size 2048;
keepalive_timeout 600;
` + servers.String() + "}\n"})
	for range busyConnections {
		conn, err := net.Dial("tcp", h.inst.Addr("http"))
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { conn.Close() })
	}
	h.must(0, "inspect") // the first run reads the program from disk
	var graft, nginx []time.Duration
	for b.Loop() {
		begin := time.Now()
		h.must(0, "inspect", "-o", "json")
		graft = append(graft, time.Since(begin))
		begin = time.Now()
		if err := execute(exec.Command(h.inst.Exe, "-T", "-p", h.inst.Prefix, "-c", h.inst.Conf)); err != nil {
			b.Fatal(err)
		}
		nginx = append(nginx, time.Since(begin))
	}
	slices.Sort(graft)
	slices.Sort(nginx)
	g, n := graft[len(graft)/2], nginx[len(nginx)/2]
	b.ReportMetric(float64(g.Microseconds())/1000, "graft-ms")
	b.ReportMetric(float64(n.Microseconds())/1000, "nginx-T-ms")
	b.ReportMetric(float64(g)/float64(n), "ratio")
	b.ReportMetric(0, "ns/op")
}
