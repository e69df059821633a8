package report

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"graft/internal/accesslog"
	"graft/internal/analysis"
	"graft/internal/traffic"
)

// hostile is what a client may send, and escape=none or a JSON format write into a log.
const hostile = `/<script>alert(1)</script>"'><img src=x onerror=alert(2)>{{.}}</pre></title>` + "\u2028\u202e\x1b[31m"

// site makes the traffic of some hours: bad in a thousand answered with 502, slow in ms.
func site(from time.Time, hours int, bad int, slow int32) *traffic.Overview {
	o := new(traffic.Overview)
	for second := range hours * 3600 {
		for n := range 10 {
			i := second*10 + n
			r := accesslog.Record{
				Time: from.Unix() + int64(second), Status: 200, Bytes: 5000, Host: []byte("shop.example"), Target: []byte("/shop/list"),
				RequestTime: 5 + int32(i*7919%int(slow)), UpstreamTime: 4,
			}
			switch {
			case i*6151%1000 < bad:
				r.Status, r.Target, r.UpstreamFailures = 502, []byte("/shop/cart"), 1
			case i%50 == 0:
				r.Status, r.Target, r.UpstreamTime = 404, []byte(hostile), -1
			case i%7 == 0:
				r.Status, r.Target, r.UpstreamTime = 304, []byte("/static/app.js"), -1
			}
			if i%5000 == 0 {
				r.Status, r.Target = 500, []byte(hostile)
			}
			o.Add(&r)
		}
	}
	return o
}

var (
	monday  = time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC)
	tuesday = monday.AddDate(0, 0, 1)
)

func input(name string, o *traffic.Overview) *Input {
	from, _, _ := o.Span()
	log := new(ErrorLog)
	for i := range 3 {
		log.Add(accesslog.ErrorLine{Time: from.Add(time.Duration(i) * time.Second), Level: accesslog.Error, Message: "no " + name + hostile})
	}
	return &Input{Name: name, Counts: o, Errors: log}
}

func worse() *Report {
	return New(Options{
		Formats: []string{"$status" + hostile},
		Readings: []Reading{{
			Files: []string{"/var/log/nginx/" + hostile}, Lines: 100, Malformed: 2,
			Samples: []string{hostile, "\x16\x03\x01"}, Notes: []string{hostile},
		}},
	}, input("before", site(monday, 6, 1, 40)), input("after", site(tuesday, 2, 60, 90)))
}

// Periods that follow one another within a window do not overlap, and rates are of the seconds that there are.
func TestPeriodsAreToldToTheSecond(t *testing.T) {
	counts := func(from, seconds int64) *traffic.Overview {
		// In two parts that are merged, as several goroutines read them.
		first, second := new(traffic.Overview), new(traffic.Overview)
		for i := range seconds {
			for range 3 {
				(map[bool]*traffic.Overview{true: first, false: second})[i%2 == 0].Add(
					&accesslog.Record{Time: monday.Unix() + from + i, Status: 200, RequestTime: -1, UpstreamTime: -1})
			}
		}
		second.Add(&accesslog.Record{Status: 200, RequestTime: -1, UpstreamTime: -1}) // tells no time
		second.Merge(first)
		return second
	}
	r := New(Options{}, &Input{Name: "before", Counts: counts(3, 12)}, &Input{Name: "after", Counts: counts(15, 4)})
	b, a := r.Periods[0], r.Periods[1]
	if b.From.Unix() != monday.Unix()+3 || b.To.Unix() != monday.Unix()+15 || a.From.Unix() != b.To.Unix() || a.To.Unix() != monday.Unix()+19 {
		t.Errorf("before %v to %v, after %v to %v", b.From, b.To, a.From, a.To)
	}
	if b.PerSecond != 3 || a.PerSecond != 3 {
		t.Errorf("%g and %g requests a second, want 3", b.PerSecond, a.PerSecond)
	}
	a.From = b.From.Add(24*time.Hour - 2*time.Second)
	if r.shift() != day {
		t.Errorf("a day apart but for two seconds: drawn %d s later", r.shift())
	}
}

