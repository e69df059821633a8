package probe_test

import (
	"crypto/tls"
	"encoding/json"
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"graft/internal/probe"
)

const (
	whole    = "HTTP/1.1 200 OK\r\nServer: test\r\nContent-Length: 5\r\n\r\nhello"
	lastOne  = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello"
	headOf10 = "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n"
)

type fates = map[probe.Fate]int64

func TestFateOfEveryMisfortune(t *testing.T) {
	answering := func(answer string) script {
		return func(c *peer, _ int) {
			for c.request() {
				c.say(answer)
			}
		}
	}
	// once is answered, then the connection ends
	answeringOnce := func(answer string, end func(*peer)) script {
		return func(c *peer, _ int) {
			c.request()
			c.say(answer)
			end(c)
		}
	}
	eof := func(*peer) {}
	reset := (*peer).reset

	for _, test := range []struct {
		name     string
		mode     probe.Mode
		requests int64
		script   script
		want     fates
	}{
		{"whole answers on one connection", probe.KeepAlive, 3, answering(whole), fates{probe.OK: 3}},
		{"a new connection for each request", probe.Connect, 3, answeringOnce(whole, eof), fates{probe.OK: 3}},
		{"EOF on a new connection", probe.KeepAlive, 2, answeringOnce("", eof), fates{probe.EOFNew: 2}},
		{"RST on a new connection", probe.KeepAlive, 2, answeringOnce("", reset), fates{probe.Reset: 2}},
		{"idle-keepalive-close: EOF before any byte on a reused connection", probe.KeepAlive, 5,
			func(c *peer, number int) {
				c.request()
				c.say(whole)
				if number > 1 {
					answering(whole)(c, number)
				}
				c.request()
			}, fates{probe.OK: 4, probe.EOFIdle: 1}},
		{"idle-keepalive-close: RST before any byte on a reused connection", probe.KeepAlive, 5,
			func(c *peer, number int) {
				c.request()
				c.say(whole)
				if number > 1 {
					answering(whole)(c, number)
				}
				c.request()
				c.reset()
			}, fates{probe.OK: 4, probe.ResetIdle: 1}},
		{"the request sent again after an idle close is lost if it fails, too", probe.KeepAlive, 3,
			func(c *peer, number int) {
				c.request()
				if number == 1 {
					c.say(whole)
					c.request()
				}
			}, fates{probe.OK: 1, probe.EOFIdle: 1, probe.EOFNew: 1}},
		{"EOF in the head of an answer", probe.KeepAlive, 1, answeringOnce("HTTP/1.1 200 OK\r\nServ", eof), fates{probe.Truncated: 1}},
		{"EOF in a body", probe.KeepAlive, 1, answeringOnce(headOf10+"hello", eof), fates{probe.Truncated: 1}},
		{"EOF in a body on a reused connection is a loss", probe.KeepAlive, 2,
			func(c *peer, _ int) {
				c.request()
				c.say(whole)
				c.request()
				c.say(headOf10)
			}, fates{probe.OK: 1, probe.Truncated: 1}},
		{"RST in a body", probe.KeepAlive, 1, answeringOnce(headOf10+"hello", reset), fates{probe.Reset: 1}},
		{"no answer in time", probe.KeepAlive, 1, answeringOnce("", (*peer).silence), fates{probe.Timeout: 1}},
		{"half an answer in time", probe.KeepAlive, 1, answeringOnce(headOf10+"hello", (*peer).silence), fates{probe.Timeout: 1}},
		{"not HTTP", probe.KeepAlive, 1, answeringOnce("220 mail.example ESMTP\r\n", eof), fates{probe.Malformed: 1}},
		{"a status that is no number", probe.KeepAlive, 1, answeringOnce("HTTP/1.1 abc OK\r\n\r\n", eof), fates{probe.Malformed: 1}},
		{"a header without a colon", probe.KeepAlive, 1, answeringOnce("HTTP/1.1 200 OK\r\nServer\r\n\r\n", eof), fates{probe.Malformed: 1}},
		{"two lengths", probe.KeepAlive, 1, answeringOnce("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab", eof), fates{probe.Malformed: 1}},
		{"a length and chunks", probe.KeepAlive, 1, answeringOnce("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", eof), fates{probe.Malformed: 1}},
		{"an endless head", probe.KeepAlive, 1, answeringOnce("HTTP/1.1 200 OK\r\n"+strings.Repeat("X: "+strings.Repeat("x", 1000)+"\r\n", 100), (*peer).silence), fates{probe.Malformed: 1}},
		{"an endless line", probe.KeepAlive, 1, answeringOnce(strings.Repeat("x", 100_000), (*peer).silence), fates{probe.Malformed: 1}},
		{"more bytes than the length says", probe.KeepAlive, 1, answeringOnce(whole+"!", (*peer).silence), fates{probe.Malformed: 1}},
		{"whole chunks, with extension and trailer", probe.KeepAlive, 2,
			answering("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;x=y\r\nhello\r\nA\r\n0123456789\r\n0\r\nT: v\r\n\r\n"), fates{probe.OK: 2}},
		{"EOF between chunks", probe.KeepAlive, 1, answeringOnce("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", eof), fates{probe.Truncated: 1}},
		{"EOF in a chunk", probe.KeepAlive, 1, answeringOnce("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhe", eof), fates{probe.Truncated: 1}},
		{"EOF before the end of trailers", probe.KeepAlive, 1, answeringOnce("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n", eof), fates{probe.Truncated: 1}},
		{"a chunk size that is none", probe.KeepAlive, 1, answeringOnce("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-5\r\n", eof), fates{probe.Malformed: 1}},
		{"a body until EOF", probe.KeepAlive, 2, answeringOnce("HTTP/1.1 200 OK\r\n\r\nhello", eof), fates{probe.OK: 2}},
		{"HTTP/1.0", probe.KeepAlive, 2, answeringOnce("HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello", eof), fates{probe.OK: 2}},
		{"Connection: close is honoured: the next request has a new connection", probe.KeepAlive, 3, answeringOnce(lastOne, eof), fates{probe.OK: 3}},
		{"no body with 204 and 304", probe.KeepAlive, 2, answering("HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n"), fates{probe.OK: 2}},
		{"103 before the answer", probe.KeepAlive, 2, answering("HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + whole), fates{probe.OK: 2}},
		{"bare line feeds", probe.KeepAlive, 2, answering("HTTP/1.1 200\nContent-Length: 2\n\nhi"), fates{probe.OK: 2}},
		{"prefix-relative-paths: another page in a later answer", probe.Download, 3,
			func(c *peer, number int) {
				c.request()
				c.say(lastOne[:len(lastOne)-1] + fmt.Sprint(number/3)) // the third one differs
			}, fates{probe.OK: 2, probe.Altered: 1}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			l := listen(t, "tcp", "127.0.0.1:0")
			play(t, l, test.script)
			load := probe.Load{Target: target(t, "http://"+l.Addr().String()+"/"), Mode: test.mode, Requests: test.requests, Timeout: time.Second}
			if test.mode == probe.Download {
				load.BytesPerSecond = 1 << 20
			}
			tally := run(t, load)
			if diff := cmp.Diff(test.want, tally.Fates); diff != "" {
				t.Errorf("fates (-want +got):\n%s%v", diff, tally.Failures)
			}
		})
	}
}

func TestFateWhereNobodyListens(t *testing.T) {
	closed := listen(t, "tcp", "127.0.0.1:0")
	closed.Close()
	for _, test := range []struct {
		url  string
		want probe.Fate
	}{
		{"http://" + closed.Addr().String() + "/", probe.Refused},
		{"https://" + closed.Addr().String() + "/", probe.Refused},
		{"http://unix:" + filepath.Join(t.TempDir(), "none.sock"), probe.Unreachable},
	} {
		// A target that is never reached shows in the tally; it is no error.
		tally := run(t, probe.Load{Target: target(t, test.url), Mode: probe.KeepAlive, Requests: 3})
		if diff := cmp.Diff(fates{test.want: 3}, tally.Fates); diff != "" || tally.Lost() != 3 || len(tally.Failures) != 3 {
			t.Errorf("%s: %s lost %d, %v", test.url, diff, tally.Lost(), tally.Failures)
		}
	}
}

func TestFateOfAUnixSocketWhoseQueueIsFull(t *testing.T) {
	path := filepath.Join(t.TempDir(), "full.sock")
	listenUnix(t, path, 0)
	tally := run(t, probe.Load{Target: target(t, "http://unix:"+path), Mode: probe.Connect, Clients: 8, Requests: 8, Timeout: 200 * time.Millisecond})
	if tally.Fates[probe.Refused] == 0 || tally.Fates[probe.Refused]+tally.Fates[probe.Timeout] != 8 {
		t.Errorf("%v: %v: want the ones behind the queue refused, the ones in it timed out", tally.Fates, tally.Failures)
	}
}

func TestFatesOfTLS(t *testing.T) {
	config := &tls.Config{Certificates: []tls.Certificate{selfSigned(t)}}
	handshake := func(c *peer) *peer {
		s := tls.Server(c.Conn, config)
		if s.Handshake() != nil {
			return nil
		}
		return newPeer(s)
	}
	verified := func(to *probe.Target) { to.Verify = true }
	for _, test := range []struct {
		name   string
		script script
		target func(*probe.Target)
		want   fates
	}{
		{"an unverified certificate is taken, answers flow", func(c *peer, _ int) {
			if c = handshake(c); c != nil {
				for c.request() {
					c.say(whole)
				}
			}
		}, nil, fates{probe.OK: 3}},
		{"verification, where asked for, fails", func(c *peer, _ int) { handshake(c) }, verified, fates{probe.TLS: 3}},
		{"a server without TLS", func(c *peer, _ int) { c.say("HTTP/1.1 400 Bad Request\r\n\r\n"); c.silence() }, nil, fates{probe.TLS: 3}},
		{"EOF in the handshake", func(c *peer, _ int) { _, _ = c.in.ReadByte() }, nil, fates{probe.EOFNew: 3}},
		{"RST in the handshake", func(c *peer, _ int) { _, _ = c.in.ReadByte(); c.reset() }, nil, fates{probe.Reset: 3}},
		{"idle-keepalive-close under TLS", func(c *peer, _ int) {
			if c = handshake(c); c != nil {
				c.request()
				c.say(whole)
				c.request()
				c.Close()
			}
		}, nil, fates{probe.OK: 2, probe.EOFIdle: 1}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			l := listen(t, "tcp", "127.0.0.1:0")
			play(t, l, test.script)
			to := target(t, "https://"+l.Addr().String()+"/")
			if test.target != nil {
				test.target(&to)
			}
			tally := run(t, probe.Load{Target: to, Mode: probe.KeepAlive, Requests: 3, Timeout: time.Second})
			if diff := cmp.Diff(test.want, tally.Fates); diff != "" {
				t.Errorf("fates (-want +got):\n%s%v", diff, tally.Failures)
			}
		})
	}
}

