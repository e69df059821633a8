package fetch_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"graft/internal/fetch"
)

func sleepNever(slept *int) func(context.Context, time.Duration) error {
	return func(context.Context, time.Duration) error { *slept++; return nil }
}

// ranges that were asked for, in order; "" is the whole file.
func (o *origin) ranges() []string {
	var all []string
	for _, r := range o.requests() {
		all = append(all, r.Header.Get("Range"))
	}
	return all
}

func TestATruncatedBodyIsGoneOnWithWhereItEnded(t *testing.T) {
	o := newOrigin(t, overHTTP)
	o.answers(o.cut(400_000))
	r := o.request(t)
	mustFetch(t, r, o.content)
	if got := o.ranges(); !slices.Equal(got, []string{"", "bytes=400000-"}) {
		t.Errorf("asked for %q", got)
	}
	if got := o.requests()[1].Header.Get("If-Range"); got != `"one"` {
		t.Errorf("If-Range %q", got)
	}
	if o.bytesSent() != len(o.content) {
		t.Errorf("%d bytes sent for %d", o.bytesSent(), len(o.content))
	}
}

func TestAnotherRunGoesOnWhereTheFirstEnded(t *testing.T) {
	for name, end := range map[string]func(*origin) http.HandlerFunc{
		"gave up":   func(o *origin) http.HandlerFunc { return o.cut(300_000) },
		"cancelled": func(o *origin) http.HandlerFunc { return o.hang(300_000) },
	} {
		t.Run(name, func(t *testing.T) {
			o := newOrigin(t, overHTTP)
			o.answers(end(o))
			r := o.request(t)
			r.Attempts = 1
			ctx, cancel := context.WithCancel(t.Context())
			r.Progress = func(done, _ int64) {
				if done == 300_000 && name == "cancelled" {
					cancel()
				}
			}
			_, err := fetch.File(ctx, r)
			if err == nil || (name == "cancelled") != errors.Is(err, context.Canceled) {
				t.Fatal(err)
			}
			cancel()
			var first int64 = -1
			r.Progress = func(done, _ int64) {
				if first < 0 {
					first = done
				}
			}
			mustFetch(t, r, o.content)
			if got := o.ranges(); !slices.Equal(got, []string{"", "bytes=300000-"}) || first != 300_000 {
				t.Errorf("asked for %q, progress from %d", got, first)
			}
		})
	}
}

func TestAPartThatIsWholeIsNotAskedFor(t *testing.T) {
	o := newOrigin(t, overHTTP)
	o.answers(o.cut(300_000))
	r := o.request(t)
	r.Attempts = 1
	mustFail(t, r, "300000 of 1048576 bytes", "goes on after the 300000 bytes")
	// The process ended between the last byte and the rename.
	part := filepath.Join(r.Dir, "openresty-1.2.3.4.tar.gz.part")
	if err := os.WriteFile(part, o.content, 0o644); err != nil {
		t.Fatal(err)
	}
	mustFetch(t, r, o.content)
	if n := len(o.requests()); n != 1 {
		t.Errorf("asked %d times", n)
	}
}

func TestAServerThatIgnoresTheRangeIsTakenFromTheStart(t *testing.T) {
	o := newOrigin(t, overHTTP)
	whole := func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("ETag", `"one"`)
		_, _ = w.Write(o.content)
	}
	o.answers(o.cut(300_000), whole)
	mustFetch(t, o.request(t), o.content)
	if got := o.ranges(); !slices.Equal(got, []string{"", "bytes=300000-"}) {
		t.Errorf("asked for %q", got)
	}
}

func TestAFileThatChangedBetweenAttemptsIsTakenFromTheStart(t *testing.T) {
	o := newOrigin(t, overHTTP)
	o.answers(o.cut(300_000))
	r := o.request(t)
	r.Attempts = 1
	mustFail(t, r)
	o.becomes(append(noise(500_000), '!'), `"two"`)
	mustFetch(t, r, o.content)
}

// partial answers with the rest of content and the headers given, whatever was asked for.
func partial(content []byte, from int, header ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", from, len(content)-1, len(content)))
		for i := 0; i+1 < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		w.WriteHeader(http.StatusPartialContent)
		_, _ = w.Write(content[from:])
	}
}