func TestNumbersInWords(t *testing.T) {
	for want, ratio := range map[string]float64{"×2,800": 2793, "×11": 11.2, "×2.5": 2.5, "×0.096": 0.0960, "×0.000012": 0.0000123, "×120": 123, "+10.0 %": 1.1} {
		if got := factor(1, ratio); got != want {
			t.Errorf("%g: %s, want %s", ratio, got, want)
		}
	}
	for want, n := range map[string]int64{"1 request": 1, "0 requests": 0, "1,200 requests": 1200} {
		if got := counted(n, "request"); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}

func TestAWorsePeriodFailsAndNamesWhatGotWorse(t *testing.T) {
	r := worse()
	if r.Verdict == nil || *r.Verdict != analysis.Fail || r.Concurrent {
		t.Fatalf("verdict %v: %s", r.Verdict, r.Why)
	}
	for _, signal := range []string{"5xx", "upstream-errors", "slow-p95"} {
		if !strings.Contains(strings.Join(r.Why, "\n"), signal+": ") && !strings.Contains(strings.Join(r.Why, "\n"), signal+" in ") {
			t.Errorf("%s is not among the reasons: %q", signal, r.Why)
		}
	}
	if r.FailingURIs[0].URI != "/shop/cart" || r.FailingURIs[0].After < 3000 || r.FailingURIs[0].Before < 100 {
		t.Errorf("URIs by 5xx: %+v", r.FailingURIs)
	}
	if g := r.Paths[0]; g.Name != "/shop/" || !strings.HasPrefix(g.Changed, "5xx 0.09") {
		t.Errorf("the first path is %+v", g)
	}
}

func TestOneBrokenLocationIsNamed(t *testing.T) {
	broken := site(tuesday, 2, 5, 40)
	for second := range 2 * 3600 {
		for n := range 3 { // a small part of the site, all of it broken
			r := accesslog.Record{Time: tuesday.Unix() + int64(second), Status: 200, Target: []byte("/pay/now"), Host: []byte("pay.example"), RequestTime: 5, UpstreamTime: -1}
			if n == 0 {
				r.Status = 500
			}
			broken.Add(&r)
		}
	}
	r := New(Options{}, input("before", site(monday, 6, 5, 40)), input("after", broken))
	why := strings.Join(r.Why, "\n")
	if *r.Verdict != analysis.Fail || !strings.Contains(why, "of the server pay.example") || !strings.Contains(why, "of the path /pay/") {
		t.Errorf("%v\n%s", *r.Verdict, why)
	}
	if strings.Contains(strings.Join(worse().Why, "\n"), "of the server") {
		t.Error("the only server is named as the culprit")
	}
}

func TestAPeriodLikeTheOneBeforePasses(t *testing.T) {
	r := New(Options{}, input("before", site(monday, 6, 5, 40)), input("after", site(tuesday, 3, 5, 40)))
	if *r.Verdict != analysis.Pass {
		t.Errorf("verdict %v: %s\n%+v", *r.Verdict, r.Why, r.Findings)
	}
	for _, g := range append(r.Paths, r.Hosts...) {
		if g.Changed != "" {
			t.Errorf("%s changed: %s", g.Name, g.Changed)
		}
	}
}

func TestTwoSetsOfServersAtTheSameTimeAreComparedSideBySide(t *testing.T) {
	r := New(Options{}, input("before", site(monday, 1, 5, 40)), input("after", site(monday, 1, 60, 40)))
	if *r.Verdict != analysis.Fail || !r.Concurrent || r.Findings[0].Test != analysis.Concurrent {
		t.Errorf("concurrent %v, verdict %v: %s", r.Concurrent, *r.Verdict, r.Why)
	}
}

func TestTooLittleIsInconclusive(t *testing.T) {
	few := new(traffic.Overview)
	for i := range int64(20) {
		few.Add(&accesslog.Record{Time: tuesday.Unix() + i, Status: 200, RequestTime: -1, UpstreamTime: -1})
	}
	r := New(Options{}, input("before", few), input("after", few))
	if *r.Verdict != analysis.Inconclusive || len(r.Why) == 0 {
		t.Errorf("verdict %v: %q", *r.Verdict, r.Why)
	}
	r = New(Options{}, input("before", new(traffic.Overview)), input("after", new(traffic.Overview)))
	if *r.Verdict != analysis.Inconclusive || len(r.Why) == 0 {
		t.Errorf("of nothing: verdict %v: %q", *r.Verdict, r.Why)
	}
}

func TestTheErrorLogTellsOfCrashesAndOfWhatIsNew(t *testing.T) {
	line := func(at time.Time, level accesslog.Level, message string) accesslog.ErrorLine {
		return accesslog.ErrorLine{Time: at, Level: level, Message: message}
	}
	like := func() (before, after *Input) {
		before, after = &Input{Name: "before", Counts: site(monday, 6, 5, 40), Errors: new(ErrorLog)}, &Input{Name: "after", Counts: site(tuesday, 3, 5, 40), Errors: new(ErrorLog)}
		before.Errors.Add(line(monday, accesslog.Error, `open() "/x" failed (2: No such file or directory)`))
		after.Errors.Add(line(tuesday, accesslog.Error, `open() "/y" failed (2: No such file or directory)`))
		return before, after
	}
	before, after := like()
	r := New(Options{}, before, after)
	if *r.Verdict != analysis.Pass || len(r.ErrorLog) != 1 || r.ErrorLog[0].Before != 1 || r.ErrorLog[0].After != 1 {
		t.Errorf("as before: %v %q %+v", *r.Verdict, r.Why, r.ErrorLog)
	}

	before, after = like()
	after.Errors.Add(line(tuesday.Add(time.Minute), accesslog.Alert, "worker process 12 exited on signal 11"))
	r = New(Options{}, before, after)
	if *r.Verdict != analysis.Fail || !strings.Contains(r.Why[0], "exited on signal 11") {
		t.Errorf("a crash: %v %q", *r.Verdict, r.Why)
	}

	before, after = like()
	for i := range 30 {
		after.Errors.Add(line(tuesday.Add(time.Duration(i)*time.Minute), accesslog.Error,
			`lua entry thread aborted: runtime error: /etc/nginx/shop.lua:7: attempt to index a nil value`))
	}
	r = New(Options{}, before, after)
	if *r.Verdict != analysis.Degraded || !strings.Contains(r.Why[0], "shop.lua") || r.ErrorLog[0].Kind != accesslog.KindLua || r.ErrorLog[0].After != 30 {
		t.Errorf("a Lua error: %v %q %+v", *r.Verdict, r.Why, r.ErrorLog)
	}

	before, after = like()
	before.Errors = new(ErrorLog) // of the time before there is no log: then nothing is known to be new
	after.Errors.Add(line(tuesday, accesslog.Crit, "something"))
	if r = New(Options{}, before, after); *r.Verdict != analysis.Pass {
		t.Errorf("nothing known: %v %q", *r.Verdict, r.Why)
	}
}

func TestWhatClientsInventIsCountedTogether(t *testing.T) {
	o := site(monday, 1, 5, 40)
	for i := range 20_000 {
		o.Add(&accesslog.Record{Time: monday.Unix(), Status: 503, Target: fmt.Appendf(nil, "/%d", i), RequestTime: 1, UpstreamTime: -1})
	}
	r := New(Options{}, input("all", o))
	last := r.Paths[len(r.Paths)-1]
	if last.Name != restName || last.After.Requests < 15_000 || last.After.Errors5xx != last.After.Requests || r.FailingShort == 0 {
		t.Errorf("the last path is %+v; URIs may be more by %d", last, r.FailingShort)
	}
	var text, page bytes.Buffer
	r.Text(&text, 100)
	if err := r.HTML(&page); err != nil || !strings.Contains(text.String(), "too many to count each") || !strings.Contains(page.String(), "too many to count each") {
		t.Errorf("that is not told: %v\n%s", err, text.String())
	}
}

func TestTheNumbersAreThoseOfTheTraffic(t *testing.T) {
	o := new(traffic.Overview)
	for i, status := range []int{200, 200, 206, 304, 404, 499, 500, 502, 101, 0} {
		o.Add(&accesslog.Record{Time: monday.Unix() + int64(i), Status: status, RequestTime: int32(i), UpstreamTime: -1, Bytes: 100})
	}
	o.Add(&accesslog.Record{Status: 200, RequestTime: -1, UpstreamTime: -1, Bytes: -1})
	p := New(Options{}, &Input{Name: "all", Counts: o}).Periods[0]
	got := map[string]int64{}
	for _, s := range p.Statuses {
		got[s.Name] = s.N
	}
	want := map[string]int64{"1xx": 1, "2xx": 4, "3xx": 1, "4xx": 1, "499": 1, "5xx": 2, "other": 1}
	if diff := cmp.Diff(want, got); diff != "" || p.Requests != 11 || p.Untimed != 1 || p.PerSecond != 1 || p.Bytes != 1000 {
		t.Errorf("%+v\n%s", p, diff)
	}
	if diff := cmp.Diff(&Times{N: 10, P50: 4, P95: 9, P99: 9}, p.Time); diff != "" {
		t.Error(diff)
	}
}

func TestTextIsForATerminalWhateverTheLogsHold(t *testing.T) {
	var out bytes.Buffer
	worse().Text(&out, 100)
	for _, c := range out.String() {
		if c != '\n' && c < 0x20 || c == 0x202e || c == 0x2028 {
			t.Fatalf("%q reaches the terminal:\n%s", c, out.String())
		}
	}
	for _, want := range []string{"fail: after is worse than before", "/shop/cart", "5xx", "p95", "2 of 100 lines fit no format"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is missing", want)
		}
	}
	t.Log("\n" + out.String())
}

