package fetch

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"
)

const maxRedirects = 10

// errStalled is the cause of an attempt's end when no byte came in time.
var errStalled = errors.New("stalled")

// newClient returns a client that follows redirects only within https or up to it. Its attempts have
// no time-out of their own: a watch ends those that stall.
func newClient(s Settings) *http.Client {
	return &http.Client{
		Transport: &http.Transport{
			Proxy:                  http.ProxyFromEnvironment,
			TLSClientConfig:        &tls.Config{RootCAs: s.RootCAs, MinVersion: tls.VersionTLS12},
			ForceAttemptHTTP2:      true,
			DisableCompression:     true, // the file's own bytes are wanted, and their number
			MaxResponseHeaderBytes: 64 << 10,
		},
		CheckRedirect: checkRedirect,
	}
}

func checkRedirect(to *http.Request, via []*http.Request) error {
	from := via[len(via)-1]
	switch {
	case to.URL.Scheme != "https" && to.URL.Scheme != "http":
		return fmt.Errorf("%w: %s sends to %s, which is no web server's", ErrRedirect, from.URL.Redacted(), to.URL.Redacted())
	case from.URL.Scheme == "https" && to.URL.Scheme == "http":
		return fmt.Errorf("%w: %s sends to %s, which anybody on the way can change; give a --mirror that stays with https",
			ErrRedirect, from.URL.Redacted(), to.URL.Redacted())
	case len(via) > maxRedirects:
		return fmt.Errorf("%w: more than %d in a row, the last to %s; give another --mirror", ErrRedirect, maxRedirects, to.URL.Redacted())
	}
	return nil
}

// watch ends an attempt that stalls.
type watch struct {
	stall  time.Duration
	timer  *time.Timer
	cancel context.CancelCauseFunc
}

func newWatch(ctx context.Context, stall time.Duration) (context.Context, *watch) {
	ctx, cancel := context.WithCancelCause(ctx)
	return ctx, &watch{stall, time.AfterFunc(stall, func() { cancel(errStalled) }), cancel}
}

// alive starts the time anew.
func (w *watch) alive() { w.timer.Reset(w.stall) }

func (w *watch) stop() {
	w.timer.Stop()
	w.cancel(nil)
}

// networkError tells what an error of the client or of reading a body means. ctx is the watch's.
func networkError(ctx context.Context, err error, stall time.Duration) error {
	if errors.Is(context.Cause(ctx), errStalled) {
		return passingf("no byte came for %s", stall)
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if e, ok := errors.AsType[*url.Error](err); ok {
		err = e.Err // it names the URL once more
	}
	if errors.Is(err, ErrRedirect) {
		return err
	}
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return fmt.Errorf("the server's certificate is not trusted: %w; if a proxy of yours re-signs, add its authority to this host's or name it in SSL_CERT_FILE", err)
	}
	if e, ok := errors.AsType[*net.DNSError](err); ok && e.IsNotFound {
		return fmt.Errorf("%w; check the name, give a --mirror that this host reaches, or the file itself: --source FILE", err)
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return passingf("the server hung up: %w", err)
	}
	return &passing{err: err}
}

// aliveReader tells the watch of every read that returns.
type aliveReader struct {
	body  io.Reader
	watch *watch
}

func (r aliveReader) Read(p []byte) (int, error) {
	n, err := r.body.Read(p)
	r.watch.alive()
	return n, err
}
