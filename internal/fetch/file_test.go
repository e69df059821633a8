package fetch_test

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"graft/internal/fetch"
)

func TestADownloadEndsAsAWholeFileInItsPlace(t *testing.T) {
	for name, start := range map[string]func(*httptest.Server){"http": overHTTP, "https": overTLS, "http2": overHTTP2} {
		t.Run(name, func(t *testing.T) {
			o := newOrigin(t, start)
			r := o.request(t)
			r.Dir = filepath.Join(r.Dir, "made", "on", "the", "way")
			var seen []int64
			r.Progress = func(done, total int64) {
				if total != int64(len(o.content)) {
					t.Fatalf("progress of %d", total)
				}
				seen = append(seen, done)
			}
			mustFetch(t, r, o.content)
			if !slices.IsSorted(seen) || seen[0] != 0 || seen[len(seen)-1] != int64(len(o.content)) {
				t.Errorf("progress: %d steps from %d to %d", len(seen), seen[0], seen[len(seen)-1])
			}
		})
	}
}

func TestOnlyABareNameCanBeWritten(t *testing.T) {
	o := newOrigin(t, overHTTP)
	for _, name := range []string{"../x", "/x", "a/b", "..", ".hidden", "x.part", "x.fetch.json", "a\nb", strings.Repeat("x", 201)} {
		r := o.request(t)
		r.Name = name
		mustFail(t, r, "cannot be the name")
	}
	r := o.request(t)
	r.URL = o.URL + "/"
	mustFail(t, r, "must end in one")
	r.URL = o.URL + "/%2e%2e%2fx.tar.gz"
	if path, err := fetch.File(t.Context(), r); err != nil || filepath.Dir(path) != r.Dir {
		t.Errorf("%s, %v", path, err)
	}
}

func TestWhatIsNoURLOfAWebServerIsRefused(t *testing.T) {
	for _, u := range []string{"", "openresty.tar.gz", "file:///etc/passwd", "ftp://h/x", "https:///x", "http://u:secret@h/%zz"} {
		_, err := fetch.File(t.Context(), fetch.Request{URL: u, Dir: t.TempDir()})
		if err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v", u, err)
		}
	}
}

func TestAFileThatIsNotThereIsFinal(t *testing.T) {
	for _, code := range []int{400, 401, 403, 404, 410, 451} {
		o := newOrigin(t, overHTTP, status(code))
		r := o.request(t)
		r.NotThere = "give another --mirror"
		err := mustFail(t, r, r.URL, fmt.Sprint(code), http.StatusText(code), r.NotThere)
		if e, ok := errors.AsType[*fetch.StatusError](err); !ok || e.Status != code || e.URL != r.URL {
			t.Errorf("%#v", err)
		}
		if n := len(o.requests()); n != 1 {
			t.Errorf("%d: asked %d times", code, n)
		}
	}
}

func TestAPasswordInTheURLIsUsedButNotShown(t *testing.T) {
	o := newOrigin(t, overHTTP, status(403))
	r := o.request(t)
	r.URL = strings.Replace(r.URL, "://", "://me:secret@", 1)
	if err := mustFail(t, r, "me:xxxxx@"); strings.Contains(err.Error(), "secret") {
		t.Error(err)
	}
	if _, password, _ := o.requests()[0].BasicAuth(); password != "secret" {
		t.Errorf("sent %q", password)
	}
	left, _ := filepath.Glob(filepath.Join(r.Dir, "*"))
	for _, path := range left {
		if data, _ := os.ReadFile(path); strings.Contains(string(data), "secret") {
			t.Errorf("%s has it", path)
		}
	}
}

func TestAFileLargerThanTheBoundIsRefused(t *testing.T) {
	o := newOrigin(t, overHTTP)
	r := o.request(t)
	r.MaxBytes = int64(len(o.content)) - 1
	if err := mustFail(t, r, "1048576", "at most 1048575"); !errors.Is(err, fetch.ErrTooLarge) {
		t.Error(err)
	}
	r.MaxBytes++
	mustFetch(t, r, o.content)
}

func TestAFileOfUnknownLengthStopsAtTheBound(t *testing.T) {
	endless := func(w http.ResponseWriter, _ *http.Request) {
		for block := make([]byte, 4096); ; {
			if _, err := w.Write(block); err != nil {
				return
			}
		}
	}
	o := newOrigin(t, overHTTP, endless)
	r := o.request(t)
	r.MaxBytes = 1 << 20
	if err := mustFail(t, r, "more than 1048576"); !errors.Is(err, fetch.ErrTooLarge) {
		t.Error(err)
	}
	if info, err := os.Stat(filepath.Join(r.Dir, "openresty-1.2.3.4.tar.gz.part")); err == nil && info.Size() > r.MaxBytes {
		t.Errorf("%d bytes are left", info.Size())
	}
}

func TestAFileOfUnknownLengthIsTakenIfItsEndIsSure(t *testing.T) {
	chunked := func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte("first "))
		_ = http.NewResponseController(w).Flush()
		_, _ = w.Write([]byte("second"))
	}
	o := newOrigin(t, overHTTP, chunked)
	r := o.request(t)
	totals := map[int64]bool{}
	r.Progress = func(_, total int64) { totals[total] = true }
	mustFetch(t, r, []byte("first second"))
	if !totals[-1] || len(totals) != 1 {
		t.Errorf("totals %v", totals)
	}
}