// Lines that lie on each other have their steps at the same times: else each would be nothing but gaps.
func TestPlotsOfPeriodsOfDifferentLengthsAreWhole(t *testing.T) {
	for _, p := range worse().plots().Plots {
		for _, line := range p.Lines {
			gaps := 0
			for i := 1; i < len(line.Y)-1; i++ {
				if line.Y[i] == nil && line.Y[i-1] != nil {
					gaps++
				}
			}
			if gaps > 1 { // where it ends
				t.Errorf("%s: %s has %d gaps in %d steps", p.Title, line.Label, gaps, len(line.Y))
			}
		}
	}
}

func TestJSONReadsBack(t *testing.T) {
	r := worse()
	text, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	var back struct {
		Verdict string
		Periods []struct{ Name string }
	}
	if err := json.Unmarshal(text, &back); err != nil || back.Verdict != "fail" || len(back.Periods) != 2 || back.Periods[1].Name != "after" {
		t.Errorf("%+v %v", back, err)
	}
}

func TestNothingFromALogIsMarkup(t *testing.T) {
	var out bytes.Buffer
	if err := worse().HTML(&out); err != nil {
		t.Fatal(err)
	}
	for _, forbidden := range []string{"<script>alert", "<img", "</pre></title>", "\u2028", "\u202e", "\x1b"} {
		if strings.Contains(out.String(), forbidden) {
			t.Errorf("the page has %q", forbidden)
		}
	}
	if n := strings.Count(out.String(), "</script"); n != 3 {
		t.Errorf("%d scripts end, want 3", n)
	}
	if !strings.Contains(out.String(), "&lt;script&gt;alert(1)") {
		t.Error("the hostile URI is not shown at all")
	}
}

