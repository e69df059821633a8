package gate

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/gzip"

	"graft/internal/accesslog"
	"graft/internal/analysis"
)

// day is a log of one day that ends at a time, with rotated files, and what is in it.
type day struct {
	dir      string
	logs     Logs
	until    time.Time
	requests int64
	failed   int64
	blocks   map[int64]analysis.Count
}

// writeDay writes a log in three files, one of them compressed, and an error log.
func writeDay(t *testing.T, until time.Time) day {
	t.Helper()
	format, err := accesslog.Compile(`$remote_addr - $remote_user [$time_local] "$request" $status $body_bytes_sent "$http_user_agent" $host $request_time`, "")
	if err != nil {
		t.Fatal(err)
	}
	d := day{dir: t.TempDir(), until: until, blocks: make(map[int64]analysis.Count)}
	d.logs.Access = []AccessLog{{Path: filepath.Join(d.dir, "access.log"), Formats: accesslog.Formats{format}}}
	d.logs.Error = []string{filepath.Join(d.dir, "error.log")}
	random := rand.New(rand.NewPCG(7, 8))
	files := [3]bytes.Buffer{}
	const span = 20 * time.Hour
	for at := until.Add(-span); at.Before(until); at = at.Add(time.Duration(random.ExpFloat64() * float64(2*time.Second))) {
		status, place := 200, "shop"
		if random.IntN(10) == 0 {
			place = "api/v1"
		}
		if random.IntN(200) == 0 {
			status = 502
			d.failed++
		}
		file := &files[min(2, int(until.Sub(at)*3/span))]
		fmt.Fprintf(file, "192.0.2.1 - - [%s] \"GET /%s/%d HTTP/1.1\" %d 5 \"browser\" www.example.org %.3f\n",
			at.Format("02/Jan/2006:15:04:05 -0700"), place, random.IntN(1000), status, 0.01*random.ExpFloat64())
		d.requests++
		c := d.blocks[at.Unix()/blockSeconds]
		c.Total++
		if status == 502 {
			c.Bad++
		}
		d.blocks[at.Unix()/blockSeconds] = c
	}
	for i, name := range []string{"access.log", "access.log.1", "access.log.2.gz"} {
		data := files[i].Bytes()
		if i == 2 {
			var packed bytes.Buffer
			w := gzip.NewWriter(&packed)
			_, err := w.Write(data)
			if err := errors.Join(err, w.Close()); err != nil {
				t.Fatal(err)
			}
			data = packed.Bytes()
		}
		if err := os.WriteFile(filepath.Join(d.dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var entries bytes.Buffer
	for i := range 100 {
		at := until.Add(-time.Duration(100-i) * 10 * time.Minute)
		fmt.Fprintf(&entries, "%s [error] 7#7: *5 open() \"/srv/%d\" failed (2: No such file or directory), client: 192.0.2.1\n", at.Format("2006/01/02 15:04:05"), i)
	}
	fmt.Fprintf(&entries, "%s [alert] 6#6: worker process 7 exited on signal 11\n", until.Add(-time.Hour).Format("2006/01/02 15:04:05"))
	if err := os.WriteFile(d.logs.Error[0], entries.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return d
}

func TestTheDaysBeforeAreReadFromRotatedLogs(t *testing.T) {
	d := writeDay(t, time.Now().Truncate(time.Second))
	var last Progress
	h, err := ReadHistory(t.Context(), HistoryOptions{Logs: d.logs, Until: d.until, Progress: func(p Progress) {
		if p.Read < last.Read || p.Read > p.Size {
			t.Errorf("after %+v %+v", last, p)
		}
		last = p
	}})
	if err != nil {
		t.Fatal(err)
	}
	if len(h.Notes) > 0 || last.Read != last.Size || last.Size == 0 || last.Left != 0 {
		t.Errorf("notes %q, last %+v", h.Notes, last)
	}
	if got := h.Requests[d.logs.Access[0].Path]; got != (analysis.Requests{Total: d.requests, Errors5xx: d.failed}) {
		t.Errorf("%+v, written were %d and %d", got, d.requests, d.failed)
	}
	for _, when := range []string{"as read", "as kept"} {
		b, _ := h.Series[0].baseline(at5xx)
		first := b.From.Unix() / blockSeconds
		for i, c := range b.Blocks {
			if want := d.blocks[first+int64(i)]; c != want {
				t.Fatalf("%s: block %d: %+v, want %+v", when, i, c, want)
			}
		}
		slow, _ := h.Series[0].baseline(atSlow95)
		var sum analysis.Count
		for _, c := range slow.Blocks {
			sum.Bad, sum.Total = sum.Bad+c.Bad, sum.Total+c.Total
		}
		if sum.Total != d.requests || sum.Share() < 0.03 || sum.Share() > 0.07 {
			t.Errorf("%s: slower than p95 are %+v", when, sum)
		}
		for _, name := range []string{"/shop/", "/api/v1/"} {
			i, ok := h.Scopes.Places[name]
			if !ok {
				t.Fatalf("%s: %s is no scope: %v", when, name, h.Scopes.Places)
			}
			if n := requestsOf(h.Series[i]); n < d.requests/15 {
				t.Errorf("%s: %d of %d requests of %s", when, n, d.requests, name)
			}
		}
		if len(h.Errors.Classes) != 1 || len(h.Errors.Exits) != 1 || h.Errors.From.IsZero() {
			t.Errorf("%s: %+v", when, h.Errors)
		}
		path := filepath.Join(d.dir, "days.json")
		if err := h.Save(path); err != nil {
			t.Fatal(err)
		}
		if h, err = LoadHistory(path); err != nil {
			t.Fatal(err)
		}
	}
}

func TestARangeOfTheDaysBefore(t *testing.T) {
	d := writeDay(t, time.Now().Truncate(time.Second))
	h, err := ReadHistory(t.Context(), HistoryOptions{Logs: d.logs, Until: d.until.Add(-time.Hour), Length: 2 * time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	var want int64
	for block, c := range d.blocks {
		if at := time.Unix(block*blockSeconds, 0); at.After(d.until.Add(-3*time.Hour)) && at.Before(d.until.Add(-time.Hour)) {
			want += c.Total
		}
	}
	if got := h.Requests[d.logs.Access[0].Path].Total; got < want-100 || got > want+100 {
		t.Errorf("%d requests, want about %d", got, want)
	}
	if len(h.Errors.Exits) != 0 {
		t.Errorf("an exit after it: %v", h.Errors.Exits)
	}
}

func TestTheReadingOfTheDaysBeforeEndsWithItsContext(t *testing.T) {
	d := writeDay(t, time.Now())
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if h, err := ReadHistory(ctx, HistoryOptions{Logs: d.logs}); !errors.Is(err, context.Canceled) || h != nil {
		t.Errorf("%v %v", h, err)
	}
}

func TestDaysBeforeThatCannotBeRead(t *testing.T) {
	path := filepath.Join(t.TempDir(), "days.json")
	if _, err := LoadHistory(path); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
	for _, bad := range []string{"", "{}", `{"scopes":{"list":[{}]},"errors":{},"series":[]}`, `{"scopes":{"list":[{}]},"errors":{},"series":["AAAA"]}`, `{"scopes":{"list":[{}]},"errors":{},"series":[null]}`} {
		if err := os.WriteFile(path, []byte(bad), 0o600); err != nil {
			t.Fatal(err)
		}
		if h, err := LoadHistory(path); err == nil {
			t.Errorf("%q: read as %+v", bad, h)
		}
	}
	h, err := ReadHistory(t.Context(), HistoryOptions{Logs: Logs{Access: []AccessLog{{Path: path + ".log", Formats: accesslog.Formats{accesslog.Combined()}}}}})
	if err != nil || !h.From.IsZero() || len(h.Series) != 1 {
		t.Errorf("of no log: %+v %v", h, err)
	}
	if err := h.Save(path); err != nil {
		t.Fatal(err)
	}
	if h, err = LoadHistory(path); err != nil || len(h.Series) != 1 || h.Series[0] == nil {
		t.Errorf("of no log, as kept: %+v %v", h, err)
	}
}

func TestASeriesIsKeptAsItIs(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 1))
	var s series
	for range 1000 {
		var c cell
		for _, n := range c.numbers() {
			*n = random.Uint32() >> random.IntN(32)
		}
		c.Requests |= 1
		s.add(170_000_000+int64(random.IntN(5000)), &c)
	}
	data, err := s.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	var again series
	if err := again.UnmarshalJSON(data); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(s.hours, again.hours); diff != "" {
		t.Error(diff)
	}
}

// requestsOf are all requests of a series.
func requestsOf(s *series) (n int64) {
	for _, hour := range s.hours {
		for i := range hour {
			n += int64(hour[i].Requests)
		}
	}
	return n
}
