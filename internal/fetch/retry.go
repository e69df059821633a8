package fetch

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

const (
	backoffFirst = time.Second
	backoffMost  = 30 * time.Second
	// A server that wants to be left alone for longer is not waited for.
	retryAfterMost = 2 * time.Minute
)

// retry tries until it works, a final error comes, or the attempts are used up. An attempt that
// brought something to keep starts the count anew.
func retry(ctx context.Context, s Settings, u *url.URL, try func() (gained bool, err error)) error {
	failures := 0
	for {
		gained, err := try()
		if err == nil {
			return nil
		}
		var again *passing
		if !errors.As(err, &again) {
			return err
		}
		if gained {
			failures = 0
		}
		failures++
		if failures >= s.Attempts {
			return fmt.Errorf("gave up after %d attempts, the last: %w; try again later, or give another --mirror", failures, err)
		}
		wait := again.after
		if wait > retryAfterMost {
			return fmt.Errorf("the server asks to come back in %s: %w; do so, or give another --mirror", wait, err)
		}
		if wait == 0 {
			wait = min(backoffFirst<<(failures-1), backoffMost)
		}
		s.Log.Warn("download interrupted, trying again", "url", u.Redacted(), "reason", err.Error(), "in", wait)
		if err := s.Sleep(ctx, wait); err != nil {
			return err
		}
	}
}

// statusError is for every answer that has no file in it.
func statusError(resp *http.Response, u *url.URL, notThere string, now time.Time) error {
	code := resp.StatusCode
	e := &StatusError{URL: u.Redacted(), Status: code}
	switch {
	case code == http.StatusRequestTimeout || code == http.StatusTooManyRequests || code >= 500:
		return &passing{fmt.Errorf("the server answers %d %s", code, http.StatusText(code)), retryAfter(resp.Header.Get("Retry-After"), now)}
	case code == http.StatusNotFound || code == http.StatusGone:
		e.Next = notThere
	case code == http.StatusUnauthorized || code == http.StatusForbidden:
		e.Next = "the server does not give it to everybody: " + notThere + ", or put what it asks for into the URL"
	case code == http.StatusProxyAuthRequired:
		e.Next = "the proxy asks for a name and a password: put them into https_proxy"
	case code >= 400:
		e.Next = notThere
	default:
		e.Next = "that is no file; " + notThere
	}
	return e
}

// retryAfter is 0 when the header says nothing that is to be waited for.
func retryAfter(header string, now time.Time) time.Duration {
	if seconds, err := strconv.Atoi(header); err == nil {
		return time.Duration(min(max(seconds, 0), 1<<30)) * time.Second
	}
	if at, err := http.ParseTime(header); err == nil {
		return max(at.Sub(now), 0).Round(time.Second)
	}
	return 0
}
