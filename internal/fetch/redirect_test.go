package fetch_test

import (
	"errors"
	"net/http"
	"testing"

	"graft/internal/fetch"
)

func redirect(to string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, to, http.StatusFound) }
}

func TestARedirectWithinHTTPSIsFollowed(t *testing.T) {
	o := newOrigin(t, overTLS)
	o.answers(redirect("/elsewhere"))
	mustFetch(t, o.request(t), o.content)
}

func TestARedirectFromHTTPToHTTPSIsFollowed(t *testing.T) {
	o := newOrigin(t, overTLS)
	plain := newOrigin(t, overHTTP, redirect(o.URL+"/openresty-1.2.3.4.tar.gz"))
	r := plain.request(t)
	r.Settings = o.settings()
	mustFetch(t, r, o.content)
}

func TestARedirectFromHTTPSToHTTPIsRefused(t *testing.T) {
	plain := newOrigin(t, overHTTP)
	o := newOrigin(t, overTLS, redirect(plain.URL+"/openresty-1.2.3.4.tar.gz"))
	r := o.request(t)
	slept := waits(&r)
	if err := mustFail(t, r, r.URL, plain.URL, "https", "--mirror"); !errors.Is(err, fetch.ErrRedirect) {
		t.Error(err)
	}
	if n := len(plain.requests()); n != 0 || len(*slept) != 0 {
		t.Errorf("asked in the open %d times, slept %v", n, *slept)
	}
}

func TestARedirectToSomethingElseThanTheWebIsRefused(t *testing.T) {
	o := newOrigin(t, overHTTP, redirect("file:///etc/passwd"))
	if err := mustFail(t, o.request(t), "file:///etc/passwd"); !errors.Is(err, fetch.ErrRedirect) {
		t.Error(err)
	}
}

func TestARedirectLoopEnds(t *testing.T) {
	o := newOrigin(t, overHTTP)
	loop := redirect("/again")
	for range 100 {
		o.script = append(o.script, loop)
	}
	if err := mustFail(t, o.request(t), "more than 10"); !errors.Is(err, fetch.ErrRedirect) {
		t.Error(err)
	}
	if n := len(o.requests()); n != 11 {
		t.Errorf("asked %d times", n)
	}
}
