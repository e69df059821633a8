package cli_test

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"graft/internal/nginxtest"
)

// analyze runs graft analyze as somebody does who has nothing but logs.
func analyze(t *testing.T, in io.Reader, args ...string) result {
	t.Helper()
	args = append([]string{"analyze"}, args...)
	cmd := exec.CommandContext(t.Context(), graftPath(), args...)
	var stdout, stderr bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = in, &stdout, &stderr
	if err := cmd.Run(); cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return result{args, cmd.ProcessState.ExitCode(), stdout.String(), stderr.String()}
}

func (r result) wants(t *testing.T, code int, words ...string) {
	t.Helper()
	if r.code != code {
		t.Errorf("want exit %d: %s", code, r)
	}
	for _, w := range words {
		if !strings.Contains(r.stdout+r.stderr, w) {
			t.Errorf("%q is missing: %s", w, r)
		}
	}
}

// analyzed is what of the JSON these tests look at.
type analyzed struct {
	Verdict    string
	Why        []string
	Concurrent bool
	Formats    []string
	Readings   []struct {
		Lines, Malformed int64
		Notes            []string
	}
	Periods []struct {
		Name     string
		Requests int64
		Statuses []struct {
			Name string
			N    int64
		}
		Bytes int64
		Time  *struct {
			N             int64
			P50, P95, P99 float64
		} `json:"request_time"`
	}
	FailingURIs []struct {
		URI           string
		Before, After int64
	} `json:"failing_uris"`
	ErrorLog []struct {
		Kind, Template string
		Before, After  int64
	} `json:"error_log"`
}

func (r result) analyzed(t *testing.T) (a analyzed) {
	t.Helper()
	if err := json.Unmarshal([]byte(r.stdout), &a); err != nil {
		t.Fatalf("%v: %s", err, r)
	}
	return a
}

func (a analyzed) status(period int, name string) int64 {
	for _, s := range a.Periods[period].Statuses {
		if s.Name == name {
			return s.N
		}
	}
	return -1
}

// logOf writes a log of some hours, four requests a second, of which so many in a thousand fail and end.
func logOf(from time.Time, hours int, bad int, end string) []byte {
	var b bytes.Buffer
	for i := range hours * 3600 * 4 {
		status, uri := 200, "/shop/list?page=2"
		if i*6151%1000 < bad {
			status, uri = 502, "/shop/cart?id=7"
		}
		fmt.Fprintf(&b, "10.0.0.%d - - [%s] \"GET %s HTTP/1.1\" %d 512 \"-\" \"Mozilla/5.0 (X11)\"%s\n",
			i%250, from.Add(time.Duration(i)*time.Second/4).Format("02/Jan/2006:15:04:05 -0700"), uri, status, end)
	}
	return b.Bytes()
}