func TestProxyHeaderComesFirst(t *testing.T) {
	l := listen(t, "tcp", "127.0.0.1:0")
	lines := make(chan string, 1)
	play(t, l, func(c *peer, _ int) {
		line, _ := c.in.ReadString('\n')
		lines <- line
		c.request()
		c.say(whole)
	})
	to := target(t, "http://"+l.Addr().String()+"/")
	to.ProxyProtocol = true
	if a := probe.Once(t.Context(), to); a.Fate != probe.OK {
		t.Fatalf("%s: %v", a.Fate, a.Err)
	}
	want := fmt.Sprintf("PROXY TCP4 127.0.0.1 127.0.0.1 %%d %d\r\n", l.Addr().(*net.TCPAddr).Port)
	var port int
	if _, err := fmt.Sscanf(<-lines, want, &port); err != nil {
		t.Errorf("not %q: %v", want, err)
	}
}

func TestOnceTellsWhatItGot(t *testing.T) {
	path := filepath.Join(t.TempDir(), "n.sock")
	l := listen(t, "unix", path)
	play(t, l, func(c *peer, _ int) {
		c.request()
		c.say("HTTP/1.1 503 No\r\nServer: nginx/1.22.1\r\nContent-Length: 5\r\n\r\nhello")
	})
	a := probe.Once(t.Context(), target(t, "http://unix:"+path+":/x"))
	const sha = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824" // of "hello"
	if a.Fate != probe.OK || a.Status != 503 || a.Server != "nginx/1.22.1" || a.Bytes != 5 || a.SHA256 != sha || a.Latency <= 0 {
		t.Errorf("%+v", a)
	}
}

