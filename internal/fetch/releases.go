package fetch

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/net/html"
)

const (
	userAgent = "graft"

	openRestyBase  = "https://openresty.org/download/"
	openRestyIndex = "https://openresty.org/en/download.html"

	maxIndexBytes = 4 << 20 // OpenResty's own has 60 KiB
)

// Releases is where OpenResty's releases lie. The zero value is OpenResty's own site.
type Releases struct {
	// Mirror is the URL of a directory with the same files. Empty: OpenResty's own.
	Mirror string
	// Index is the URL of the page that links to them. Empty: the Mirror itself, or OpenResty's own.
	Index string
}

var (
	versionForm = regexp.MustCompile(`^[0-9]{1,6}(\.[0-9]{1,6}){3}(rc[0-9]{1,3})?$`)
	releaseName = regexp.MustCompile(`^openresty-([0-9]{1,6}(?:\.[0-9]{1,6}){3})\.tar\.gz$`)
)

// URL of a version's tarball; its signature's has ".asc" after it.
func (r Releases) URL(version string) (string, error) {
	if !versionForm.MatchString(version) {
		return "", fmt.Errorf("%q is no version of OpenResty: 1.27.1.2 is one, and 'latest' is the newest", version)
	}
	base, err := r.base()
	if err != nil {
		return "", err
	}
	return base.JoinPath(archiveTop(version) + ".tar.gz").String(), nil
}

func (r Releases) base() (*url.URL, error) {
	u, err := parseURL(cmp.Or(r.Mirror, openRestyBase))
	if err != nil {
		return nil, fmt.Errorf("--mirror: %w", err)
	}
	return u, nil
}

// archiveTop is what a release's only top directory is called. Up to 1.9.7.2 the name was another.
func archiveTop(version string) string {
	if compareVersions(version, "1.9.7.2") <= 0 {
		return "ngx_openresty-" + version
	}
	return "openresty-" + version
}

func (r Releases) index() (*url.URL, error) {
	if r.Index != "" {
		return parseURL(r.Index)
	}
	if r.Mirror == "" {
		return parseURL(openRestyIndex)
	}
	base, err := r.base()
	if err != nil {
		return nil, err
	}
	return base.JoinPath("/"), nil // a directory: its listing
}

// Latest returns the highest version that the index links to; candidates and betas do not count.
func (r Releases) Latest(ctx context.Context, s Settings) (string, error) {
	u, err := r.index()
	if err != nil {
		return "", fmt.Errorf("find the latest OpenResty: %w", err)
	}
	s = s.withDefaults()
	client := newClient(s)
	defer client.CloseIdleConnections()
	var page []byte
	err = retry(ctx, s, u, func() (bool, error) {
		var err error
		page, err = readPage(ctx, client, s, u)
		return false, err
	})
	if err != nil {
		return "", fmt.Errorf("find the latest OpenResty in %s: %w; or name the version: --source openresty-VERSION", u.Redacted(), err)
	}
	versions := linkedVersions(page)
	if len(versions) == 0 {
		return "", fmt.Errorf("find the latest OpenResty in %s: the page links to no openresty-A.B.C.D.tar.gz; name the version (--source openresty-VERSION), or give a --mirror that lists its files", u.Redacted())
	}
	return slices.MaxFunc(versions, compareVersions), nil
}

func readPage(ctx context.Context, client *http.Client, s Settings, u *url.URL) ([]byte, error) {
	watched, watch := newWatch(ctx, s.Stall)
	defer watch.stop()
	req, err := http.NewRequestWithContext(watched, http.MethodGet, u.String(), nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("User-Agent", userAgent)
	resp, err := client.Do(req)
	if err != nil {
		return nil, networkError(watched, err, s.Stall)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, statusError(resp, u, "check --mirror", time.Now())
	}
	page, err := io.ReadAll(io.LimitReader(aliveReader{resp.Body, watch}, maxIndexBytes+1))
	if err != nil {
		return nil, networkError(watched, err, s.Stall)
	}
	if len(page) > maxIndexBytes {
		return nil, fmt.Errorf("%w: a page that lists releases has no %d bytes; check --mirror", ErrTooLarge, maxIndexBytes)
	}
	return page, nil
}

// linkedVersions lists the releases that a page's links lead to.
func linkedVersions(page []byte) []string {
	var versions []string
	z := html.NewTokenizer(bytes.NewReader(page))
	for {
		switch z.Next() {
		case html.ErrorToken:
			return versions
		case html.StartTagToken, html.SelfClosingTagToken:
			for _, a := range z.Token().Attr {
				if a.Key != "href" {
					continue
				}
				link, err := url.Parse(strings.TrimSpace(a.Val))
				if err != nil {
					continue
				}
				if m := releaseName.FindStringSubmatch(path.Base(link.Path)); m != nil {
					versions = append(versions, m[1])
				}
			}
		}
	}
}

// compareVersions compares numerically; a candidate comes before its release.
func compareVersions(a, b string) int {
	an, arc := splitVersion(a)
	bn, brc := splitVersion(b)
	return cmp.Or(slices.Compare(an, bn), cmp.Compare(arc, brc))
}

func splitVersion(v string) (numbers []int, candidate int) {
	v, rc, is := strings.Cut(v, "rc")
	candidate = 1 << 30
	if is {
		candidate, _ = strconv.Atoi(rc) // its form was checked
	}
	for n := range strings.SplitSeq(v, ".") {
		number, _ := strconv.Atoi(n)
		numbers = append(numbers, number)
	}
	return numbers, candidate
}