func file(t *testing.T, name string, data []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func gzipped(data []byte) []byte {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, _ = z.Write(data)
	_ = z.Close()
	return b.Bytes()
}

var monday = time.Date(2026, 11, 23, 6, 0, 0, 0, time.UTC)

func TestAnalyzePartsOneLogAtATime(t *testing.T) {
	old := file(t, "access.log.1.gz", gzipped(logOf(monday, 8, 5, "")))
	now := file(t, "access.log", logOf(monday.Add(8*time.Hour), 2, 50, ""))
	r := analyze(t, nil, "-o", "json", "--after", "2026-11-23T14:00:00Z", old, now, "--detailed-exitcode")
	r.wants(t, 3, "after is worse than before")
	a := r.analyzed(t)
	if a.Verdict != "fail" || a.Concurrent || a.Periods[0].Requests != 8*3600*4 || a.Periods[1].Requests != 2*3600*4 || !strings.HasPrefix(a.Why[0], "5xx") {
		t.Errorf("%+v", a)
	}
	if u := a.FailingURIs[0]; u.URI != "/shop/cart" || u.Before != 577 || u.After != 1441 {
		t.Errorf("by 5xx: %+v", u)
	}
	analyze(t, nil, "--after", "2026-11-23T14:00:00Z", old, now).wants(t, 0, "fail: after is worse", "5xx", "/shop/cart")

	// The same period against itself in two files is no worse; and of a gap's other side nothing is counted.
	like := file(t, "access.log", logOf(monday.Add(24*time.Hour), 3, 5, ""))
	analyze(t, nil, "--before", old, "--after", like, "--detailed-exitcode").wants(t, 0, "pass: after is no worse than before")
	cut := analyze(t, nil, "-o", "json", "--before", "2026-11-23T07:00:00Z", "--after", "2026-11-23T12:00:00Z..2026-11-23T13:00:00Z", old, now).analyzed(t)
	if cut.Periods[0].Requests != 3600*4 || cut.Periods[1].Requests != 3600*4 {
		t.Errorf("%+v", cut.Periods)
	}
}

// What two hours before cannot tell is said of them, and not of the logs in general.
func TestAnalyzeNamesAShortTimeBefore(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	var b bytes.Buffer
	for second := range 2*3600 + 600 {
		status := 200
		if random.IntN(1000) < 3 {
			status = 502
		}
		fmt.Fprintf(&b, "10.0.0.1 - - [%s] \"GET / HTTP/1.1\" %d 512 \"-\" \"agent\"\n",
			monday.Add(time.Duration(second)*time.Second).Format("02/Jan/2006:15:04:05 -0700"), status)
	}
	log := file(t, "access.log", b.Bytes())
	r := analyze(t, nil, "--after", "2026-11-23T08:00:00Z", log, "--detailed-exitcode")
	r.wants(t, 9, "inconclusive", "the time before is 2 h: with two days of it")
	if all := r.stdout + r.stderr; strings.Contains(all, "of the day before") || strings.Contains(all, "more logs of both periods") {
		t.Errorf("%s", r)
	}
}

func TestAnalyzeSaysWhatIsOddOnce(t *testing.T) {
	log := file(t, "access.log", append(logOf(monday, 1, 5, " 0.010 0.009"), "10.0"...))
	analyze(t, nil, "--error-log", log, log).wants(t, 2, "no log is named", "--error-log takes all files up to the next flag", "after --")
	analyze(t, nil, "--after", "2026-11-23T06:30:00Z", "--error-log", log, log).wants(t, 2, "--error-log takes all files")
	r := analyze(t, nil, "--before", log, "--after", log)
	r.wants(t, 0, log+" is of both periods", "1 file ends within a line")
	if n := strings.Count(r.stdout+r.stderr, "the lines fit the format"); n != 1 {
		t.Errorf("the format is told %d times: %s", n, r)
	}
	other := file(t, "other.log", logOf(monday, 1, 5, " 0.010 0.009"))
	if r := analyze(t, nil, "--before", log, "--after", other); strings.Contains(r.stdout, "of both periods") {
		t.Errorf("two files are held for one: %s", r)
	}
}

func TestAnalyzeReadsPipes(t *testing.T) {
	data := logOf(monday, 1, 5, ` 0.010 "-"`)
	args := []string{"-", "-o", "json", "--log-format", `$remote_addr - $remote_user [$time_local] "$request" $status $body_bytes_sent "$http_referer" "$http_user_agent" $request_time "$upstream_response_time"`}
	for name, in := range map[string][]byte{"plain": data, "gzip": gzipped(data), "unfinished": append(data[:len(data):len(data)], "10.0"...)} {
		a := analyze(t, bytes.NewReader(in), args...).analyzed(t)
		if a.Periods[0].Requests != 3600*4 || a.Periods[0].Time.N != 3600*4 || a.Readings[0].Lines != 3600*4 || (name == "unfinished") != (len(a.Readings[0].Notes) == 1) {
			t.Errorf("%s: %+v", name, a)
		}
	}
}

// A pipe with a name tells its format by its head, as a file does, and nothing of the head is lost.
func TestAnalyzeReadsNamedPipes(t *testing.T) {
	for name, data := range map[string][]byte{
		"plain": logOf(monday, 1, 5, ` 0.010 0.009`), "gzip": gzipped(logOf(monday, 1, 5, ` 0.010 0.009`)),
	} {
		path := filepath.Join(t.TempDir(), name)
		if err := unix.Mkfifo(path, 0o600); err != nil {
			t.Fatal(err)
		}
		go func() { _ = os.WriteFile(path, data, 0) }()
		r := analyze(t, nil, "-o", "json", path)
		r.wants(t, 0, "the lines fit the format combined-times:")
		if a := r.analyzed(t); a.Periods[0].Requests != 3600*4 || a.Periods[0].Time == nil || a.Periods[0].Time.N != 3600*4 {
			t.Errorf("%s: %+v", name, a.Periods[0])
		}
	}
}

// A file of another format is not left out without a word, however few its lines are among the others'.
func TestAnalyzeNamesAFileOfAnotherFormat(t *testing.T) {
	many := file(t, "access.log", logOf(monday, 2, 5, ""))
	json := file(t, "other.log", bytes.Repeat([]byte("{\"at\":1,\"code\":200}\n"), 50))
	analyze(t, nil, many, json).wants(t, 1, "no line of "+json+" fits the log_format combined", `{"at":1`, "several times")
	times := file(t, "timed.log", logOf(monday, 1, 5, ` 0.010 0.009`))
	analyze(t, nil, "--log-format", "combined", many, times).wants(t, 1, "no line of "+times, "--log-format combined-times")
	analyze(t, nil, "--log-format", "combined", "--log-format", "combined-times", many, times).wants(t, 0, "43,200")

	// Of a pipe that is read after another, its lines tell.
	path := filepath.Join(t.TempDir(), "pipe")
	if err := unix.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	go func() { _ = os.WriteFile(path, bytes.Repeat([]byte("odd\n"), 50), 0) }()
	analyze(t, bytes.NewReader(logOf(monday, 1, 5, "")), "-", path).wants(t, 1, "none of the 50 lines of "+path+" fits")

	// A few odd lines are no format.
	few := file(t, "few.log", []byte("odd\n"))
	analyze(t, nil, many, few).wants(t, 0, "1 of 28,801 lines fit no format")
}

func TestAnalyzeSaysWhichLinesItCannotRead(t *testing.T) {
	combined := file(t, "combined.log", logOf(monday, 1, 5, ""))
	timed := file(t, "timed.log", logOf(monday, 1, 5, ` 0.010 0.009`))
	odd := file(t, "odd.log", bytes.Repeat([]byte("{\"at\":1,\"\x1b[31mcode\":200}\n"), 50))

	analyze(t, nil, combined).wants(t, 0, "requests")
	analyze(t, nil, timed).wants(t, 0, "the lines fit the format combined-times", "request time p50", "10 ms")
	analyze(t, nil, "--log-format", "combined", timed).wants(t, 1,
		"the log_format combined does not fit 100 of the first 100 lines, such as\n  10.0.0.0 - - [", "--log-format combined-times")
	r := analyze(t, nil, odd)
	r.wants(t, 1, "none of the well-known formats fits 50 of the first 50 lines", "escape=json")
	if strings.Contains(r.stderr, "\x1b") {
		t.Errorf("a control character of the log reaches the terminal: %q", r.stderr)
	}
	analyze(t, nil, "--log-format", `$remote_addr "$request"`, combined).wants(t, 2, "it has no $status")
	analyze(t, nil, "--log-format", "fancy", combined).wants(t, 2, "--log-format fancy", "--conf FILE")
	analyze(t, nil, "--log-format", `$status $body_bytes_sent`, "--after", "2026-11-25", file(t, "bare.log", []byte("200 5\n500 6\n"))).
		wants(t, 2, "tells no time", "--before FILES")

	// A few bad lines are told, and do no harm.
	some := file(t, "some.log", append(logOf(monday, 1, 5, ""), "\x16\x03\x01 nonsense\n"...))
	analyze(t, nil, some).wants(t, 0, "1 of 14,401 lines fit no format, such as", "nonsense")
}

// The pid that a gate asks for at the end of the format is no time.
func TestAnalyzeTakesNoPIDForATime(t *testing.T) {
	for end, want := range map[string]struct {
		name, text string
		times      int64
	}{
		` 4711`:                            {"combined-pid", `"$http_user_agent" $pid`, 0},
		` 0.010 4711`:                      {"combined-time-pid", `$request_time $pid`, 3600 * 4},
		` 0.010 0.009 4711`:                {"combined-times-pid", `$request_time $upstream_response_time $pid`, 3600 * 4},
		` 0.010 0.009, 0.010 : 0.001 4711`: {"combined-times-pid", `$request_time $upstream_response_time $pid`, 3600 * 4},
		` 0.010 -`:                         {"combined-times", `$request_time $upstream_response_time`, 3600 * 4},
		` "10.1.1.1" 0.010 4711`:           {"main-time-pid", `"$http_x_forwarded_for" $request_time $pid`, 3600 * 4},
	} {
		r := analyze(t, nil, "-o", "json", file(t, "access.log", logOf(monday, 1, 5, end)))
		r.wants(t, 0, "the lines fit the format "+want.name+":")
		a := r.analyzed(t)
		if !strings.HasSuffix(a.Formats[0], want.text) {
			t.Errorf("%s: read as %s", end, a.Formats[0])
		}
		if got := a.Periods[0].Time; (got == nil) != (want.times == 0) || got != nil && got.N != want.times {
			t.Errorf("%s: request times %+v", end, got)
		}
	}
}

func TestAnalyzeWritesAPage(t *testing.T) {
	log := file(t, "access.log", logOf(monday, 1, 5, ""))
	page := filepath.Join(t.TempDir(), "report.html")
	analyze(t, nil, log, "--html", page).wants(t, 0, "requests", "the report is in "+page)
	text, err := os.ReadFile(page)
	if err != nil || !bytes.Contains(text, []byte("<h2>Over time</h2>")) || !bytes.Contains(text, []byte("/shop/cart")) {
		t.Errorf("%v\n%.300s", err, text)
	}
	if r := analyze(t, nil, log, "--html", "-"); r.code != 0 || !strings.HasPrefix(r.stdout, "<!DOCTYPE html>") {
		t.Errorf("%.300s", r.String())
	}
	analyze(t, nil, log, "--html", "/nowhere/x.html").wants(t, 1, "write the report")
}

// analyzeConf has a server for each side, with a log of its own in a JSON format, and an upstream that is not there.
const analyzeConf = `user {{.User}};
worker_processes 2;
pid {{.PidFile}};
error_log {{.ErrorLog}} notice;
events { worker_connections 1024; }
http {
	log_format told escape=json '{"at":"$time_iso8601","host":"$host","request":"$request","status":$status,'
		'"bytes":$body_bytes_sent,"agent":"$http_user_agent","time":$request_time,'
		'"upstream":"$upstream_response_time","upstream_status":"$upstream_status"}';
	client_body_temp_path temp/body;
	proxy_temp_path temp/proxy;
	fastcgi_temp_path temp/fastcgi;
	uwsgi_temp_path temp/uwsgi;
	scgi_temp_path temp/scgi;
	server {
		listen 127.0.0.1:{{.Port "old"}};
		access_log logs/old.log told;
		location / { return 200 fine; }
		location /cart/ { return 200 fine; }
	}
	server {
		listen 127.0.0.1:{{.Port "new"}};
		access_log logs/new.log told;
		location / { return 200 fine; }
		location /cart/ { proxy_pass http://127.0.0.1:{{.Port "nobody"}}; }
	}
}
`

// rounds is how often again writes what nginx wrote.
const rounds = 6

// again is what nginx logged within a moment, and as often as that ten minutes later: errors of one moment may have one
// cause, and no test rests on them alone.
func again(t *testing.T, log string) string {
	t.Helper()
	text, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	const iso = `"at":"2006-01-02T15:04:05-07:00"` // as nginx has it, without a Z for UTC
	var b bytes.Buffer
	for n := range rounds {
		b.Write(regexp.MustCompile(`"at":"[^"]+"`).ReplaceAllFunc(text, func(at []byte) []byte {
			when, err := time.Parse(iso, string(at))
			if err != nil {
				t.Fatal(err)
			}
			return []byte(when.Add(time.Duration(n) * 10 * time.Minute).Format(iso))
		}))
	}
	return file(t, filepath.Base(log), b.Bytes())
}

func TestAnalyzeTellsTwoServersOfARealNginxApart(t *testing.T) {
	inst := nginxtest.Start(t, nginxtest.Options{Config: analyzeConf})
	const hostile = "/<script>alert(1)</script>\"'"
	get := func(server, path string) {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+inst.Addr(server), nil)
		if err != nil {
			t.Fatal(err)
		}
		req.URL.Opaque = path
		req.Header.Set("User-Agent", "</script><script>alert(2)</script>")
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
	}
	for i := range 800 {
		path := "/list"
		switch {
		case i%10 == 0:
			path = "/cart/" + fmt.Sprint(i%30)
		case i%100 == 1:
			path = hostile
		}
		get("old", path)
		get("new", path)
	}
	log := func(name string) string { return again(t, filepath.Join(inst.Prefix, "logs", name)) }
	page := filepath.Join(t.TempDir(), "report.html")
	r := analyze(t, nil, "-o", "json", "--conf", inst.Conf, "--before", log("old.log"), "--after", log("new.log"), "--html", page, "--detailed-exitcode")
	r.wants(t, 3)
	a := r.analyzed(t)
	if a.Verdict != "fail" || !a.Concurrent || a.status(0, "5xx") != 0 || a.status(1, "5xx") != 80*rounds || a.status(1, "2xx") != 720*rounds {
		t.Errorf("%s\n%+v", r.stderr, a)
	}
	for _, read := range a.Readings {
		if read.Lines != 800*rounds || read.Malformed != 0 {
			t.Errorf("read %+v", read)
		}
	}
	if len(a.FailingURIs) != 3 || !strings.HasPrefix(a.FailingURIs[0].URI, "/cart/") {
		t.Errorf("by 5xx: %+v", a.FailingURIs)
	}
	text, err := os.ReadFile(page)
	if err != nil || bytes.Contains(text, []byte("<script>alert")) || !bytes.Contains(text, []byte("/cart/")) {
		t.Errorf("the page: %v, %d bytes", err, len(text))
	}

	one := analyze(t, nil, "-o", "json", "--conf", inst.Conf, log("new.log"), "--error-log", inst.ErrorLog).analyzed(t)
	found := false
	for _, c := range one.ErrorLog {
		found = found || c.Kind == "upstream" && c.After == 80 && strings.Contains(c.Template, "connect() failed")
	}
	if !found {
		t.Errorf("the error log: %+v", one.ErrorLog)
	}
	analyze(t, nil, "--conf", inst.Conf, "--before", log("old.log"), "--after", log("new.log"), "--error-log", inst.ErrorLog).
		wants(t, 2, "cannot be told apart")
	analyze(t, nil, "--conf", inst.Conf, log("new.log"), "--error-log", log("new.log")).wants(t, 1, "none of which is one of nginx's error log")
	analyze(t, nil, "--conf", inst.Conf, "--log-format", "other", log("new.log")).wants(t, 2, "has no such log_format", "told")
}

