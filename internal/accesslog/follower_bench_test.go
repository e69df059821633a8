package accesslog

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// spent is the time of processors that this process has used so far.
func spent(b *testing.B) time.Duration {
	var use unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &use); err != nil {
		b.Fatal(err)
	}
	return time.Duration(use.Utime.Nano() + use.Stime.Nano())
}

// resident is this process's memory, in MB.
func resident(b *testing.B) float64 {
	text, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		b.Fatal(err)
	}
	pages, err := strconv.ParseInt(strings.Fields(string(text))[1], 10, 64)
	if err != nil {
		b.Fatal(err)
	}
	return float64(pages) * float64(os.Getpagesize()) / (1 << 20)
}

// followSeconds is how long the benchmark follows; GRAFT_FOLLOW_SECONDS makes it longer.
func followSeconds(b *testing.B) int {
	if text := os.Getenv("GRAFT_FOLLOW_SECONDS"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil {
			b.Fatal(err)
		}
		return n
	}
	return 10
}

// BenchmarkFollow follows a log that gets 50,000 lines a second from another process, with a rotation
// each five seconds, and understands each line.
func BenchmarkFollow(b *testing.B) {
	const rate = 50_000
	path := filepath.Join(b.TempDir(), "access.log")
	line := `203.0.113.9 - - [25/Nov/2026:01:02:03 +0000] "GET /a/path/of/some/length?q=1 HTTP/1.1" 200 612 "https://example.com/" "Mozilla/5.0 (X11; Linux x86_64)" 0.012 0.011`
	format, err := Compile(`$remote_addr - $remote_user [$time_local] "$request" $status $body_bytes_sent "$http_referer" "$http_user_agent" $request_time $upstream_response_time`, "default")
	if err != nil {
		b.Fatal(err)
	}
	seconds := followSeconds(b)
	// 1,000 lines each 20 ms; the shell's clock is its sleep.
	chunk := filepath.Join(b.TempDir(), "chunk")
	if err := os.WriteFile(chunk, []byte(strings.Repeat(line+"\n", rate/50)), 0o644); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		f, err := Follow(path)
		if err != nil {
			b.Fatal(err)
		}
		script := fmt.Sprintf(`exec perl -MTime::HiRes=time,sleep -e '
			local $/; open(F, "<", $ARGV[0]); my $d = <F>; my $s = time; my $n = 0; my $rotations = 0; open(L, ">>", $ARGV[1]);
			for (; $n < %d; $n++) { syswrite(L, $d);
				if (%[2]d && ($n + 1) %% 250 == 0 && $rotations++ < %[2]d) { unlink("$ARGV[1].1"); rename($ARGV[1], "$ARGV[1].1"); open(L, ">>", $ARGV[1]); }
				my $w = $s + ($n + 1) / 50 - time; sleep($w) if $w > 0 }' %[3]s %[4]s`, seconds*50, max(seconds/5-1, 0), chunk, path)
		writer := exec.CommandContext(b.Context(), "sh", "-c", script)
		if err := writer.Start(); err != nil {
			b.Fatal(err)
		}
		ended := make(chan error, 1)
		go func() { ended <- writer.Wait() }()

		scanner := NewScanner(Formats{format})
		lines, bytesRead := 0, 0
		poll := func() {
			err := f.PollBlocks(func(block []byte) {
				bytesRead += len(block)
				scanner.Scan(block, func(*Record) { lines++ })
			})
			if err != nil {
				b.Fatal(err)
			}
		}
		begun, before := time.Now(), spent(b)
		first := 0.0
		tick := time.NewTicker(PollInterval)
		for running := true; running; {
			select {
			case err := <-ended:
				if err != nil {
					b.Fatal(err)
				}
				running = false
			case <-tick.C:
			}
			poll()
			if first == 0 && time.Since(begun) > time.Second {
				first = resident(b)
			}
		}
		tick.Stop()
		used, took := spent(b)-before, time.Since(begun)
		last := resident(b)
		if want := seconds * rate; lines != want {
			b.Fatalf("%d of %d lines", lines, want)
		}
		f.Close()
		b.ReportMetric(100*used.Seconds()/took.Seconds(), "%core")
		b.ReportMetric(float64(used.Nanoseconds())/float64(lines), "ns/line")
		b.ReportMetric(first, "MB-first")
		b.ReportMetric(last, "MB-last")
		b.ReportMetric(float64(lines)/took.Seconds(), "lines/s")
		b.ReportMetric(used.Seconds()/wcTime(b, chunk, bytesRead).Seconds(), "xwc")
		runtime.KeepAlive(scanner)
	}
}

// wcTime is what wc -l takes for as many bytes of the same lines.
func wcTime(b *testing.B, chunk string, size int) time.Duration {
	data, err := os.ReadFile(chunk)
	if err != nil {
		b.Fatal(err)
	}
	many := filepath.Join(b.TempDir(), "many")
	if err := os.WriteFile(many, bytes.Repeat(data, max(1, min(size, 256<<20)/len(data))), 0o644); err != nil {
		b.Fatal(err)
	}
	st, err := os.Stat(many)
	if err != nil {
		b.Fatal(err)
	}
	least := time.Hour
	for range 3 {
		cmd := exec.CommandContext(b.Context(), "wc", "-l", many)
		if err := cmd.Run(); err != nil {
			b.Fatal(err)
		}
		least = min(least, cmd.ProcessState.UserTime()+cmd.ProcessState.SystemTime())
	}
	return time.Duration(float64(least) * float64(size) / float64(st.Size()))
}