func TestAPartThatDoesNotFitIsNotAppended(t *testing.T) {
	const had = 300_000
	o := newOrigin(t, overHTTP)
	other := append(noise(1<<20), "longer"...)
	for name, answer := range map[string]http.HandlerFunc{
		"another length":     partial(other, had),
		"another validator":  partial(o.content, had, "ETag", `"two"`),
		"another start":      partial(o.content, had+1),
		"from the start":     partial(o.content, 0),
		"no range named":     partial(o.content, had, "Content-Range", ""),
		"a range of nothing": partial(o.content, had, "Content-Range", "bytes */1048576"),
		"a wild range":       partial(o.content, had, "Content-Range", "bytes 99999999999999999999-5/1"),
		"many parts":         partial(o.content, had, "Content-Type", "multipart/byteranges; boundary=x", "Content-Range", ""),
		"less than named":    partial(o.content, had, "Content-Length", "5"),
		"not satisfiable":    status(416, "Content-Range", "bytes */5"),
	} {
		t.Run(name, func(t *testing.T) {
			o := newOrigin(t, overHTTP)
			o.answers(o.cut(had), answer)
			mustFetch(t, o.request(t), o.content)
			if got := o.ranges(); !slices.Equal(got, []string{"", "bytes=300000-", ""}) {
				t.Errorf("asked for %q", got)
			}
		})
	}
}

func TestAPartThatWasNotAskedForIsNotTaken(t *testing.T) {
	for _, from := range []int{0, 10} {
		o := newOrigin(t, overHTTP)
		o.answers(partial(o.content, from))
		mustFetch(t, o.request(t), o.content)
		if n := len(o.requests()); n != 2 {
			t.Errorf("asked %d times", n)
		}
	}
}

func TestARestThatEndsEarlyIsGoneOnWithToo(t *testing.T) {
	o := newOrigin(t, overHTTP)
	short := func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Range", fmt.Sprintf("bytes 300000-%d/%d", len(o.content)-1, len(o.content)))
		w.WriteHeader(http.StatusPartialContent)
		_, _ = w.Write(o.content[300_000:400_000])
		_ = http.NewResponseController(w).Flush() // chunked: it ends as if it were whole
	}
	o.answers(o.cut(300_000), short)
	mustFetch(t, o.request(t), o.content)
	if got := o.ranges(); !slices.Equal(got, []string{"", "bytes=300000-", "bytes=400000-"}) {
		t.Errorf("asked for %q", got)
	}
}

func TestPartsOfTwoFilesWithOneValidatorAreFoundOutByTheSum(t *testing.T) {
	for name, runs := range map[string]int{"in one run": 1, "in two runs": 2} {
		t.Run(name, func(t *testing.T) {
			o := newOrigin(t, overHTTP)
			changed := slices.Clone(o.content)
			changed[5] ^= 1
			cut := o.cut(300_000)
			o.script = []http.HandlerFunc{func(w http.ResponseWriter, r *http.Request) {
				defer o.becomes(changed, `"one"`)
				cut(w, r)
			}}
			r := o.request(t)
			if runs == 2 {
				r.Attempts = 1
				mustFail(t, r)
				r.Attempts = 0
			}
			r.SHA256 = sum(changed)
			mustFetch(t, r, changed)
			if got := o.ranges(); !slices.Equal(got, []string{"", "bytes=300000-", ""}) {
				t.Errorf("asked for %q", got)
			}
		})
	}
}

func TestALastModifiedIsAValidatorOnlyIfItIsOld(t *testing.T) {
	modified := time.Now().Add(-time.Hour).UTC().Format(http.TimeFormat)
	for name, tt := range map[string]struct{ header, want []string }{
		"strong ETag":       {[]string{"ETag", `"x"`, "Last-Modified", modified}, []string{"", "bytes=300000-"}},
		"old Last-Modified": {[]string{"Last-Modified", modified}, []string{"", "bytes=300000-"}},
		"new Last-Modified": {[]string{"Last-Modified", modified, "Date", modified}, []string{"", ""}},
		"weak ETag":         {[]string{"ETag", `W/"x"`}, []string{"", ""}},
		"nothing":           {nil, []string{"", ""}},
	} {
		t.Run(name, func(t *testing.T) {
			o := newOrigin(t, overHTTP)
			answer := func(w http.ResponseWriter, r *http.Request) {
				for i := 0; i+1 < len(tt.header); i += 2 {
					w.Header().Set(tt.header[i], tt.header[i+1])
				}
				if len(o.requests()) == 1 {
					w.Header().Set("Content-Length", fmt.Sprint(len(o.content)))
					_, _ = w.Write(o.content[:300_000])
					panic(http.ErrAbortHandler)
				}
				if from := r.Header.Get("Range"); from != "" {
					partial(o.content, 300_000)(w, r)
					return
				}
				_, _ = w.Write(o.content)
			}
			o.answers(answer, answer)
			r := o.request(t)
			r.Attempts = 1
			mustFail(t, r)
			mustFetch(t, r, o.content)
			if got := o.ranges(); !slices.Equal(got, tt.want) {
				t.Errorf("asked for %q, want %q", got, tt.want)
			}
		})
	}
}

