package probe_test

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"math/big"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"graft/internal/probe"
)

// script is what a hostile server does with one connection; the number counts connections from 1.
type script func(c *peer, number int)

// peer is the server's end of a connection.
type peer struct {
	net.Conn
	in *bufio.Reader
}

// request reads one request and reports whether there was one.
func (p *peer) request() bool {
	r, err := http.ReadRequest(p.in)
	return err == nil && r.Body.Close() == nil
}

func (p *peer) say(s string) { _, _ = io.WriteString(p, s) }

// reset closes with an RST, as a killed process with unread data does.
func (p *peer) reset() {
	_ = p.Conn.(*net.TCPConn).SetLinger(0)
	p.Close()
}

// silence says nothing until the client gives up.
func (p *peer) silence() { _, _ = io.Copy(io.Discard, p.in) }

// play runs script on every connection to l until the test ends.
func play(t *testing.T, l net.Listener, script script) {
	t.Helper()
	var running sync.WaitGroup
	running.Go(func() {
		for number := 1; ; number++ {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			running.Go(func() {
				defer conn.Close()
				script(newPeer(conn), number)
			})
		}
	})
	t.Cleanup(func() {
		l.Close()
		running.Wait()
	})
}

func listen(t *testing.T, network, address string) net.Listener {
	t.Helper()
	l, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

func target(t *testing.T, url string) probe.Target {
	t.Helper()
	target, err := probe.ParseURL(url)
	if err != nil {
		t.Fatal(err)
	}
	return target
}

func run(t *testing.T, l probe.Load) probe.Tally {
	t.Helper()
	tally, err := probe.Run(t.Context(), l)
	if err != nil {
		t.Fatal(err)
	}
	return tally
}

// within gives a context that outlives the test's own work but not its patience.
func within(t *testing.T, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

// selfSigned is a certificate for nobody: the prober does not verify it.
func selfSigned(t *testing.T) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, &template, &template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

func newPeer(c net.Conn) *peer { return &peer{c, bufio.NewReader(c)} }

// listenUnix listens with a queue of that length, which net.Listen does not let choose. Nobody accepts.
func listenUnix(t *testing.T, path string, backlog int) {
	t.Helper()
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	if err := errors.Join(unix.Bind(fd, &unix.SockaddrUnix{Name: path}), unix.Listen(fd, backlog)); err != nil {
		t.Fatal(err)
	}
}
