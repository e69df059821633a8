package fetch_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"graft/internal/fetch"
)

// origin is a server of one file that answers well, except where its script says otherwise.
type origin struct {
	*httptest.Server
	content []byte
	etag    string

	mu     sync.Mutex
	script []http.HandlerFunc // for the first requests, in order; nil: answer well
	asked  []*http.Request
	sent   int // bytes of bodies
}

func newOrigin(t *testing.T, start func(*httptest.Server), script ...http.HandlerFunc) *origin {
	t.Helper()
	o := &origin{content: noise(1 << 20), etag: `"one"`, script: script}
	o.Server = httptest.NewUnstartedServer(o)
	start(o.Server)
	t.Cleanup(func() {
		o.CloseClientConnections()
		o.Close()
	})
	return o
}

func overHTTP(s *httptest.Server) { s.Start() }

func overTLS(s *httptest.Server) { s.StartTLS() }

func overHTTP2(s *httptest.Server) {
	s.EnableHTTP2 = true
	s.StartTLS()
}

func noise(n int) []byte {
	b := make([]byte, n)
	r := rand.NewChaCha8([32]byte{7})
	_, _ = r.Read(b)
	return b
}

func (o *origin) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	o.mu.Lock()
	n := len(o.asked)
	o.asked = append(o.asked, r.Clone(context.Background()))
	content, etag, script := o.content, o.etag, o.script
	o.mu.Unlock()
	w = &counting{w, o}
	if n < len(script) && script[n] != nil {
		script[n](w, r)
		return
	}
	w.Header().Set("ETag", etag)
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(content))
}

type counting struct {
	http.ResponseWriter
	o *origin
}

func (c *counting) Write(p []byte) (int, error) {
	n, err := c.ResponseWriter.Write(p)
	c.o.mu.Lock()
	c.o.sent += n
	c.o.mu.Unlock()
	return n, err
}

func (c *counting) Unwrap() http.ResponseWriter { return c.ResponseWriter }

// requests that came so far.
func (o *origin) requests() []*http.Request {
	o.mu.Lock()
	defer o.mu.Unlock()
	return append([]*http.Request(nil), o.asked...)
}

func (o *origin) bytesSent() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.sent
}

// answers as the script says, from now on, those who come from other processes too.
func (o *origin) answers(script ...http.HandlerFunc) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.script = script
}

// becomes another file.
func (o *origin) becomes(content []byte, etag string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.content, o.etag = content, etag
}

// cut sends the first n bytes of the whole file and hangs up.
func (o *origin) cut(n int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("ETag", o.etag)
		w.Header().Set("Content-Length", fmt.Sprint(len(o.content)))
		_, _ = w.Write(o.content[:n])
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}
}

// hang sends the first n bytes and then nothing, until the client goes away.
func (o *origin) hang(n int) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("ETag", o.etag)
		w.Header().Set("Content-Length", fmt.Sprint(len(o.content)))
		_, _ = w.Write(o.content[:n])
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	}
}

func status(code int, header ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		for i := 0; i+1 < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		http.Error(w, "no", code)
	}
}

// request for the origin's file in a directory of its own. It waits for nothing between attempts.
func (o *origin) request(t *testing.T) fetch.Request {
	t.Helper()
	return fetch.Request{
		URL: o.URL + "/download/openresty-1.2.3.4.tar.gz", Dir: t.TempDir(),
		Settings: o.settings(),
	}
}

func (o *origin) settings() fetch.Settings {
	s := fetch.Settings{
		Stall: 10 * time.Second,
		Sleep: func(ctx context.Context, _ time.Duration) error { return ctx.Err() },
	}
	if o.Certificate() != nil {
		s.RootCAs = x509.NewCertPool()
		s.RootCAs.AddCert(o.Certificate())
	}
	return s
}

// mustFetch downloads and compares what lies there then.
func mustFetch(t *testing.T, r fetch.Request, want []byte) {
	t.Helper()
	path, err := fetch.File(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	holds(t, path, want)
	if _, err := os.Lstat(path + ".part"); err == nil {
		t.Errorf("%s.part is left", path)
	}
}

func holds(t *testing.T, path string, want []byte) {
	t.Helper()
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s has %d bytes that are not the %d wanted", path, len(got), len(want))
	}
}

// mustFail expects an error that says all of the words, and no file.
func mustFail(t *testing.T, r fetch.Request, words ...string) error {
	t.Helper()
	path, err := fetch.File(t.Context(), r)
	if err == nil {
		t.Fatalf("downloaded to %s", path)
	}
	says(t, err, words...)
	if _, err := os.Lstat(filepath.Join(r.Dir, "openresty-1.2.3.4.tar.gz")); err == nil {
		t.Error("a file is there all the same")
	}
	return err
}

func says(t *testing.T, err error, words ...string) {
	t.Helper()
	for _, w := range words {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("the error does not say %q: %v", w, err)
		}
	}
}

func sum(content []byte) string {
	s := sha256.Sum256(content)
	return hex.EncodeToString(s[:])
}

func logTo(t *testing.T) *slog.Logger {
	return slog.New(slog.NewTextHandler(t.Output(), nil))
}