func TestOnceEndsWithItsContext(t *testing.T) {
	l := listen(t, "tcp", "127.0.0.1:0")
	play(t, l, func(c *peer, _ int) { c.silence() })
	a := probe.Once(within(t, 50*time.Millisecond), target(t, "http://"+l.Addr().String()+"/"))
	if a.Fate != probe.Timeout || a.Latency > 5*time.Second {
		t.Errorf("%s after %v: %v", a.Fate, a.Latency, a.Err)
	}
}

func TestFatesHaveStableNames(t *testing.T) {
	for fate := probe.Unknown; fate <= probe.Local; fate++ {
		text, err := json.Marshal(fate)
		if err != nil {
			t.Fatal(err)
		}
		var back probe.Fate
		if err := json.Unmarshal(text, &back); err != nil || back != fate {
			t.Errorf("%s reads back as %v: %v", text, back, err)
		}
	}
	var f probe.Fate
	if f != probe.Unknown || !f.Lost() {
		t.Error("the zero value is taken for success")
	}
	if err := f.UnmarshalText([]byte("fine")); err == nil {
		t.Error("an unknown name is taken")
	}
}

// TestAProberOutOfDescriptorsHasNoEvidence: what it could not ask must not look like success.
func TestAProberOutOfDescriptorsHasNoEvidence(t *testing.T) {
	l := listen(t, "tcp", "127.0.0.1:0")
	var usual unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &usual); err != nil {
		t.Fatal(err)
	}
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: 0, Max: usual.Max}); err != nil {
		t.Fatal(err)
	}
	tally, err := probe.Run(t.Context(), probe.Load{Target: target(t, "http://"+l.Addr().String()+"/"), Mode: probe.Connect, Requests: 2})
	if restored := unix.Setrlimit(unix.RLIMIT_NOFILE, &usual); restored != nil {
		t.Fatal(restored)
	}
	if diff := cmp.Diff(fates{probe.Local: 2}, tally.Fates); err != nil || diff != "" || tally.Lost() != 2 {
		t.Errorf("%v %s lost %d: %v", err, diff, tally.Lost(), tally.Failures)
	}
}