func page(t *testing.T, r *Report) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "report.html")
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.HTML(file); err != nil {
		t.Fatal(err)
	}
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestThePageDrawsItsPlotsInARealBrowser(t *testing.T) {
	b := newBrowser(t)
	path := page(t, worse())
	for _, scheme := range []string{"light", "dark"} {
		b.do("Emulation.setEmulatedMedia", map[string]any{
			"features": []map[string]string{{"name": "prefers-color-scheme", "value": scheme}},
		}, nil)
		b.open(path)
		var got struct {
			Canvases, Blank, Images, Unlabelled int
			Title, Heading, Back                string
		}
		b.eval(`new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => {
			const canvases = [...document.querySelectorAll("canvas")];
			const blank = canvases.filter((c) => new Set(new Uint32Array(c.getContext("2d").getImageData(0, 0, c.width, c.height).data.buffer)).size < 3);
			done({
				Canvases: canvases.length, Blank: blank.length, Images: document.images.length,
				Unlabelled: document.querySelectorAll("table:not(.u-legend) th:not([scope])").length,
				Title: document.title, Heading: document.querySelector("h1").textContent,
				Back: getComputedStyle(document.body).backgroundColor,
			});
		})))`, &got)
		if got.Canvases != 4 || got.Blank > 0 {
			t.Errorf("%s: %d plots are drawn, %d of them blank; want 4", scheme, got.Canvases, got.Blank)
		}
		if got.Images > 0 || got.Unlabelled > 0 || got.Title != "fail: nginx traffic, before and after – graft" || got.Heading == "" {
			t.Errorf("%s: %+v", scheme, got)
		}
		if light := got.Back == "rgb(255, 255, 255)"; light != (scheme == "light") {
			t.Errorf("%s: the page's background is %s", scheme, got.Back)
		}
		for _, c := range b.complaints(path) {
			t.Errorf("%s: %s", scheme, c)
		}
		b.screenshot("worse-" + scheme)
	}
}

// The page's own policy stops a script that got in all the same.
func TestAScriptThatGotInDoesNotRun(t *testing.T) {
	b := newBrowser(t)
	path := page(t, worse())
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	text = bytes.Replace(text, []byte("<h1>"), []byte(`<script>window.got = "in"</script><img src="x" onerror="window.got='in'"><h1>`), 1)
	if err := os.WriteFile(path, text, 0o644); err != nil {
		t.Fatal(err)
	}
	b.open(path)
	var got string
	b.eval(`String(window.got)`, &got)
	if got != "undefined" {
		t.Errorf("it is %s", got)
	}
	if len(b.complaints(path)) == 0 {
		t.Error("the browser does not complain")
	}
}

func TestThePageReadsWithoutScripts(t *testing.T) {
	b := newBrowser(t)
	b.do("Emulation.setScriptExecutionDisabled", map[string]any{"value": true}, nil)
	one := page(t, New(Options{}, input("all", site(monday, 1, 5, 40))))
	b.open(one)
	var got struct{ Rows, Canvases int }
	b.do("Emulation.setScriptExecutionDisabled", map[string]any{"value": false}, nil)
	b.eval(`({Rows: document.querySelectorAll("tbody tr").length, Canvases: document.querySelectorAll("canvas").length})`, &got)
	if got.Canvases != 0 || got.Rows < 30 {
		t.Errorf("%+v", got)
	}
	b.screenshot("one-without-scripts")
}