func TestWithASHA256AServerWithoutValidatorsIsGoneOnWith(t *testing.T) {
	o := newOrigin(t, overHTTP)
	o.etag = ""
	o.answers(o.cut(300_000))
	r := o.request(t)
	r.SHA256 = sum(o.content)
	mustFetch(t, r, o.content)
	if got := o.requests()[1].Header; got.Get("Range") != "bytes=300000-" || got.Get("If-Range") != "" {
		t.Errorf("asked with %v", got)
	}
}

func TestAPartOfAnotherURLOrBootIsNotGoneOnWith(t *testing.T) {
	for field, value := range map[string]any{"url": "http://other/openresty-1.2.3.4.tar.gz", "boot": "before the power loss"} {
		t.Run(field, func(t *testing.T) {
			o := newOrigin(t, overHTTP)
			o.answers(o.cut(300_000))
			r := o.request(t)
			r.Attempts = 1
			mustFail(t, r)
			path := filepath.Join(r.Dir, "openresty-1.2.3.4.tar.gz.part.fetch.json")
			data, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			var record map[string]any
			if err := json.Unmarshal(data, &record); err != nil || record[field] == nil {
				t.Fatalf("%v in %s", err, data)
			}
			record[field] = value
			if data, err = json.Marshal(record); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, data, 0o644); err != nil {
				t.Fatal(err)
			}
			mustFetch(t, r, o.content)
			if got := o.ranges(); !slices.Equal(got, []string{"", ""}) {
				t.Errorf("asked for %q", got)
			}
		})
	}
}

func TestAPartWithoutOrWithADamagedRecordIsNotGoneOnWith(t *testing.T) {
	for name, damage := range map[string]func(path string) error{
		"gone":    os.Remove,
		"damaged": func(path string) error { return os.WriteFile(path, []byte(`{"url":`), 0o644) },
		"lying":   func(path string) error { return os.WriteFile(path, []byte(`{"length":-7}`), 0o644) },
	} {
		t.Run(name, func(t *testing.T) {
			o := newOrigin(t, overHTTP)
			o.answers(o.cut(300_000))
			r := o.request(t)
			r.Attempts = 1
			mustFail(t, r)
			if err := damage(filepath.Join(r.Dir, "openresty-1.2.3.4.tar.gz.part.fetch.json")); err != nil {
				t.Fatal(err)
			}
			mustFetch(t, r, o.content)
		})
	}
}

func TestAFailureLeavesWhatItHasAndSaysHowToGoOn(t *testing.T) {
	o := newOrigin(t, overHTTP)
	o.answers(o.cut(100), o.cut(100), o.cut(100), o.cut(100), o.cut(100))
	r := o.request(t)
	slept := 0
	r.Sleep = sleepNever(&slept)
	err := mustFail(t, r, "gave up after 5 attempts", "100 of 1048576 bytes", "--mirror")
	if n := len(o.requests()); n != 5 || slept != 4 {
		t.Errorf("asked %d times, slept %d: %v", n, slept, err)
	}
}

func TestALengthThatNoBodyEverHasIsGivenUp(t *testing.T) {
	o := newOrigin(t, overHTTP)
	short := func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.Header.Get("Range"), "bytes=") {
			w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", len(o.content), len(o.content)+9, len(o.content)+10))
			w.Header().Set("ETag", `"one"`)
			w.Header().Set("Content-Length", "10")
			w.WriteHeader(http.StatusPartialContent)
			_ = http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		}
		w.Header().Set("ETag", `"one"`)
		w.Header().Set("Content-Length", fmt.Sprint(len(o.content)+10))
		_, _ = w.Write(o.content)
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}
	o.script = slices.Repeat([]http.HandlerFunc{short}, 50)
	mustFail(t, o.request(t), "gave up", "1048576 of 1048586 bytes")
	if n := len(o.requests()); n > 8 {
		t.Errorf("asked %d times", n)
	}
}
