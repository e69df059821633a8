package cli_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"graft/internal/nginxtest"
)

// crowd is traffic as uneven as a real site's: browsers on long connections, an API on new ones,
// bursts, a client who causes more than his share of errors and stays with one worker, uploads, slow
// downloads, people who go away. Each request says what answer it expects, so that any other is a
// fault. It is bounded by the test's context and by crowdLength, and repeats with its seed.
type crowd struct {
	t      testing.TB
	addr   string
	ctx    context.Context
	cancel context.CancelFunc
	all    sync.WaitGroup

	mu     sync.Mutex
	counts crowdCounts
}

type crowdCounts struct {
	requests, lost, faults int64
	lastFault              time.Time // when the last request that met a fault was begun
	firstLoss, firstFault  string
}

const crowdLength = 20 * time.Minute

// newCrowd starts one of about 220 requests a second, or of that share of them.
func newCrowd(t testing.TB, inst *nginxtest.Instance, seed uint64, share float64) *crowd {
	c := emptyCrowd(t, inst)
	c.people(seed, 8, 12*share, 20*time.Second, browse)
	c.people(seed, 8, 9*share, 0, callAPI)
	c.people(seed, 1, 10*share, 7*time.Second, troublemaker)
	c.people(seed, 1, 5*share, 0, upload)
	c.people(seed, 2, 1*share, 0, impatient)
	c.people(seed, 1, 0.5*share, 0, download)
	c.all.Go(func() { c.bursts(rand.New(rand.NewPCG(seed, 99)), share) })
	return c
}

func emptyCrowd(t testing.TB, inst *nginxtest.Instance) *crowd {
	ctx, cancel := context.WithTimeout(t.Context(), crowdLength)
	c := &crowd{t: t, addr: inst.Addr("http"), ctx: ctx, cancel: cancel}
	t.Cleanup(func() { cancel(); c.all.Wait() })
	return c
}

// people are n of a kind; each sends that many requests a second, on a connection that is kept for so
// long, or on new ones.
func (c *crowd) people(seed uint64, n int, rate float64, keep time.Duration, next func(*rand.Rand) ask) {
	for i := range n {
		rng := rand.New(rand.NewPCG(seed, uint64(i)<<32|uint64(rate*1000)))
		c.all.Go(func() { c.person(rng, rate, keep, next) })
	}
}

// ask is one request, and the answer it expects.
type ask struct {
	method, host, uri, body string
	status                  int           // expected
	patience                time.Duration // then the client goes away; 0: it waits
	slowly                  bool          // reads 1 MB/s
}

// latency is log-normal, as an application's is: its median 40 ms.
func latency(rng *rand.Rand) int {
	return min(1+int(40*math.Exp(0.5*rng.NormFloat64())), 500)
}

func browse(rng *rand.Rand) ask {
	switch p := rng.Float64(); {
	case p < 0.30:
		return ask{host: "shop.example", uri: "/", status: 200}
	case p < 0.36:
		return ask{host: "shop.example", uri: "/page.txt", status: 200}
	case p < 0.38:
		return ask{host: "shop.example", uri: fmt.Sprintf("/gone/%d", rng.IntN(1000)), status: 404}
	case p < 0.43:
		return ask{host: "shop.example", uri: fmt.Sprintf("/cart/%d?ms=%d", rng.IntN(1000), latency(rng)), status: 200}
	}
	return ask{host: "shop.example", uri: fmt.Sprintf("/app/item/%d?ms=%d", rng.IntN(1000), latency(rng)), status: 200}
}

// callAPI meets a base rate of errors that no binary is to blame for.
func callAPI(rng *rand.Rand) ask {
	a := ask{host: "api.example", uri: fmt.Sprintf("/v1/orders/%d?ms=%d", rng.IntN(5000), latency(rng)), status: 200}
	switch p := rng.Float64(); {
	case p < 0.002:
		a.status = []int{500, 502, 503}[rng.IntN(3)]
	case p < 0.02:
		a.status = []int{400, 401, 404, 429}[rng.IntN(4)]
	default:
		return a
	}
	a.uri += fmt.Sprintf("&status=%d", a.status)
	return a
}

// troublemaker holds one connection for long, and so stays with one worker.
func troublemaker(rng *rand.Rand) ask {
	a := callAPI(rng)
	if rng.Float64() < 0.02 && a.status == 200 {
		a.status = 503
		a.uri += "&status=503"
	}
	return a
}

func upload(rng *rand.Rand) ask {
	return ask{method: "POST", host: "shop.example", uri: fmt.Sprintf("/app/order?ms=%d", 2*latency(rng)),
		body: strings.Repeat("x", 200+rng.IntN(4000)), status: 200}
}

func impatient(rng *rand.Rand) ask {
	return ask{host: "shop.example", uri: "/app/report?ms=1500", status: 200, patience: time.Duration(20+rng.IntN(80)) * time.Millisecond}
}

func download(*rand.Rand) ask {
	return ask{host: "shop.example", uri: "/big", status: 206, slowly: true}
}

