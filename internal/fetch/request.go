// Package fetch downloads source releases and makes sure of what was downloaded: its length, its
// SHA-256, who signed it. It knows nothing of building.
package fetch

import (
	"context"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"path"
	"path/filepath"
	"strings"
	"time"
)

// DefaultMaxBytes bounds a download whose Request sets no bound: OpenResty's tarballs have 5 MiB.
const DefaultMaxBytes = 512 << 20

// Settings say how patient downloads are. The zero value is what users want.
type Settings struct {
	Stall    time.Duration                              // gives an attempt up when no byte came for so long; 0: 30 s
	Attempts int                                        // that bring next to nothing, in a row, before giving up; 0: 5
	RootCAs  *x509.CertPool                             // nil: the system's
	Log      *slog.Logger                               // retries and restarts; nil: nowhere
	Sleep    func(context.Context, time.Duration) error // between attempts; nil: by the clock
}

func (s Settings) withDefaults() Settings {
	if s.Stall <= 0 {
		s.Stall = 30 * time.Second
	}
	if s.Attempts <= 0 {
		s.Attempts = 5
	}
	if s.Log == nil {
		s.Log = slog.New(slog.DiscardHandler)
	}
	if s.Sleep == nil {
		s.Sleep = sleep
	}
	return s
}

// Request says what to download and where to put it.
type Request struct {
	URL      string
	Dir      string // made if need be; keeps the file, and NAME.part while it is incomplete
	Name     string // of the file in Dir; empty: the last element of the URL's path
	SHA256   string // hexadecimal; empty: not known beforehand
	MaxBytes int64  // 0: DefaultMaxBytes

	// NotThere tells the user what to do when the server has no such file. Empty: to check the URL.
	NotThere string

	// Progress is told after every read how many bytes lie in Dir, those of earlier attempts
	// included, and how many there will be: -1 when the server does not say. It runs in the
	// goroutine that called File.
	Progress func(done, total int64)

	Settings
}

// prepared is the request with its defaults filled in, and its URL parsed.
func (r Request) prepared() (Request, *url.URL, error) {
	r.Settings = r.Settings.withDefaults()
	u, err := parseURL(r.URL)
	if err != nil {
		return r, nil, err
	}
	if r.MaxBytes <= 0 {
		r.MaxBytes = DefaultMaxBytes
	}
	if r.Progress == nil {
		r.Progress = func(int64, int64) {}
	}
	if r.NotThere == "" {
		r.NotThere = "check the URL"
	}
	if r.Name == "" {
		r.Name = path.Base(u.Path)
	}
	if err := checkName(r.Name); err != nil {
		return r, nil, fmt.Errorf("download %s: %w", u.Redacted(), err)
	}
	if r.SHA256 != "" {
		if sum, err := hex.DecodeString(r.SHA256); err != nil || len(sum) != 32 {
			return r, nil, fmt.Errorf("download %s: --sha256 %q is no SHA-256: 64 hexadecimal digits are, as sha256sum prints them", u.Redacted(), r.SHA256)
		}
		r.SHA256 = strings.ToLower(r.SHA256)
	}
	return r, u, nil
}

func parseURL(raw string) (*url.URL, error) {
	u, err := url.Parse(raw)
	if err != nil {
		// The URL itself may hold a password.
		if e, ok := errors.AsType[*url.Error](err); ok {
			err = e.Err
		}
		return nil, fmt.Errorf("download: not a URL: %w", err)
	}
	if u.Scheme != "https" && u.Scheme != "http" || u.Host == "" {
		return nil, fmt.Errorf("download %s: not a URL of a web server; give https://HOST/PATH, or the path of a file that is here", u.Redacted())
	}
	u.Fragment, u.RawFragment = "", ""
	return u, nil
}

// checkName refuses what would lie elsewhere, hide, or collide with graft's own files in the directory.
func checkName(name string) error {
	plain := filepath.Base(name) == name && !strings.HasPrefix(name, ".") && len(name) <= 200 && name != "/" &&
		!strings.ContainsFunc(name, func(r rune) bool { return r < ' ' || r == 0x7f })
	if !plain || strings.HasSuffix(name, partSuffix) || strings.HasSuffix(name, recordSuffix) {
		return fmt.Errorf("%q cannot be the name of a downloaded file; the URL must end in one", name)
	}
	return nil
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-timer.C:
		return nil
	}
}