// Ten thousand lines of a real site, kept beside the repository.
func TestAnalyzeOfARealSitesLog(t *testing.T) {
	log := filepath.Join("..", "..", "..", "shared", "data", "apache_logs")
	if other := os.Getenv("GRAFT_APACHE_LOGS"); other != "" {
		log = other
	}
	if _, err := os.Stat(log); err != nil {
		t.Skipf("SKIPPED, not tested: the log of a real site is not here: %v", err)
	}
	a := analyze(t, nil, "-o", "json", log).analyzed(t)
	if r := a.Readings[0]; r.Lines != 10000 || r.Malformed != 1 || a.Periods[0].Requests != 9999 || a.status(0, "5xx") < 1 {
		t.Errorf("%+v", a)
	}
	analyze(t, nil, "--after", "2015-05-20", log, "--detailed-exitcode").wants(t, 9, "inconclusive", "too little")
}

// mawkReport is the same report by other means: classes, 499, URIs by 5xx, and the request times sorted.
const mawkReport = `{
	split($0, part, "\""); split(part[3], after, " "); split(part[2], request, " ");
	status = after[1]; n++; class[substr(status, 1, 1)]++; bytes += after[2];
	if (status == 499) closed++;
	if (status >= 500) { uri = request[2]; sub(/\?.*/, "", uri); failing[uri]++ }
	split(part[7], times, " "); print times[1] | "sort -n > " sorted;
}
END {
	close("sort -n > " sorted);
	printf "requests %d\nbytes %d\n2xx %d\n3xx %d\n4xx %d\n499 %d\n5xx %d\n", n, bytes, class[2], class[3], class[4] - closed, closed, class[5];
	for (uri in failing) printf "uri %s %d\n", uri, failing[uri];
	while ((getline t < sorted) > 0) time[++k] = t;
	printf "p50 %.3f\np95 %.3f\np99 %.3f\n", time[int(k * .5 + .999999)], time[int(k * .95 + .999999)], time[int(k * .99 + .999999)];
}`

