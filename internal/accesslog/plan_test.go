package accesslog

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"
)

// hostile is what clients put into a log to be taken for more than it is.
var hostile = rapid.OneOf(
	rapid.Just(""), rapid.Just("-"), rapid.Just("/"), rapid.Just(`\`), rapid.Just(`"`),
	rapid.StringMatching(`[" \[\]\\0-9{}:,.?status-]{0,40}`),
	rapid.StringMatching(`(GET|POST) /[a-z/]{0,20}(\?[a-z=&]{0,9})? HTTP/(1\.[01]|2\.0)`),
	rapid.StringMatching(`[0-9.]{1,6}((, | : |,|:| )[0-9.-]{1,6}){0,4}`),
	rapid.SampledFrom([]string{
		`x] 200 [`, `" 500 1 "-" "`, `\" 500 1 \"-\" \"`, `","status":"500"`, ` - - [25/Nov/2026:00:46:12 +0000] "GET / HTTP/1.1" 500 1 `,
		`0.5, 0.49 : 0.1`, `0.1, 0.2 : `, `502, 504 : 200`, `25/Nov/2026:00:46:12 +0000`, strings.Repeat(" - [", 30), "GET /a b HTTP/1.1",
	}),
	rapid.Map(rapid.SliceOfN(rapid.Byte(), 0, 20), func(b []byte) string { return strings.ReplaceAll(string(b), "\n", "") }),
)

// valueOf draws a value that nginx would log for the variable.
func valueOf(t *rapid.T, variable string) string {
	at := time.Unix(rapid.Int64Range(0, 1<<32).Draw(t, "time"), 0).In(time.FixedZone("", 900*rapid.IntRange(-48, 56).Draw(t, "zone")))
	element := rapid.SampledFrom([]string{"-", "0.000", "1.234", "12.5", "502", "200", "7"})
	switch variable {
	case "status":
		return fmt.Sprintf("%03d", rapid.IntRange(0, 999).Draw(t, variable))
	case "pid", "body_bytes_sent", "bytes_sent", "request_length", "connection":
		if rapid.IntRange(0, 5).Draw(t, "none") == 0 {
			return "-"
		}
		return fmt.Sprint(rapid.Uint64().Draw(t, variable))
	case "request_time":
		return rapid.OneOf(rapid.StringMatching(`[0-9]{1,12}\.[0-9]{3}`), rapid.StringMatching(`[0-9.]{1,12}|-`)).Draw(t, variable)
	case "msec":
		return fmt.Sprintf("%d.%03d", at.Unix(), at.Unix()%1000)
	case "time_local":
		return at.Format("02/Jan/2006:15:04:05 -0700")
	case "time_iso8601":
		return at.Format("2006-01-02T15:04:05-07:00")
	case "upstream_response_time", "upstream_status":
		if rapid.Bool().Draw(t, "one") {
			return element.Draw(t, variable)
		}
		return strings.Join(rapid.SliceOfN(element, 0, 4).Draw(t, variable), rapid.SampledFrom([]string{", ", " : "}).Draw(t, "between")) +
			rapid.SampledFrom([]string{"", "", " : ", ", "}).Draw(t, "behind")
	}
	return hostile.Draw(t, variable)
}

var (
	anyVariable = rapid.SampledFrom([]string{
		"status", "pid", "body_bytes_sent", "bytes_sent", "request_length", "connection", "request_time", "msec", "time_local",
		"time_iso8601", "upstream_response_time", "upstream_status", "request", "request_uri", "uri", "host", "http_host", "server_name",
		"http_user_agent", "http_referer", "remote_user", "remote_addr", "upstream_addr",
	})
	anyLiteral = rapid.OneOf(
		rapid.SampledFrom([]string{" ", ` "`, `" "`, `" `, `"`, " [", "] ", `","x":"`, `,"n":`, "|", "\t", " - ", ", ", ": ", "-", "", ".", "0", " : ", `\`, "=", "; longer than eight bytes "}),
		rapid.StringMatching(`[ ",:|-]{0,12}`))
)

// drawLine draws a format and a line that nginx might have written in it, or another one near it.
func drawLine(t *rapid.T) (format, escape, line string) {
	escape = rapid.SampledFrom([]string{"default", "json", "none"}).Draw(t, "escape")
	known := map[string]string{
		"combined": combined,
		"times":    combined + ` $request_time $upstream_response_time`,
		"lists":    `$status $request_time $upstream_status $upstream_response_time $host "$request"`,
		"json":     `{"time":"$time_iso8601","host":"$host","request":"$request","status":$status,"bytes":$body_bytes_sent,"rt":$request_time,"urt":"$upstream_response_time","us":"$upstream_status","agent":"$http_user_agent"}`,
	}
	name := rapid.SampledFrom([]string{"combined", "times", "lists", "json", "any", "any", "any"}).Draw(t, "kind")
	format, ok := known[name]
	if !ok {
		var b strings.Builder
		b.WriteString(anyLiteral.Draw(t, "head"))
		variables := append(rapid.SliceOfN(anyVariable, 0, 7).Draw(t, "variables"), "status")
		if len(variables) > 1 && rapid.Bool().Draw(t, "status first") {
			variables[0], variables[len(variables)-1] = variables[len(variables)-1], variables[0]
		}
		for _, v := range variables {
			fmt.Fprintf(&b, "${%s}%s", v, anyLiteral.Draw(t, "literal"))
		}
		format = b.String()
	}
	return format, escape, lineOf(t, format, escape)
}

// lineOf is a line of the format, or one near it.
func lineOf(t *rapid.T, format, escape string) string {
	var b strings.Builder
	for rest := format; rest != ""; {
		literal, after, found := strings.Cut(rest, "$")
		b.WriteString(literal)
		if !found {
			break
		}
		variable, tail, err := variable(after)
		if err != nil {
			t.Fatal(err)
		}
		b.WriteString(escaped(escape, valueOf(t, variable)))
		rest = tail
	}
	line := b.String()
	for range rapid.IntRange(0, 2).Draw(t, "damages") {
		if line == "" {
			break
		}
		at := rapid.IntRange(0, len(line)-1).Draw(t, "at")
		switch rapid.IntRange(0, 3).Draw(t, "damage") {
		case 0:
			line = line[:at]
		case 1: // a quote that is missing, say
			line = line[:at] + line[at+1:]
		case 2:
			line = line[:at] + hostile.Draw(t, "inserted") + line[at:]
		case 3:
			line = line[:at] + string(rapid.SampledFrom([]byte(`"\ -.,:[]0`)).Draw(t, "byte")) + line[at+1:]
		}
	}
	return line
}

// agree fails unless the fast way and the matcher find the same in a line.
func agree(t interface{ Fatalf(string, ...any) }, f *Format, c *clock, line string) {
	var fast, slow Record
	want := f.match([]byte(line), &slow)
	// What stands behind a line must not matter.
	for _, behind := range []string{"", "\n", "\n0123456789abcdef", "0.500 0123456789abcdef", `"" " " "          `} {
		found := quotes{base: 3}
		for i, b := range []byte(line) {
			if b == '"' {
				found.places = append(found.places, uint32(3+i))
			}
		}
		for _, q := range []quotes{{}, found} {
			ok := f.parse([]byte(line + behind)[:len(line)], q, &fast, c)
			if diff := cmp.Diff(slow, fast); ok != want || !bytes.Equal(slow.URI(), fast.URI()) || diff != "" {
				t.Fatalf("%q, then %q\nplan %v, matcher %v\n%s", line, behind, ok, want, diff)
			}
		}
	}
}

func TestThePlanFindsWhatTheMatcherFinds(t *testing.T) {
	planned, lines := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		format, escape, line := drawLine(t)
		f, err := Compile(format, escape)
		if err != nil {
			t.Fatal(err)
		}
		c := new(clock)
		agree(t, f, c, line)
		agree(t, f, c, line) // with the times remembered
		if lines++; f.plan != nil && f.plan.run([]byte(line), quotes{}, new(Record), c) == fits {
			planned++
		}
	})
	if planned == 0 { // a fifth to a half of them are; how many is chance
		t.Errorf("only %d of %d lines were read by a plan: the test shows little", planned, lines)
	}
}

// scanned is what Scan tells of data, in pieces.
func scanned(fs Formats, data []byte, size int) (records []Record, malformed int64) {
	s := NewScanner(fs)
	keep := func(r *Record) {
		k := *r
		for _, b := range []*[]byte{&k.Target, &k.Request, &k.Host, &k.UserAgent} {
			*b = slices.Clone(*b)
		}
		records = append(records, k)
	}
	for from := 0; from < len(data); {
		to := min(from+size, len(data))
		rest := s.Scan(data[from:to], keep)
		if to == len(data) {
			break
		}
		if from = to - rest; rest == size {
			size *= 2
		}
	}
	return records, s.Malformed
}

// matched is what the matcher tells of data, line by line.
func matched(fs Formats, data []byte) (records []Record, malformed int64) {
	lines := bytes.Split(data, []byte("\n"))
	for _, line := range lines[:len(lines)-1] {
		var r Record
		if slices.ContainsFunc(fs, func(f *Format) bool { return f.match(line, &r) }) {
			records = append(records, r)
		} else {
			malformed++
		}
	}
	return records, malformed
}

func TestAScannerFindsWhatTheMatcherFindsLineByLine(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var fs Formats
		var data []byte
		format, escape, line := drawLine(t)
		for n := rapid.IntRange(1, 12).Draw(t, "lines"); ; n-- {
			if len(fs) == 0 || rapid.IntRange(0, 9).Draw(t, "another format") == 0 {
				f, err := Compile(format, escape)
				if err != nil {
					t.Fatal(err)
				}
				fs = append(fs, f)
			}
			data = append(data, line...)
			if rapid.IntRange(0, 9).Draw(t, "no line break") > 0 {
				data = append(data, '\n')
			}
			if n == 0 {
				break
			}
			if rapid.Bool().Draw(t, "the same again") {
				continue
			}
			if line = lineOf(t, format, escape); rapid.IntRange(0, 4).Draw(t, "another") == 0 {
				format, escape, line = drawLine(t)
			}
		}
		want, bad := matched(fs, data)
		for _, size := range []int{len(data), 1 + len(data)/3} {
			got, malformed := scanned(fs, data, size)
			if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" || malformed != bad {
				t.Fatalf("%q in pieces of %d\n%d malformed, want %d\n%s", data, size, malformed, bad, diff)
			}
		}
	})
}

