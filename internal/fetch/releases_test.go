package fetch_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"graft/internal/fetch"
)

// page is built as OpenResty's download page is: packages, Windows archives, signatures, old names.
func page() string {
	var b strings.Builder
	b.WriteString(`<!DOCTYPE html>
<html lang="en"><head><title>OpenResty - Download</title><link rel="stylesheet" href="/css/main.css"></head>
<body><p>All the releases are signed by the public PGP key <code>A0E98066</code>.</p>
<!-- <li><a href="https://openresty.org/download/openresty-9.9.9.9.tar.gz">not yet</a></li> -->
<p>openresty-8.8.8.8.tar.gz is what we would like to have.</p>
<script>var next = '<a href="https://openresty.org/download/openresty-7.7.7.7.tar.gz">';</script>
<ul data-next="https://openresty.org/download/openresty-5.5.5.5.tar.gz"><li>64-bit: <a href="https://openresty.org/download/openresty-6.6.6.6-win64.zip">zip</a></li>`)
	for _, v := range []string{"1.9.15.1", "1.27.1.2", "1.31.1.1", "1.31.0.12", "1.31.1.2rc1", "1.31.1.1rc9", "1.21.4.1"} {
		fmt.Fprintf(&b, `<li><a href="https://openresty.org/download/openresty-%[1]s.tar.gz">openresty-%[1]s.tar.gz</a>&nbsp; 5.9MB
<a href="https://openresty.org/download/openresty-%[1]s.tar.gz.asc">PGP</a> <a href="changelog.html">Changes</a></li>`, v)
	}
	b.WriteString(`<li><a href="https://openresty.org/download/ngx_openresty-1.9.7.2.tar.gz">old</a></li>
<li><a href="https://openresty.org/download/openresty-1.99.tar.gz">x</a>
<a href="https://openresty.org/download/openresty-2.0.0.0.tar.gz.asc">signature of nothing</a>
<a href="/download/openresty-3.0.0.0-beta.tar.gz">x</a> <a href="%zz/openresty-4.0.0.0.tar.gz">x</a></ul></body></html>`)
	return b.String()
}

func answering(body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(body)) }
}

func TestTheLatestIsTheHighestReleaseThatIsLinkedTo(t *testing.T) {
	o := newOrigin(t, overTLS, answering(page()))
	got, err := fetch.Releases{Index: o.URL + "/en/download.html"}.Latest(t.Context(), o.settings())
	if err != nil || got != "1.31.1.1" {
		t.Errorf("%q, %v", got, err)
	}
	if path := o.requests()[0].URL.Path; path != "/en/download.html" {
		t.Errorf("asked for %s", path)
	}
}

func TestTheLatestOfAMirrorIsReadOffItsListing(t *testing.T) {
	listing := `<html><head><title>Index of /pub/openresty/</title></head><body><h1>Index of /pub/openresty/</h1><hr><pre><a href="../">../</a>
<A HREF='openresty-1.9.7.5.tar.gz'>openresty-1.9.7.5.tar.gz</A>   31-May-2016 10:01   3680000
<a href=openresty-1.27.1.10.tar.gz>openresty-1.27.1.10.tar.gz</a> 11-Mar-2025 09:00   6100000
<a href="./openresty-1.27.1.9.tar.gz?C=M&amp;O=A#x">openresty-1.27.1.9.tar.gz</a></pre></body></html>`
	for _, slash := range []string{"", "/"} {
		o := newOrigin(t, overHTTP, answering(listing))
		got, err := fetch.Releases{Mirror: o.URL + "/pub/openresty" + slash}.Latest(t.Context(), o.settings())
		if err != nil || got != "1.27.1.10" {
			t.Errorf("%q, %v", got, err)
		}
		if path := o.requests()[0].URL.Path; path != "/pub/openresty/" {
			t.Errorf("asked for %s", path)
		}
	}
}