func TestAnalyzeAgreesWithMawkHoweverManyRead(t *testing.T) {
	mawk, err := exec.LookPath("mawk")
	if err != nil {
		t.Skipf("SKIPPED, not tested: %v", err)
	}
	random := rand.New(rand.NewPCG(1, 2))
	var all []byte
	var files []string
	for n := range 6 {
		var b bytes.Buffer
		for i := range 5000 {
			at := monday.Add(time.Duration(n)*time.Hour + time.Duration(i)*700*time.Millisecond)
			uri := fmt.Sprintf("/part%d/%d?q=%d", random.IntN(9), random.IntN(3), i)
			status := []int{200, 200, 200, 204, 304, 301, 404, 400, 499, 500, 502, 503}[random.IntN(12)]
			fmt.Fprintf(&b, "10.0.0.1 - - [%s] \"GET %s HTTP/1.1\" %d %d \"-\" \"agent\" %.3f %.3f\n",
				at.Format("02/Jan/2006:15:04:05 -0700"), uri, status, random.IntN(100_000), math.Exp(random.NormFloat64()*2-2), 0.001)
		}
		all = append(all, b.Bytes()...)
		if n%2 == 0 {
			files = append(files, file(t, fmt.Sprintf("access.log.%d.gz", n), gzipped(b.Bytes())))
		} else {
			files = append(files, file(t, fmt.Sprintf("access.log.%d", n), b.Bytes()))
		}
	}
	cmd := exec.CommandContext(t.Context(), mawk, "-v", "sorted="+filepath.Join(t.TempDir(), "sorted"), mawkReport)
	cmd.Stdin = bytes.NewReader(all)
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]float64{}
	uris := 0
	for line := range strings.Lines(string(out)) {
		fields := strings.Fields(line)
		n, err := strconv.ParseFloat(fields[len(fields)-1], 64)
		if err != nil {
			t.Fatal(err)
		}
		want[strings.Join(fields[:len(fields)-1], " ")] = n
		if fields[0] == "uri" {
			uris++
		}
	}

	one := analyze(t, nil, append(files, "-o", "json", "--parallel", "1")...)
	several := analyze(t, nil, append(files, "-o", "json", "--parallel", "5")...)
	if one.code != 0 || one.stdout != several.stdout {
		t.Errorf("one goroutine and five come to different reports: %s%s", one, several)
	}
	a := one.analyzed(t)
	got := map[string]float64{"requests": float64(a.Periods[0].Requests), "bytes": float64(a.Periods[0].Bytes)}
	for _, s := range a.Periods[0].Statuses {
		got[s.Name] = float64(s.N)
	}
	for _, u := range a.FailingURIs {
		got["uri "+u.URI] = float64(u.After)
	}
	for name, n := range want {
		switch {
		case name == "p50" || name == "p95" || name == "p99":
		case strings.HasPrefix(name, "uri ") && got[name] == 0 && len(a.FailingURIs) == 20 && uris > 20: // not among the first
		case got[name] != n:
			t.Errorf("%s: %g, mawk says %g", name, got[name], n)
		}
	}
	for name, ms := range map[string]float64{"p50": a.Periods[0].Time.P50, "p95": a.Periods[0].Time.P95, "p99": a.Periods[0].Time.P99} {
		if exact := 1000 * want[name]; math.Abs(ms-exact) > exact/128+1e-6 {
			t.Errorf("%s: %g ms, mawk says %g", name, ms, exact)
		}
	}
}
