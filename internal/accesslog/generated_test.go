package accesslog_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"
)

// style is a log_format that logs are generated in.
type style struct {
	name, format, escape string
	write                func(b []byte, r *request) []byte
}

var (
	timed = style{
		name:   "timed",
		format: `$remote_addr - $remote_user [$time_local] "$request" $status $body_bytes_sent "$http_referer" "$http_user_agent" $request_time $upstream_response_time`,
		write: func(b []byte, r *request) []byte {
			b = append(append(append(b, r.addr...), " - "...), r.user...)
			b = append(r.at.AppendFormat(append(b, " ["...), "02/Jan/2006:15:04:05 -0700"), `] "`...)
			b = append(append(b, r.line...), `" `...)
			b = append(strconv.AppendInt(b, int64(r.status), 10), ' ')
			b = append(strconv.AppendInt(b, int64(r.bytes), 10), ` "`...)
			b = append(append(b, r.referer...), `" "`...)
			b = append(append(b, r.agent...), `" `...)
			b = append(seconds(b, r.ms), ' ')
			return append(append(b, r.upstream...), '\n')
		},
	}
	asJSON = style{
		name: "json", escape: "json",
		format: `{"time":"$time_iso8601","remote_addr":"$remote_addr","remote_user":"$remote_user","request":"$request","status":$status,` +
			`"body_bytes_sent":$body_bytes_sent,"http_referer":"$http_referer","http_user_agent":"$http_user_agent",` +
			`"request_time":$request_time,"upstream_response_time":"$upstream_response_time"}`,
		write: func(b []byte, r *request) []byte {
			b = r.at.AppendFormat(append(b, `{"time":"`...), "2006-01-02T15:04:05-07:00")
			b = append(append(b, `","remote_addr":"`...), r.addr...)
			b = append(append(b, `","remote_user":"`...), r.user...)
			b = append(append(b, `","request":"`...), r.line...)
			b = strconv.AppendInt(append(b, `","status":`...), int64(r.status), 10)
			b = strconv.AppendInt(append(b, `,"body_bytes_sent":`...), int64(r.bytes), 10)
			b = append(append(b, `,"http_referer":"`...), r.referer...)
			b = append(append(b, `","http_user_agent":"`...), r.agent...)
			b = seconds(append(b, `","request_time":`...), r.ms)
			b = append(append(b, `,"upstream_response_time":"`...), r.upstream...)
			return append(b, "\"}\n"...)
		},
	}
)

// request is one to be logged.
type request struct {
	addr, user, line, referer, agent string
	upstream                         []byte
	at                               time.Time
	status, bytes, ms                int
}

func seconds(b []byte, ms int) []byte {
	b = append(strconv.AppendInt(b, int64(ms/1000), 10), '.')
	return append(b, byte('0'+ms/100%10), byte('0'+ms/10%10), byte('0'+ms%10))
}

var agents = []string{
	"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36",
	"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5 Safari/605.1.15",
	"Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
	"Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5 Mobile/15E148 Safari/604.1",
	"Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
	"okhttp/4.12.0",
	"curl/8.5.0",
}

// generator makes requests as a site of some size gets them, the same for the same seed.
type generator struct {
	rand  *rand.Rand
	urls  []string
	zipf  *rand.Zipf
	clock time.Time
	addrs []string
}

func newGenerator(seed uint64) *generator {
	g := &generator{rand: rand.New(rand.NewPCG(seed, 5)), clock: time.Date(2026, 10, 24, 22, 0, 0, 0, time.UTC)}
	sections := []string{"api/v1/orders", "api/v1/users", "static/js", "img/products", "catalog/shoes/women", "search", "checkout"}
	for i := range 5000 {
		url := fmt.Sprintf("/%s/%x", sections[i%len(sections)], g.rand.Uint32())
		if i%3 == 0 {
			url += fmt.Sprintf("?page=%d&sort=price&ref=%x", i%17, g.rand.Uint32())
		}
		g.urls = append(g.urls, url)
	}
	for range 3000 {
		g.addrs = append(g.addrs, fmt.Sprintf("%d.%d.%d.%d", 1+g.rand.IntN(220), g.rand.IntN(256), g.rand.IntN(256), g.rand.IntN(256)))
	}
	g.zipf = rand.NewZipf(g.rand, 1.1, 20, uint64(len(g.urls)-1))
	return g
}

