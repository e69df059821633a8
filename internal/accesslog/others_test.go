package accesslog_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/klauspost/compress/gzip"
)

// others are programs that can do the task, or the nearest to it that they know.
var others = []struct {
	name string
	args func(tb testing.TB, path string) []string
	part int64 // of the log, because the program is slow: 1 of so many
}{
	{"mawk", func(_ testing.TB, path string) []string { return []string{mawkTask, path} }, 1},
	{"duckdb", func(_ testing.TB, path string) []string { return []string{"-c", fmt.Sprintf(duckTask, path)} }, 1},
	{"mtail", func(tb testing.TB, path string) []string {
		program := filepath.Join(tb.TempDir(), "task.mtail")
		if err := os.WriteFile(program, []byte(mtailTask), 0o644); err != nil {
			tb.Fatal(err)
		}
		return []string{"-one_shot", "-progs", program, "-logs", path, "-logtostderr", "-stderrthreshold", "FATAL"}
	}, 32},
}

// duckTask cuts lines at spaces outside quotes, as the CSV reader can.
const duckTask = `
SET threads = 1;
CREATE TEMP TABLE log AS SELECT column03 AS stamp, column05 AS request, column06 AS status, column09 AS told
FROM read_csv('%s', delim = ' ', quote = '"', escape = '', header = false, auto_detect = false, ignore_errors = true, null_padding = true, strict_mode = false,
	columns = {'column00': 'VARCHAR', 'column01': 'VARCHAR', 'column02': 'VARCHAR', 'column03': 'VARCHAR', 'column04': 'VARCHAR', 'column05': 'VARCHAR',
	'column06': 'SMALLINT', 'column07': 'BIGINT', 'column08': 'VARCHAR', 'column10': 'VARCHAR', 'column09': 'DOUBLE', 'column11': 'VARCHAR', 'column12': 'VARCHAR'});
SELECT substr(stamp, 2, 17), status // 100, count(*) FROM log GROUP BY ALL;
SELECT approx_quantile(told, [0.5, 0.95, 0.99]) FROM log;
SELECT split_part(split_part(request, ' ', 2), '?', 1), count(*) FROM log WHERE status >= 500 GROUP BY 1 ORDER BY 2 DESC LIMIT 20;`

// mtailTask counts classes and puts the times into buckets.
const mtailTask = `
counter requests by class
histogram seconds buckets 0, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10
counter failed by url
/^\S+ - .* \[(?P<at>[^\]]+)\] "\S+ (?P<url>[^ ?"]*)[^"]*" (?P<class>\d)\d\d \d+ "[^"]*" "[^"]*" (?P<told>[0-9.]+) / {
  strptime($at, "02/Jan/2006:15:04:05 -0700")
  requests[$class]++
  seconds = $told
  $class == "5" {
    failed[$url]++
  }
}
`

// BenchmarkAgainstOthers compares CPU times on the log in the format timed, by the byte.
func BenchmarkAgainstOthers(b *testing.B) {
	for _, other := range others {
		b.Run(other.name, func(b *testing.B) {
			program, err := exec.LookPath(other.name)
			if err != nil {
				b.Skipf("NOT COMPARED WITH %s: it is not installed", strings.ToUpper(other.name))
			}
			size := benchSize(b)
			path, part := generatedLog(b, timed, size), generatedLog(b, timed, size/other.part)
			if other.part > 1 {
				b.Logf("%s reads 1/%d of the log; its time is scaled", other.name, other.part)
			}
			args := other.args(b, part)
			theirs, ours := noCost, noCost
			for b.Loop() {
				for range 2 {
					theirs = theirs.least(commandCost(b, program, args...))
					ours = ours.least(ownCost(b, func() { runTask(b, timed, 1, path) }))
				}
			}
			speed := float64(size/other.part) / 1e6 / theirs.cpu.Seconds()
			b.ReportMetric(speed, "MB/cpu-s")
			b.ReportMetric(float64(size)/1e6/ours.cpu.Seconds()/speed, "times-faster")
			b.ReportMetric(0, "ns/op")
		})
	}
}

// BenchmarkAgainstZcat compares the time on the wall of reading rotated logs with that of inflating them.
func BenchmarkAgainstZcat(b *testing.B) {
	size := benchSize(b)
	files := rotatedLogs(b, size, 4)
	zcat, ours, one := noCost, noCost, noCost
	for b.Loop() {
		for range 3 {
			zcat = zcat.least(commandCost(b, "zcat", files...))
			ours = ours.least(ownCost(b, func() { runTask(b, timed, 0, files...) }))
			one = one.least(ownCost(b, func() { runTask(b, timed, 1, files...) }))
		}
	}
	b.ReportMetric(ours.wall.Seconds()/zcat.wall.Seconds(), "wall/zcat")
	b.ReportMetric(ours.cpu.Seconds()/zcat.cpu.Seconds(), "cpu/zcat")
	b.ReportMetric(one.wall.Seconds()/zcat.wall.Seconds(), "wall-of-1/zcat")
	b.ReportMetric(float64(size)/1e6/zcat.cpu.Seconds(), "zcat-MB/cpu-s")
	b.ReportMetric(0, "ns/op")
}

// rotatedLogs are so many gzip files that together inflate to the log of the size.
func rotatedLogs(tb testing.TB, size int64, n int) []string {
	tb.Helper()
	log, err := os.Open(generatedLog(tb, timed, size))
	if err != nil {
		tb.Fatal(err)
	}
	defer log.Close()
	in := bufio.NewReaderSize(log, 1<<20)
	var files []string
	for i := range n {
		files = append(files, cached(tb, fmt.Sprintf("timed-%d.%d-of-%d.gz", size, i+1, n), func(out io.Writer) error {
			if _, err := log.Seek(int64(i)*size/int64(n), io.SeekStart); err != nil {
				return err
			}
			in.Reset(log)
			if i > 0 {
				if _, err := in.ReadBytes('\n'); err != nil {
					return err
				}
			}
			z := gzip.NewWriter(out)
			for left := size / int64(n); left > 0; {
				line, err := in.ReadBytes('\n')
				if errors.Is(err, io.EOF) {
					break
				}
				if err != nil {
					return err
				}
				if _, err := z.Write(line); err != nil {
					return err
				}
				left -= int64(len(line))
			}
			return z.Close()
		}))
	}
	return files
}
