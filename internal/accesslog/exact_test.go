package accesslog_test

import (
	"bufio"
	"bytes"
	"cmp"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"graft/internal/accesslog"
	"graft/internal/sketch"
	"graft/internal/traffic"
)

// mawkTask does the task by cutting lines at quotes. It knows the formats combined and timed.
const mawkTask = `
BEGIN { FS = "\"" }
NF != 7 || substr($1, length($1) - 1) != "] " { bad++; next }
{
	split($3, numbers, " ")
	class[substr($1, length($1) - 27, 17) substr($1, length($1) - 7, 6) " " substr(numbers[1], 1, 1)]++
	if (split($7, times, " ") > 0 && times[1] != "-") taken[times[1]]++
	if (numbers[1] >= 500) {
		url = $2
		sub(/^[^ ]* /, "", url); sub(/ HTTP\/[0-9.]*$/, "", url); sub(/\?.*/, "", url)
		failed[url]++
	}
}
END {
	print "bad", bad + 0
	for (k in class) print "class", k, class[k]
	for (k in taken) print "taken", k, taken[k]
	for (k in failed) print "failed", k, failed[k]
}`

// answer is what the task comes to.
type answer struct {
	bad     int64
	classes map[string]int64 // by "minute class", the minute in Unix time
	failed  map[string]int64
	taken   []taken // sorted
}

type taken struct {
	seconds float64
	n       int64
}

// quantile is the exact one of the durations in ms.
func (a *answer) quantile(q float64) float64 {
	total := int64(0)
	for _, t := range a.taken {
		total += t.n
	}
	rank := max(int64(math.Ceil(q*float64(total))), 1)
	for _, t := range a.taken {
		if rank -= t.n; rank <= 0 {
			return 1000 * t.seconds
		}
	}
	return 0
}

func askMawk(t *testing.T, path string) *answer {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "mawk", mawkTask, path)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	a := &answer{classes: map[string]int64{}, failed: map[string]int64{}}
	for lines := bufio.NewScanner(bytes.NewReader(out)); lines.Scan(); {
		words := strings.Fields(lines.Text())
		n, err := strconv.ParseInt(words[len(words)-1], 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		switch words[0] {
		case "bad":
			a.bad = n
		case "class": // 25/Oct/2026:00:46 +0200 5 17
			at, err := time.Parse("02/Jan/2006:15:04 -0700", words[1]+" "+words[2])
			if err != nil {
				t.Fatal(err)
			}
			a.classes[fmt.Sprint(at.Unix(), " ", words[3])] += n
		case "failed":
			a.failed[words[1]] = n
		case "taken":
			seconds, err := strconv.ParseFloat(words[1], 64)
			if err != nil {
				t.Fatal(err)
			}
			a.taken = append(a.taken, taken{seconds, n})
		}
	}
	slices.SortFunc(a.taken, func(x, y taken) int { return cmp.Compare(x.seconds, y.seconds) })
	return a
}

// byMinute is a sink that counts classes by the minute, for itself.
type byMinute struct {
	task
	classes map[string]int64
}

func (m *byMinute) Add(r *accesslog.Record) {
	m.task.Add(r)
	m.classes[fmt.Sprint(r.Time/60*60, " ", r.Status/100)]++
}

// askGraft reads with two goroutines.
func askGraft(t *testing.T, f *accesslog.Format, path string) (*byMinute, accesslog.Stats) {
	t.Helper()
	var sinks []*byMinute
	stats, err := accesslog.ReadFiles(t.Context(), accesslog.ReadOptions{Files: []string{path}, Formats: accesslog.Formats{f}, Parallel: 2},
		func() accesslog.Sink {
			sinks = append(sinks, &byMinute{classes: map[string]int64{}})
			return sinks[len(sinks)-1]
		})
	if err != nil {
		t.Fatal(err)
	}
	for _, other := range sinks[1:] {
		sinks[0].series.Merge(&other.series)
		sinks[0].failing.Merge(&other.failing.Top)
		for k, n := range other.classes {
			sinks[0].classes[k] += n
		}
	}
	return sinks[0], stats
}

func compare(t *testing.T, want *answer, got *byMinute, stats accesslog.Stats) {
	t.Helper()
	if stats.Malformed != want.bad {
		t.Errorf("%d malformed lines, mawk found %d: %+v", stats.Malformed, want.bad, stats.Samples)
	}
	if diff := gocmp.Diff(want.classes, got.classes); diff != "" {
		t.Errorf("classes by minute, mawk and graft: %s", diff)
	}
	var top []traffic.Named
	for name, n := range want.failed {
		top = append(top, traffic.Named{Name: name, N: n})
	}
	slices.SortFunc(top, func(a, b traffic.Named) int {
		return cmp.Or(cmp.Compare(b.N, a.N), strings.Compare(a.Name, b.Name))
	})
	if first := got.failing.First(20); got.failing.Short() > 0 || !slices.Equal(first, top[:min(20, len(top))]) {
		t.Errorf("failing URLs: %v\nmawk %v", first, top[:min(20, len(top))])
	}
	sum := got.series.Range(time.Time{}, time.Time{})
	for _, q := range []float64{0.5, 0.95, 0.99} {
		exact, told := want.quantile(q), sum.Time.Quantile(q)
		if math.Abs(told-exact) > exact*sketch.MaxError {
			t.Errorf("quantile %v: %v ms, exactly %v", q, told, exact)
		}
	}
}

func TestTheTaskComesToWhatMawkSays(t *testing.T) {
	path := filepath.Join(t.TempDir(), "access.log")
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	// More than one part, and more than one block of each.
	if err := newGenerator(7).write(file, timed, 20<<20); err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{
		`10.0.0.1 - - [25/Oct/2026:00:10:00 +0000] "GET /cut HTTP/1.1" 500 17 "-" "curl`,
		`10.0.0.1 - - [25/Oct/2026:00:10:00 +0000] "GET /`, "", "\x16\x03\x01 binary \xff",
		`10.0.0.1 - x" 500 1 [25/Oct/2026:00:10:00 +0000] "GET / HTTP/1.1" 500 17 "-" "-" 0.001 -`,
	} {
		fmt.Fprintln(file, line)
	}
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
	format, err := accesslog.Compile(timed.format, timed.escape)
	if err != nil {
		t.Fatal(err)
	}
	want := askMawk(t, path)
	if want.bad != 5 || len(want.failed) < 100 || len(want.classes) < 20 {
		t.Fatalf("mawk found %d bad lines, %d failing URLs, %d minutes and classes", want.bad, len(want.failed), len(want.classes))
	}
	got, stats := askGraft(t, format, path)
	compare(t, want, got, stats)
}

func TestRealLogs(t *testing.T) {
	path := filepath.Join("..", "..", "..", "shared", "data", "apache_logs")
	if _, err := os.Stat(path); err != nil {
		t.Skipf("THE REAL LOGS WERE NOT READ: %v", err)
	}
	want := askMawk(t, path)
	got, stats := askGraft(t, accesslog.Combined(), path)
	compare(t, want, got, stats)
	if stats.Lines != 10_000 || stats.Records != 9_999 || stats.Malformed != 1 {
		t.Errorf("%+v; one of 10,000 lines lacks its closing quote", stats)
	}
}