// bare answers as HTTP/1.0 servers do: the end of the connection is the end of the file.
func bare(content string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			panic(err)
		}
		_, _ = conn.Write([]byte("HTTP/1.0 200 OK\r\n\r\n" + content))
		_ = conn.Close()
	}
}

func TestAFileWhoseEndIsUnsureNeedsItsSHA256(t *testing.T) {
	o := newOrigin(t, overHTTP, bare("whole"), bare("whole"), bare("who"))
	r := o.request(t)
	mustFail(t, r, "neither how long", "--sha256")
	r.SHA256 = sum([]byte("whole"))
	mustFetch(t, r, []byte("whole"))
	r.Dir = t.TempDir()
	mustFail(t, r, "SHA-256")
}

func TestAFileWithAnotherSHA256IsRefusedAndNotKept(t *testing.T) {
	o := newOrigin(t, overHTTP)
	r := o.request(t)
	r.SHA256 = sum([]byte("what was meant"))
	err := mustFail(t, r, r.URL, sum(o.content), r.SHA256, "--sha256", "--mirror")
	if e, ok := errors.AsType[*fetch.SumError](err); !ok || e.Got != sum(o.content) {
		t.Errorf("%#v", err)
	}
	if left, _ := filepath.Glob(filepath.Join(r.Dir, "[^.]*")); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
	if n := len(o.requests()); n != 1 {
		t.Errorf("asked %d times", n)
	}
}

func TestAMistypedSHA256IsNotAskedFor(t *testing.T) {
	o := newOrigin(t, overHTTP)
	for _, mistyped := range []string{"65b78b", strings.Repeat("g", 64), strings.Repeat("0", 66)} {
		r := o.request(t)
		r.SHA256 = mistyped
		mustFail(t, r, "64 hexadecimal digits")
	}
	if n := len(o.requests()); n != 0 {
		t.Errorf("asked %d times", n)
	}
}

func TestAFileWithTheRightSHA256IsNotDownloadedAgain(t *testing.T) {
	o := newOrigin(t, overHTTP)
	r := o.request(t)
	r.SHA256 = strings.ToUpper(sum(o.content))
	mustFetch(t, r, o.content)
	mustFetch(t, r, o.content)
	if n := len(o.requests()); n != 1 {
		t.Errorf("asked %d times", n)
	}
}

func TestAFileWithAnotherSHA256IsReplaced(t *testing.T) {
	o := newOrigin(t, overHTTP)
	r := o.request(t)
	r.SHA256 = sum(o.content)
	if err := os.WriteFile(filepath.Join(r.Dir, "openresty-1.2.3.4.tar.gz"), []byte("old"), 0o644); err != nil {
		t.Fatal(err)
	}
	mustFetch(t, r, o.content)
}

func TestWithoutASHA256TheServerIsAskedWhetherTheFileChanged(t *testing.T) {
	o := newOrigin(t, overHTTP)
	r := o.request(t)
	mustFetch(t, r, o.content)
	mustFetch(t, r, o.content)
	if asked := o.requests(); len(asked) != 2 || asked[1].Header.Get("If-None-Match") != `"one"` || o.bytesSent() != len(o.content) {
		t.Errorf("%d requests, %d bytes sent", len(asked), o.bytesSent())
	}

	o.becomes(noise(5000), `"two"`)
	mustFetch(t, r, o.content)

	if err := os.WriteFile(filepath.Join(r.Dir, "openresty-1.2.3.4.tar.gz"), []byte("damaged"), 0o644); err != nil {
		t.Fatal(err)
	}
	mustFetch(t, r, o.content)
}

func TestAServerThatSaysUnchangedUnaskedIsNotBelieved(t *testing.T) {
	o := newOrigin(t, overHTTP, status(304))
	r := o.request(t)
	mustFetch(t, r, o.content)
}

func TestNoLinkOrPipeIsWrittenTo(t *testing.T) {
	o := newOrigin(t, overHTTP)
	r := o.request(t)
	elsewhere := filepath.Join(t.TempDir(), "elsewhere")
	if err := os.WriteFile(elsewhere, []byte("precious"), 0o644); err != nil {
		t.Fatal(err)
	}
	part := filepath.Join(r.Dir, "openresty-1.2.3.4.tar.gz.part")
	if err := os.Symlink(elsewhere, part); err != nil {
		t.Fatal(err)
	}
	mustFail(t, r, part, "symbolic link")
	holds(t, elsewhere, []byte("precious"))

	if err := os.Remove(part); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mkfifo(part, 0o600); err != nil {
		t.Fatal(err)
	}
	mustFail(t, r, part)
}

func TestADirectoryInTheWayIsNamed(t *testing.T) {
	o := newOrigin(t, overHTTP)
	r := o.request(t)
	r.Name = "taken"
	if err := os.Mkdir(filepath.Join(r.Dir, r.Name), 0o755); err != nil {
		t.Fatal(err)
	}
	mustFail(t, r, filepath.Join(r.Dir, r.Name), "in the way")
}

func TestACertificateThatIsNotTrustedIsFinal(t *testing.T) {
	o := newOrigin(t, overTLS)
	o.Config.ErrorLog = slog.NewLogLogger(logTo(t).Handler(), slog.LevelInfo)
	r := o.request(t)
	r.RootCAs = nil
	r.Log = logTo(t)
	slept := 0
	r.Sleep = sleepNever(&slept)
	mustFail(t, r, "certificate", "SSL_CERT_FILE")
	if slept != 0 {
		t.Errorf("tried %d times more", slept)
	}
}