// person sends requests at irregular times. With keep, its one connection is used for so long.
func (c *crowd) person(rng *rand.Rand, rate float64, keep time.Duration, next func(*rand.Rand) ask) {
	client := newClient(keep > 0)
	defer client.CloseIdleConnections()
	renew := time.Now().Add(time.Duration(rng.Float64() * float64(keep)))
	begun := time.Now()
	for due := begun; ; {
		// More at some times than at others.
		pace := rate * (1 + 0.4*math.Sin(2*math.Pi*time.Since(begun).Seconds()/23))
		due = due.Add(time.Duration(rng.ExpFloat64() / pace * float64(time.Second)))
		if !c.wait(due) {
			return
		}
		if now := time.Now(); now.Sub(due) > time.Second {
			due = now // a stall is not made up for
		}
		c.send(client, next(rng))
		if keep > 0 && time.Now().After(renew) {
			client.CloseIdleConnections()
			renew = time.Now().Add(keep)
		}
	}
}

// bursts are many calls at once, every few seconds.
func (c *crowd) bursts(rng *rand.Rand, share float64) {
	client := newClient(false)
	for c.wait(time.Now().Add(time.Duration(3+rng.IntN(5)) * time.Second)) {
		var burst sync.WaitGroup
		for range 6 {
			mine := rand.New(rand.NewPCG(rng.Uint64(), 0))
			burst.Go(func() {
				for range int(8 * share) {
					c.send(client, callAPI(mine))
				}
			})
		}
		burst.Wait()
	}
}

func (c *crowd) wait(due time.Time) bool {
	timer := time.NewTimer(time.Until(due))
	defer timer.Stop()
	select {
	case <-timer.C:
		return c.ctx.Err() == nil
	case <-c.ctx.Done():
		return false
	}
}

// newClient is one whose idle connection the server may close, as any client must bear: then
// net/http asks again. A loss on a new connection, or within an answer, is told.
func newClient(keep bool) *http.Client {
	return &http.Client{
		Timeout:   time.Minute,
		Transport: &http.Transport{DisableKeepAlives: !keep, MaxConnsPerHost: 100, DisableCompression: true},
	}
}

func (c *crowd) send(client *http.Client, a ask) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(c.ctx)) // what was begun is finished
	defer cancel()
	if a.patience > 0 {
		ctx, cancel = context.WithTimeout(ctx, a.patience)
		defer cancel()
	}
	begun := time.Now()
	status, err := c.exchange(ctx, client, a)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.counts.requests++
	switch {
	case a.patience > 0 && errors.Is(err, context.DeadlineExceeded):
	case err != nil:
		c.counts.lost++
		if c.counts.firstLoss == "" {
			c.counts.firstLoss = fmt.Sprintf("%s %s: %v", a.host, a.uri, err)
		}
		c.counts.lastFault = later(c.counts.lastFault, begun)
	case status != a.status:
		c.counts.faults++
		if c.counts.firstFault == "" {
			c.counts.firstFault = fmt.Sprintf("%s %s: %d, want %d", a.host, a.uri, status, a.status)
		}
		c.counts.lastFault = later(c.counts.lastFault, begun)
	}
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

func (c *crowd) exchange(ctx context.Context, client *http.Client, a ask) (int, error) {
	method := a.method
	if method == "" {
		method = http.MethodGet
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://"+c.addr+a.uri, strings.NewReader(a.body))
	if err != nil {
		return 0, err
	}
	req.Host = a.host
	req.Header.Set("User-Agent", "crowd")
	if a.slowly {
		req.Header.Set("Range", "bytes=0-2999999")
	}
	resp, err := client.Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	var body io.Reader = resp.Body
	if a.slowly {
		body = slowReader{body}
	}
	_, err = io.Copy(io.Discard, body)
	return resp.StatusCode, err
}

// slowReader reads 1 MB/s.
type slowReader struct{ from io.Reader }

func (s slowReader) Read(p []byte) (int, error) {
	n, err := s.from.Read(p[:min(len(p), 32<<10)])
	time.Sleep(time.Duration(n) * time.Microsecond)
	return n, err
}

// warm waits until the crowd has been answered some hundred times.
func (c *crowd) warm() {
	c.t.Helper()
	for deadline := time.Now().Add(time.Minute); c.so().requests < 300; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			c.t.Fatalf("%+v within a minute", c.so())
		}
	}
}

// so is what has been counted so far.
func (c *crowd) so() crowdCounts {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.counts
}

// end stops the crowd and tells its counts.
func (c *crowd) end() crowdCounts {
	c.cancel()
	c.all.Wait()
	return c.so()
}

func (n crowdCounts) String() string {
	s := fmt.Sprintf("%d requests, %d lost, %d answered otherwise than asked for", n.requests, n.lost, n.faults)
	for _, first := range []string{n.firstLoss, n.firstFault} {
		if first != "" {
			s += "; " + first
		}
	}
	return s
}
