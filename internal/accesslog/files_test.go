package accesslog

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/gzip"
)

// statuses is a sink that counts lines by status.
type statuses map[int]int

func (s statuses) Add(r *Record) { s[r.Status]++ }

// readAll is ReadFiles with the sinks merged.
func readAll(t *testing.T, o ReadOptions) (statuses, Stats, error) {
	t.Helper()
	var sinks []statuses
	stats, err := ReadFiles(t.Context(), o, func() Sink {
		sinks = append(sinks, statuses{})
		return sinks[len(sinks)-1]
	})
	sum := statuses{}
	for _, s := range sinks {
		for status, n := range s {
			sum[status] += n
		}
	}
	return sum, stats, err
}

var newYear = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// lineAt is a line in the format combined.
func lineAt(at time.Time, status int) string {
	return fmt.Sprintf("::1 - - [%s] \"GET /%d HTTP/1.1\" %d 7 \"-\" \"-\"\n", at.Format("02/Jan/2006:15:04:05 -0700"), status, status)
}

func writeFile(t *testing.T, name string, data []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// zipped is data as gzip members, one for each piece.
func zipped(t *testing.T, pieces ...string) []byte {
	t.Helper()
	var b bytes.Buffer
	for _, piece := range pieces {
		z := gzip.NewWriter(&b)
		if _, err := z.Write([]byte(piece)); err != nil {
			t.Fatal(err)
		}
		if err := z.Close(); err != nil {
			t.Fatal(err)
		}
	}
	return b.Bytes()
}

func TestPlainAndGzipFilesAreReadTogetherWhateverTheirNames(t *testing.T) {
	plain := writeFile(t, "access.log.gz", []byte(lineAt(newYear, 200)+"what is this\n"+lineAt(newYear, 500)))
	packed := writeFile(t, "access.log.1", zipped(t, lineAt(newYear, 404)+lineAt(newYear, 404)[:30], lineAt(newYear, 404)[30:]+lineAt(newYear, 301)))
	got, stats, err := readAll(t, ReadOptions{Files: []string{plain, packed}, Formats: Formats{Combined()}, Parallel: 2})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(statuses{200: 1, 500: 1, 404: 2, 301: 1}, got); diff != "" {
		t.Error(diff)
	}
	if stats.Lines != 6 || stats.Records != 5 || stats.Malformed != 1 || len(stats.Samples) != 1 || stats.Samples[0] != (Sample{plain, "what is this"}) {
		t.Errorf("%+v", stats)
	}
}

func TestALargeFileIsDividedAtLines(t *testing.T) {
	var b bytes.Buffer
	want := statuses{}
	for i := 0; b.Len() < 3*smallestPart; i++ {
		status := 100 + i%400
		want[status]++
		b.WriteString(lineAt(newYear, status))
	}
	path := writeFile(t, "access.log", b.Bytes())
	var mu sync.Mutex
	var last, total int64
	got, stats, err := readAll(t, ReadOptions{Files: []string{path}, Formats: Formats{Combined()}, Parallel: 3,
		Progress: func(done, all int64) {
			if !mu.TryLock() {
				t.Error("concurrent calls")
				return
			}
			defer mu.Unlock()
			if done <= last {
				t.Errorf("%d after %d", done, last)
			}
			last, total = done, all
		}})
	if err != nil || stats.Malformed > 0 || stats.Bytes != int64(b.Len()) {
		t.Fatalf("%+v %v", stats, err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if last != total || total != int64(b.Len()) {
		t.Errorf("%d of %d, of %d", last, total, b.Len())
	}
}

func TestARangeOfTimeIsFoundAndEveryLineChecked(t *testing.T) {
	var b bytes.Buffer
	for i := range 40_000 {
		at := newYear.Add(time.Duration(i) * time.Second)
		status := 200
		if i%7 == 0 { // written late, by a worker that buffers
			at, status = at.Add(-3*time.Minute), 503
		}
		b.WriteString(lineAt(at.In(time.FixedZone("", 3600*(i%3))), status))
	}
	whole := b.Bytes()
	for name, data := range map[string][]byte{"plain": whole, "gzip": zipped(t, string(whole))} {
		path := writeFile(t, "access.log", data)
		from, to := newYear.Add(5*time.Hour), newYear.Add(6*time.Hour)
		got, stats, err := readAll(t, ReadOptions{Files: []string{path}, Formats: Formats{Combined()}, From: from, To: to})
		if err != nil {
			t.Fatal(err)
		}
		want := statuses{}
		for i := range 40_000 {
			at := newYear.Add(time.Duration(i) * time.Second)
			if i%7 == 0 {
				if at = at.Add(-3 * time.Minute); !at.Before(from) && at.Before(to) {
					want[503]++
				}
			} else if !at.Before(from) && at.Before(to) {
				want[200]++
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
		if stats.Records != 3600 {
			t.Errorf("%s: %+v", name, stats)
		}
		if name == "plain" && stats.Lines > 8000 {
			t.Errorf("%d lines were read for 3600", stats.Lines)
		}
		if name == "gzip" && stats.Lines > 25_000 {
			t.Errorf("gzip: %d lines were read, many of them behind the range", stats.Lines)
		}
	}
}

func TestAFileOlderThanTheRangeIsNotRead(t *testing.T) {
	path := writeFile(t, "access.log.2", []byte(lineAt(newYear, 200)))
	if err := os.Chtimes(path, newYear, newYear); err != nil {
		t.Fatal(err)
	}
	_, stats, err := readAll(t, ReadOptions{Files: []string{path}, Formats: Formats{Combined()}, From: newYear.Add(time.Hour)})
	if err != nil || stats.Lines != 0 {
		t.Errorf("%+v %v", stats, err)
	}
}

func TestARangeNeedsATime(t *testing.T) {
	f, err := Compile("$status", "")
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := readAll(t, ReadOptions{Files: nil, Formats: Formats{f}, To: newYear}); err == nil || !strings.Contains(err.Error(), "$time_local") {
		t.Errorf("%v", err)
	}
}

func TestWhatCannotBeReadIsToldAndTheRestRead(t *testing.T) {
	whole := zipped(t, strings.Repeat(lineAt(newYear, 200), 1000))
	cut := writeFile(t, "cut", zipped(t, strings.Repeat(lineAt(newYear, 200), 1000))[:len(whole)-9])
	trailing := writeFile(t, "trailing", append(zipped(t, lineAt(newYear, 201)), "rubbish behind"...))
	corrupt := zipped(t, lineAt(newYear, 202))
	corrupt[len(corrupt)-6] ^= 1 // of the checksum
	zstd := writeFile(t, "zstd", []byte("\x28\xb5\x2f\xfdxxxx"))
	partial := writeFile(t, "partial", []byte(lineAt(newYear, 204)+lineAt(newYear, 500)[:60]))
	files := []string{cut, trailing, writeFile(t, "corrupt", corrupt), zstd, "/no/such/file", "/dev/null", partial, partial}
	got, stats, err := readAll(t, ReadOptions{Files: files, Formats: Formats{Combined()}, Parallel: 1})
	for _, say := range []string{"zstd is packed with zstd", "/no/such/file", "/dev/null is no regular file", "corrupt: inflate", "1 lines of it were read"} {
		if err == nil || !strings.Contains(err.Error(), say) {
			t.Errorf("%v does not say %q", err, say)
		}
	}
	if got[200] != 1000 || got[201] != 1 || got[202] != 1 || got[204] != 1 || got[500] != 0 || stats.Unfinished != 1 {
		t.Errorf("%v %+v", got, stats)
	}
	notes := strings.Join(stats.Notes, "\n")
	for _, say := range []string{cut + " is cut off", trailing + " is cut off", "is the same file as " + partial} {
		if !strings.Contains(notes, say) {
			t.Errorf("%s do not say %q", notes, say)
		}
	}
}

func TestALineLongerThanTheBufferIsOneMalformedLine(t *testing.T) {
	long := strings.Repeat("x", 3*blockSize+17) + "\n"
	for name, data := range map[string][]byte{
		"plain": []byte(lineAt(newYear, 200) + long + lineAt(newYear, 201) + long),
		"gzip":  zipped(t, lineAt(newYear, 200)+long+lineAt(newYear, 201)+long),
	} {
		got, stats, err := readAll(t, ReadOptions{Files: []string{writeFile(t, name, data)}, Formats: Formats{Combined()}})
		if err != nil || got[200] != 1 || got[201] != 1 || stats.Malformed != 2 || stats.Lines != 4 || stats.Unfinished != 0 {
			t.Errorf("%s: %v %+v %v", name, got, stats, err)
		}
		for _, s := range stats.Samples {
			if len(s.Line) > maxSample {
				t.Errorf("a sample of %d bytes is kept", len(s.Line))
			}
		}
	}
}

func TestReadingStopsWithItsContext(t *testing.T) {
	path := writeFile(t, "access.log", bytes.Repeat([]byte(lineAt(newYear, 200)), 3*blockSize/60))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	stats, err := ReadFiles(ctx, ReadOptions{Files: []string{path}, Formats: Formats{Combined()}, Progress: func(_, _ int64) { cancel() }},
		func() Sink { return statuses{} })
	if err == nil || !strings.Contains(err.Error(), context.Canceled.Error()) || stats.Bytes > 2*blockSize {
		t.Errorf("%+v %v", stats, err)
	}
}
