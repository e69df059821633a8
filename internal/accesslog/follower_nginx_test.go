package accesslog

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"sync"
	"syscall"
	"testing"
	"time"

	"graft/internal/nginxtest"
)

// askUntil asks an nginx for numbered paths on some keep-alive connections until stop is closed, and returns
// how many were answered.
func askUntil(t *testing.T, addr string, stop chan struct{}) int {
	t.Helper()
	const clients = 4
	answered := make([]int, clients)
	var wg sync.WaitGroup
	for c := range clients {
		wg.Go(func() {
			conn, err := net.Dial("tcp", addr)
			if err != nil {
				t.Error(err)
				return
			}
			defer conn.Close()
			in := bufio.NewReader(conn)
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				if i > 0 && i%500 == 0 { // nginx closes a connection after 1,000 requests
					conn.Close()
					if conn, err = net.Dial("tcp", addr); err != nil {
						t.Error(err)
						return
					}
					in = bufio.NewReader(conn)
				}
				fmt.Fprintf(conn, "GET /page.txt?%d-%d HTTP/1.1\r\nHost: localhost\r\n\r\n", c, i)
				r, err := http.ReadResponse(in, nil)
				if err == nil {
					_, err = io.Copy(io.Discard, r.Body)
				}
				if err != nil {
					t.Error(err)
					return
				}
				answered[c]++
			}
		})
	}
	wg.Wait()
	sum := 0
	for _, n := range answered {
		sum += n
	}
	return sum
}

// Two rotations under load, each with a USR1 that comes 300 ms late: every request has its line, once.
func TestRotationOfARealNginxUnderLoad(t *testing.T) {
	inst := nginxtest.Start(t, nginxtest.Options{})
	f, err := Follow(inst.AccessLog)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	stop := make(chan struct{})
	answered := make(chan int, 1)
	go func() { answered <- askUntil(t, inst.Addr("http"), stop) }()
	lines := map[string]int{}
	got := 0
	poll := func() {
		err := f.Poll(func(line []byte) {
			var r Record
			if !Combined().Parse(line, &r) || r.Status != 200 {
				t.Errorf("a line that nobody asked for: %s", line)
			}
			lines[string(line)]++
			got++
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	// until polls until more lines have come.
	until := func(more int) {
		deadline := time.After(30 * time.Second)
		for want := got + more; got < want; poll() {
			select {
			case <-time.After(PollInterval):
			case <-deadline:
				t.Fatalf("%d of %d lines", got, want)
			}
		}
	}
	until(500)
	for i := range 2 {
		if err := os.Rename(inst.AccessLog, fmt.Sprint(inst.AccessLog, ".", 2-i)); err != nil {
			t.Fatal(err)
		}
		for late := time.Now().Add(300 * time.Millisecond); time.Now().Before(late); {
			until(50)
		}
		inst.Signal(t, inst.MasterPID, syscall.SIGUSR1)
		until(2000)
		if _, err := os.Stat(inst.AccessLog); err != nil {
			t.Fatalf("nginx has not reopened its log: %v", err)
		}
	}
	close(stop)
	want := <-answered
	if got < want {
		until(want - got)
	}
	poll()
	if got != want || len(lines) != want || f.Gaps() != 0 {
		t.Errorf("%d lines of %d requests, %d gaps", got, want, f.Gaps())
	}
	t.Logf("%d requests, two rotations, USR1 300 ms late: %d lines", want, got)
}