func TestMarksAreFoundWhereverTheyAre(t *testing.T) {
	var out marks
	for n := range 300 {
		for _, dense := range []int{1, 2, 5, 40} {
			data := make([]byte, n)
			var want []uint32
			for i := range data {
				switch (i*7 + n) % dense {
				case 0:
					data[i], want = '"', append(want, uint32(i))
				case 1:
					data[i], want = '\n', append(want, uint32(i))
				default:
					data[i] = byte(i*31) | 0x80
				}
			}
			if got := out[:findMarks(data, out[:])]; !slices.Equal(got, want) {
				t.Fatalf("%q\n%v, want %v", data, got, want)
			}
		}
	}
	full := bytes.Repeat([]byte{'"'}, markWindow)
	if n := findMarks(full, out[:]); n != markWindow || out[markWindow-1] != markWindow-1 {
		t.Errorf("%d marks", n)
	}
}

func FuzzThePlanFindsWhatTheMatcherFinds(f *testing.F) {
	f.Add(combined, "", lineAt(newYear, 200))
	f.Add(combined+` $request_time $upstream_response_time`, "default", `::1 - - [25/Nov/2026:00:46:12 +0000] "GET / HTTP/1.1" 200 1 "-" "-" 0.5 0.5, 0.49 : 0.1`)
	f.Add(`{"r":"$request","s":$status,"u":"$upstream_status"}`, "json", `{"r":"GET /\"","s":502,"u":"502, 504"}`)
	f.Add(`$host|$status|$uri`, "none", `a|b|200|/|`)
	f.Fuzz(func(t *testing.T, format, escape, line string) {
		compiled, err := Compile(format, escape)
		if err != nil {
			return
		}
		agree(t, compiled, new(clock), line)
	})
}

