package cli_test

import (
	"bufio"
	"compress/gzip"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// history is what the logs of two days hold: the crowd's requests and answers, more by day than by
// night. The rotated files are made once and shared; nothing writes to those.
type history struct {
	dir  string
	rate float64 // requests a second, on average
	slow float64 // times as long as the crowd asks for
	now  time.Time
}

// newHistory is made before the hosts that get it.
func newHistory(t testing.TB, rate, slow float64, pids ...bool) *history {
	t.Helper()
	days := &history{t.TempDir(), rate, slow, time.Now()}
	for _, pid := range pids {
		for _, part := range []struct {
			name     string
			from, to time.Duration // ago
		}{{"access.log.2.gz", 48 * time.Hour, 24 * time.Hour}, {"access.log.1", 24 * time.Hour, 2 * time.Hour}, {"access.log", 2 * time.Hour, 0}} {
			if err := days.write(days.file(part.name, pid), pid, days.now.Add(-part.from), days.now.Add(-part.to)); err != nil {
				t.Fatal(err)
			}
		}
	}
	return days
}

func (d *history) file(name string, pid bool) string {
	return filepath.Join(d.dir, strconv.FormatBool(pid)+"."+name)
}

// into puts the history where log is: before what nginx is going to write, and beside it.
func (d *history) into(t testing.TB, log string, pid bool) {
	t.Helper()
	for _, rotated := range []string{".1", ".2.gz"} {
		if err := os.Link(d.file("access.log"+rotated, pid), log+rotated); err != nil {
			t.Fatal(err)
		}
	}
	recent, err := os.ReadFile(d.file("access.log", pid))
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(log, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.Write(recent); err != nil {
		t.Fatal(err)
	}
}

func (d *history) write(file string, pid bool, from, to time.Time) error {
	f, err := os.Create(file)
	if err != nil {
		return err
	}
	defer f.Close()
	out := bufio.NewWriterSize(f, 1<<20)
	var lines io.Writer = out
	if strings.HasSuffix(file, ".gz") {
		zipped, err := gzip.NewWriterLevel(out, gzip.BestSpeed)
		if err != nil {
			return err
		}
		defer func() { _ = zipped.Close(); _ = out.Flush() }() // a torn file fails the tests that read it
		lines = zipped
	} else {
		defer out.Flush()
	}
	rng := rand.New(rand.NewPCG(uint64(from.Unix()), 7))
	var line []byte
	for second := from; second.Before(to); second = second.Add(time.Second) {
		day := 2 * math.Pi * float64(second.Unix()%86400) / 86400
		stamp := second.Format("[02/Jan/2006:15:04:05 -0700]")
		for n := poisson(rng, d.rate*(1+0.5*math.Sin(day))); n > 0; n-- {
			line = appendLine(line[:0], rng, stamp, d.slow, pid)
			if _, err := lines.Write(line); err != nil {
				return err
			}
		}
	}
	return nil
}

// poisson counts how many of that mean there are, by chance.
func poisson(rng *rand.Rand, mean float64) (n int) {
	for p := rng.Float64(); p > math.Exp(-mean); n++ {
		p *= rng.Float64()
	}
	return n
}

// appendLine adds what nginx logs for one request of the crowd: its people in their proportions.
func appendLine(b []byte, rng *rand.Rand, stamp string, slow float64, pid bool) []byte {
	var a ask
	switch p := rng.IntN(200); {
	case p < 100:
		a = browse(rng)
	case p < 182:
		a = callAPI(rng)
	case p < 193:
		a = troublemaker(rng)
	case p < 198:
		a = upload(rng)
	default:
		a = impatient(rng)
	}
	method := "GET"
	if a.method != "" {
		method = a.method
	}
	proxied, took := false, 0
	if _, ms, ok := strings.Cut(a.uri, "ms="); ok {
		ms, _, _ = strings.Cut(ms, "&")
		took, _ = strconv.Atoi(ms)
		took = int(slow*float64(took) + 1 + 20*rng.ExpFloat64()) // that host had more to do than this one has
		proxied = true
	}
	if a.patience > 0 {
		a.status, took = 499, int(a.patience.Milliseconds())
	}
	b = append(b, "127.0.0.1 - - "...)
	b = append(b, stamp...)
	b = append(b, ` "`...)
	b = append(b, method...)
	b = append(b, ' ')
	b = append(b, a.uri...)
	b = append(b, ` HTTP/1.1" `...)
	b = strconv.AppendInt(b, int64(a.status), 10)
	b = append(b, ` 9 "-" "crowd" `...)
	b = append(b, a.host...)
	b = append(b, ' ')
	b = appendSeconds(b, took)
	b = append(b, ' ')
	if proxied {
		b = appendSeconds(b, took)
	} else {
		b = append(b, '-')
	}
	if pid {
		b = append(b, " ["...)
		b = strconv.AppendInt(b, int64(900+rng.IntN(2)), 10)
		b = append(b, ']')
	}
	return append(b, '\n')
}

// appendSeconds writes milliseconds as nginx does, 0.012.
func appendSeconds(b []byte, ms int) []byte {
	b = strconv.AppendInt(b, int64(ms/1000), 10)
	b = append(b, '.')
	return append(b, strconv.Itoa(1000 + ms%1000)[1:]...)
}