func TestWithoutAReleaseOnThePageThereIsNoLatest(t *testing.T) {
	for name, body := range map[string]string{
		"empty":         "",
		"only rc":       `<a href="openresty-1.2.3.4rc1.tar.gz">`,
		"only mentions": "openresty-1.2.3.4.tar.gz",
		"binary":        string(noise(10_000)),
	} {
		o := newOrigin(t, overHTTP, answering(body))
		got, err := fetch.Releases{Mirror: o.URL}.Latest(t.Context(), o.settings())
		if err == nil {
			t.Fatalf("%s: %s", name, got)
		}
		says(t, err, o.URL, "links to no openresty-", "--source openresty-VERSION", "--mirror")
	}
}

func TestAnEndlessIndexIsNotRead(t *testing.T) {
	endless := func(w http.ResponseWriter, _ *http.Request) {
		for block := []byte(strings.Repeat("x", 1<<16)); ; {
			if _, err := w.Write(block); err != nil {
				return
			}
		}
	}
	o := newOrigin(t, overHTTP, endless)
	_, err := fetch.Releases{Mirror: o.URL}.Latest(t.Context(), o.settings())
	if err == nil {
		t.Fatal("it was read")
	}
	says(t, err, "larger", "--mirror")
	if o.bytesSent() > 16<<20 {
		t.Errorf("%d bytes were taken", o.bytesSent())
	}
}

func TestAnIndexIsAskedForAgainAndGivenUp(t *testing.T) {
	o := newOrigin(t, overHTTP, status(503), answering(page()))
	if got, err := (fetch.Releases{Mirror: o.URL}).Latest(t.Context(), o.settings()); err != nil || got != "1.31.1.1" {
		t.Errorf("%q, %v", got, err)
	}
	o = newOrigin(t, overHTTP, status(404))
	_, err := fetch.Releases{Mirror: o.URL}.Latest(t.Context(), o.settings())
	if err == nil {
		t.Fatal("found")
	}
	says(t, err, "404", "--mirror", "--source openresty-VERSION")
}

func TestAReleaseLiesWhereOpenRestyOrTheMirrorPutsIt(t *testing.T) {
	for _, tt := range []struct{ mirror, version, want string }{
		{"", "1.21.4.1", "https://openresty.org/download/openresty-1.21.4.1.tar.gz"},
		{"", "1.31.1.1rc2", "https://openresty.org/download/openresty-1.31.1.1rc2.tar.gz"},
		{"", "1.9.7.3", "https://openresty.org/download/openresty-1.9.7.3.tar.gz"},
		{"", "1.9.7.2", "https://openresty.org/download/ngx_openresty-1.9.7.2.tar.gz"},
		{"", "1.0.15.10", "https://openresty.org/download/ngx_openresty-1.0.15.10.tar.gz"},
		{"http://mirror:8080/or", "1.21.4.1", "http://mirror:8080/or/openresty-1.21.4.1.tar.gz"},
		{"https://mirror/or/?token=x", "1.21.4.1", "https://mirror/or/openresty-1.21.4.1.tar.gz?token=x"},
	} {
		if got, err := (fetch.Releases{Mirror: tt.mirror}).URL(tt.version); got != tt.want {
			t.Errorf("%q %s: %s, %v, want %s", tt.mirror, tt.version, got, err, tt.want)
		}
	}
}

func TestWhatIsNoVersionOrMirrorIsRefused(t *testing.T) {
	for _, version := range []string{"", "1.21", "latest", "1.21.4.1/../../x", "1.21.4.1 ", "v1.21.4.1", "1.21.4.1-beta", "1.2.3.4.5", "1.2.3.9999999"} {
		if got, err := (fetch.Releases{}).URL(version); err == nil {
			t.Errorf("%q: %s", version, got)
		}
	}
	for _, mirror := range []string{"/srv/mirror", "ftp://mirror/", "mirror.example"} {
		_, err := (fetch.Releases{Mirror: mirror}).URL("1.21.4.1")
		if err == nil {
			t.Fatal(mirror)
		}
		says(t, err, "--mirror")
	}
}