func TestEveryCutOfALineIsReadAlike(t *testing.T) {
	for format, line := range map[string]string{
		combined + ` $request_time $upstream_response_time`: `10.0.0.1 - a [b] [25/Nov/2026:00:46:12 +0000] "GET /\x22?x=1 HTTP/1.1" 502 17 "-" "curl \x5C" 1.250 0.500, 0.490 : 0.100`,
		`[$time_iso8601] $upstream_status $host $status`:    `[2026-11-25T00:46:12+08:00] 502, 504 : 200 a.test 200`,
	} {
		f, err := Compile(format, "")
		if err != nil {
			t.Fatal(err)
		}
		for from := range len(line) {
			for to := from; to <= len(line); to++ {
				agree(t, f, new(clock), line[:from]+line[to:]) // cut out of it, off its end, off its beginning
			}
		}
	}
}

func TestScanningAllocatesNothing(t *testing.T) {
	for format, escape := range map[string]string{combined: "", combined + ` $request_time $upstream_response_time`: "",
		`{"time":"$time_iso8601","request":"$request","status":$status,"rt":$request_time,"us":"$upstream_status"}`: "json",
		`$host|$status|$msec|$uri`: "none"} {
		f, err := Compile(format, escape)
		if err != nil {
			t.Fatal(err)
		}
		lines := strings.NewReplacer("$remote_addr", "::1", "$remote_user", "x] 500 [", "$time_local", "25/Nov/2026:00:46:12 +0000",
			"$time_iso8601", "2026-11-25T00:46:12+00:00", "$msec", "1795567572.123", "$request_time", "0.123", "$upstream_status", "502, 200",
			"$request", "GET /a?b HTTP/1.1", "$status", "200", "$body_bytes_sent", "17", "$upstream_response_time", "0.5, 0.1 : -").Replace(format) + "\nmalformed\n"
		data := []byte(strings.Repeat(lines, 10))
		s := NewScanner(Formats{f})
		s.Scan(data, func(*Record) {}) // keeps its samples
		if n := testing.AllocsPerRun(10, func() { s.Scan(data, func(*Record) {}) }); n > 0 || s.Malformed*2 != s.Lines {
			t.Errorf("%s: %v allocations, %d of %d malformed", format, n, s.Malformed, s.Lines)
		}
	}
}

// A step looks at some dozen bytes: so this bounds the cost of a line, whatever is in it.
func TestHostileLinesAreGivenUpAfterStepsInProportionToTheirLength(t *testing.T) {
	list, err := Compile(`$uri $upstream_response_time $upstream_status $host $status $uri`, "none")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range []*Format{Combined(), list} {
		for _, part := range []string{" - [", " ", `1, `, ` - - [25/Nov/2026:00:46:12 +0000] `, " - - ", "1 : 1 200 ", "\\"} {
			line := []byte(strings.Repeat(part, maxLine/len(part)))
			m := matcher{Format: f, line: line, steps: f.budget(line), found: new(Record)}
			if m.match(0, 0) {
				t.Errorf("%q… fits", part)
			}
			if m.steps < -len(line) {
				t.Errorf("%q…: %d steps over the budget", part, -m.steps)
			}
		}
	}
}
