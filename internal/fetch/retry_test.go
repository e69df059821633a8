package fetch_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"slices"
	"testing"
	"time"

	"graft/internal/fetch"
)

// waits records how long a download would have slept.
func waits(r *fetch.Request) *[]time.Duration {
	all := new([]time.Duration)
	r.Sleep = func(_ context.Context, d time.Duration) error {
		*all = append(*all, d)
		return nil
	}
	return all
}

func TestWhatPassesIsTriedAgainMoreAndMoreSlowly(t *testing.T) {
	o := newOrigin(t, overHTTP, status(500), status(503), status(408), status(429))
	r := o.request(t)
	slept := waits(&r)
	mustFetch(t, r, o.content)
	if want := []time.Duration{time.Second, 2 * time.Second, 4 * time.Second, 8 * time.Second}; !slices.Equal(*slept, want) {
		t.Errorf("slept %v, want %v", *slept, want)
	}
}

func TestAServerThatAsksForTimeIsGivenIt(t *testing.T) {
	in := func(d time.Duration) string { return time.Now().Add(d).UTC().Format(http.TimeFormat) }
	for _, tt := range []struct {
		header   string
		from, to time.Duration
	}{
		{"7", 7 * time.Second, 7 * time.Second},
		{in(30 * time.Second), 28 * time.Second, 31 * time.Second},
		{in(-time.Hour), time.Second, time.Second},
		{"-5", time.Second, time.Second},
		{"soon", time.Second, time.Second},
	} {
		o := newOrigin(t, overHTTP, status(429, "Retry-After", tt.header))
		r := o.request(t)
		slept := waits(&r)
		mustFetch(t, r, o.content)
		if len(*slept) != 1 || (*slept)[0] < tt.from || (*slept)[0] > tt.to {
			t.Errorf("Retry-After %q: slept %v", tt.header, *slept)
		}
	}
}

func TestAServerThatAsksForTooMuchTimeIsNotWaitedFor(t *testing.T) {
	for _, header := range []string{"3600", "99999999999"} {
		o := newOrigin(t, overHTTP, status(503, "Retry-After", header))
		r := o.request(t)
		slept := waits(&r)
		mustFail(t, r, "come back in", "503", "--mirror")
		if len(*slept) != 0 {
			t.Errorf("slept %v", *slept)
		}
	}
}

func TestAServerThatStaysBrokenIsGivenUp(t *testing.T) {
	o := newOrigin(t, overHTTP, slices.Repeat([]http.HandlerFunc{status(502)}, 20)...)
	r := o.request(t)
	r.Attempts = 3
	mustFail(t, r, r.URL, "3 attempts", "502", "--mirror")
	if n := len(o.requests()); n != 3 {
		t.Errorf("asked %d times", n)
	}
}

func TestAnAttemptThatBringsMuchStartsTheCountAnew(t *testing.T) {
	o := newOrigin(t, overHTTP)
	drip := func(w http.ResponseWriter, r *http.Request) {
		var from int
		if _, err := fmt.Sscanf(r.Header.Get("Range"), "bytes=%d-", &from); err == nil {
			w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", from, len(o.content)-1, len(o.content)))
			w.Header().Set("Content-Length", fmt.Sprint(len(o.content)-from))
			w.WriteHeader(http.StatusPartialContent)
		} else {
			w.Header().Set("ETag", `"one"`)
			w.Header().Set("Content-Length", fmt.Sprint(len(o.content)))
		}
		_, _ = w.Write(o.content[from:min(from+300_000, len(o.content))])
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}
	o.script = slices.Repeat([]http.HandlerFunc{drip}, 4)
	r := o.request(t)
	r.Attempts = 2
	slept := waits(&r)
	mustFetch(t, r, o.content)
	if want := slices.Repeat([]time.Duration{time.Second}, 3); !slices.Equal(*slept, want) {
		t.Errorf("slept %v, want %v", *slept, want)
	}
}

func TestNobodyListeningIsTriedAgain(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	r := fetch.Request{URL: "http://" + l.Addr().String() + "/openresty-1.2.3.4.tar.gz", Dir: t.TempDir()}
	slept := waits(&r)
	mustFail(t, r, "connection refused", "5 attempts")
	if len(*slept) != 4 {
		t.Errorf("slept %v", *slept)
	}
}

func TestAServerThatStallsInTheMiddleIsAskedAgainForTheRest(t *testing.T) {
	o := newOrigin(t, overHTTP)
	o.answers(o.hang(300_000))
	r := o.request(t)
	r.Stall = 100 * time.Millisecond
	mustFetch(t, r, o.content)
	if got := o.ranges(); !slices.Equal(got, []string{"", "bytes=300000-"}) {
		t.Errorf("asked for %q", got)
	}
}

func TestAServerThatNeverAnswersIsGivenUp(t *testing.T) {
	silent := func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }
	o := newOrigin(t, overHTTP, silent, silent)
	r := o.request(t)
	r.Stall, r.Attempts = 50*time.Millisecond, 2
	mustFail(t, r, "no byte came for 50ms", "2 attempts")
}

func TestAConnectionThatIsNeverTakenUpIsGivenUp(t *testing.T) {
	// The kernel completes the connection, and nobody speaks TLS on it.
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	r := fetch.Request{URL: "https://" + l.Addr().String() + "/openresty-1.2.3.4.tar.gz", Dir: t.TempDir()}
	r.Stall, r.Attempts = 50*time.Millisecond, 1
	mustFail(t, r, "no byte came for 50ms")
}

func TestASlowServerThatGoesOnIsWaitedFor(t *testing.T) {
	o := newOrigin(t, overHTTP)
	slow := func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "10")
		for i := range 10 {
			_, _ = w.Write(o.content[i : i+1])
			_ = http.NewResponseController(w).Flush()
			time.Sleep(60 * time.Millisecond)
		}
	}
	o.answers(slow)
	r := o.request(t)
	r.Stall, r.Attempts = 400*time.Millisecond, 1
	mustFetch(t, r, o.content[:10])
}

func TestACancelledWaitEndsAtOnce(t *testing.T) {
	o := newOrigin(t, overHTTP, status(503, "Retry-After", "60"))
	r := o.request(t)
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	r.Sleep = nil // by the clock
	start := time.Now()
	_, err := fetch.File(ctx, r)
	if err == nil || ctx.Err() == nil || time.Since(start) > 10*time.Second {
		t.Errorf("%v after %s", err, time.Since(start))
	}
}