// next fills r. At 200 requests a second, summer time ends in the third hour.
func (g *generator) next(r *request) {
	if g.rand.IntN(200) == 0 {
		g.clock = g.clock.Add(time.Second)
	}
	zone := summer
	if g.clock.After(time.Date(2026, 10, 25, 1, 0, 0, 0, time.UTC)) {
		zone = winter
	}
	n := g.rand.Uint64()
	r.at = g.clock.In(zone)
	r.addr = g.addrs[n%uint64(len(g.addrs))]
	r.user, r.referer = "-", "-"
	if n>>20%5000 == 0 {
		r.user = "x] 500 [" // may be in a name
	}
	if n>>30%3 > 0 {
		r.referer = "https://www.example.com" + g.urls[n>>33%2000]
	}
	r.agent = agents[n>>44%uint64(len(agents))]
	method := "GET "
	if n>>24%8 == 0 {
		method = "POST "
	}
	r.line = method + g.urls[g.zipf.Uint64()] + " HTTP/1.1"
	switch chance := n >> 50 % 1000; {
	case chance < 4:
		r.status = 500 + int(n>>10%5)
	case chance < 30:
		r.status = 404
	case chance < 33:
		r.status = 499
	case chance < 90:
		r.status = 304
	case chance < 120:
		r.status = 302
	default:
		r.status = 200
	}
	r.bytes = int(n >> 40 % 60000)
	r.ms = int(20 * math.Exp(1.2*g.rand.NormFloat64()))
	r.upstream = r.upstream[:0]
	switch chance := n >> 5 % 1000; {
	case chance < 300: // answered from a file
		r.ms /= 20
		r.upstream = append(r.upstream, '-')
	case chance < 310:
		r.upstream = seconds(append(seconds(r.upstream, r.ms/2), ", "...), r.ms/3)
	case chance < 313:
		r.upstream = seconds(append(seconds(r.upstream, r.ms/2), " : "...), r.ms/3)
	default:
		r.upstream = seconds(r.upstream, r.ms)
	}
}

var summer, winter = time.FixedZone("CEST", 7200), time.FixedZone("CET", 3600)

// write writes lines of the style until there are so many bytes.
func (g *generator) write(out io.Writer, s style, size int64) error {
	w := bufio.NewWriterSize(out, 1<<20)
	var r request
	var line []byte
	for done := int64(0); done < size; done += int64(len(line)) {
		g.next(&r)
		line = s.write(line[:0], &r)
		if _, err := w.Write(line); err != nil {
			return err
		}
	}
	return w.Flush()
}

// generatedLog is a log of the style and size, made once and kept in the user's cache directory.
func generatedLog(tb testing.TB, s style, size int64) string {
	tb.Helper()
	return cached(tb, fmt.Sprintf("%s-%d.log", s.name, size), func(out io.Writer) error {
		return newGenerator(1).write(out, s, size)
	})
}

// cached is a file that is made when it is first asked for.
func cached(tb testing.TB, name string, make func(io.Writer) error) string {
	tb.Helper()
	dir, err := os.UserCacheDir()
	if err != nil {
		tb.Fatal(err)
	}
	dir = filepath.Join(dir, "graft-bench")
	path := filepath.Join(dir, name)
	if _, err := os.Stat(path); err == nil {
		return path
	} else if !errors.Is(err, os.ErrNotExist) {
		tb.Fatal(err)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		tb.Fatal(err)
	}
	out, err := os.CreateTemp(dir, "unfinished")
	if err != nil {
		tb.Fatal(err)
	}
	defer os.Remove(out.Name())
	err = errors.Join(make(out), out.Close())
	if err == nil {
		err = os.Rename(out.Name(), path)
	}
	if err != nil {
		tb.Fatal(err)
	}
	return path
}
