package parity

import (
	"cmp"
	"context"
	"errors"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"graft/internal/accesslog"
	"graft/internal/nginx/route"
)

// Sampled is what the logs gave.
type Sampled struct {
	Requests []Request
	Logs     []LogRead
}

// LogRead tells what became of one log file.
type LogRead struct {
	Path    string `json:"path"`
	Lines   int    `json:"lines"`         // that were understood
	Odd     int    `json:"odd"`           // that the format cannot have written
	Other   int    `json:"other"`         // not GET or HEAD, or no request at all
	Unknown int    `json:"unknown"`       // for which no server of the configuration was found
	Cut     bool   `json:"cut"`           // more was there than was read
	Why     string `json:"why,omitempty"` // what could not be read, and why
}

// Sample takes requests out of the access logs that the configuration names, and the last rotated
// file of each: GET and HEAD, one for each (server, location, status) at least, the most frequent
// shapes of routes first. A log that cannot be read is told in its LogRead.
func Sample(ctx context.Context, src Source) (Sampled, error) {
	budget := src.Budget
	if budget <= 0 {
		budget = defaultBudget
	}
	ctx, cancel := context.WithTimeout(ctx, budget)
	defer cancel()
	s := &sampler{src: src, router: src.router(), found: map[sampleKey]*Request{},
		turns: map[turnsKey]*turns{}, kin: map[kinKey]*kin{}, counters: newCounting(src.Config)}
	s.sockets = s.router.Sockets()
	logs, err := logsOf(src, s.sockets)
	if err != nil {
		return Sampled{}, err
	}
	var out Sampled
	for _, log := range logs {
		for _, file := range []string{rotated(log.path), log.path} {
			if file != "" {
				out.Logs = append(out.Logs, s.read(ctx, log, file))
			}
		}
	}
	out.Requests = s.chosen(src.max())
	return out, nil
}

// sampler collects requests by their shape.
type sampler struct {
	src      Source
	router   *route.Router
	sockets  []*route.Socket
	found    map[sampleKey]*Request
	order    []*Request
	turns    map[turnsKey]*turns
	kin      map[kinKey]*kin
	counters *counting
}

// kinKey is lines that look the same before a server is chosen.
type kinKey struct {
	writer                            *writer
	method, host, scheme, port, shape string
	status                            int
}

// kin is what such lines led to. The first few are followed, for a location may tell them apart
// by what the shape leaves out; the others are only counted.
type kin struct {
	lines int
	last  []*Request
}

const followed = 16

// sampleKey is what makes two lines of the log the same request.
type sampleKey struct {
	place
	tls    bool
	method string
	shape  string
}

// place is what has at least one request.
type place struct {
	server, location string
	status           int
}

func placeOf(r *Request) place { return place{r.Server.String(), r.Location.String(), r.Logged} }

// read takes the end of one file.
func (s *sampler) read(ctx context.Context, log *logFile, file string) LogRead {
	out := LogRead{Path: file}
	limit := s.src.MaxBytes
	if limit <= 0 {
		limit = defaultMaxBytes
	}
	if st, err := os.Stat(file); err == nil {
		out.Cut = st.Size() > limit
	}
	err := accesslog.TailLines(file, limit, func(line []byte) {
		if ctx.Err() != nil {
			out.Cut = true
			return
		}
		values, writer := log.parse(line)
		switch {
		case values == nil:
			out.Odd++
		default:
			out.Lines++
			s.take(values, writer, &out)
		}
	})
	switch {
	case errors.Is(err, fs.ErrPermission):
		out.Why = err.Error() + "; run graft as root"
	case err != nil:
		out.Why = err.Error()
	case len(log.unread) > 0 && out.Lines == 0:
		out.Why = strings.Join(log.unread, "; ")
	}
	return out
}

// take makes requests of one line.
func (s *sampler) take(values map[string]string, w *writer, read *LogRead) {
	line, ok := readLogged(values)
	if !ok {
		read.Other++
		return
	}
	key := kinKey{w, line.method, line.host, line.scheme, line.port, ShapeOf(line.target), line.status}
	same := s.kin[key]
	if same == nil {
		same = &kin{}
		s.kin[key] = same
	}
	if same.lines++; same.lines > followed {
		for _, r := range same.last {
			r.Count++
		}
		if len(same.last) == 0 {
			read.Unknown++
		}
		return
	}
	same.last = nil
	for _, aim := range s.aims(line, w) {
		c := aim.socket.Route(route.Request{Local: aim.socket.Dialed(), Path: aim.socket.Path, TLS: aim.socket.SSL,
			SNI: sniOf(aim.socket, aim.host), Host: aim.host, Target: line.target})
		if c.Server == nil || !w.servers[c.Server] {
			continue
		}
		r := newRequest(aim.socket, aim.host, line.target, c)
		r.Method, r.Source, r.UserAgent, r.Referer = line.method, line.source, line.userAgent, line.referer
		r.HTTP2 = line.http2 && aim.socket.SSL && aim.socket.HTTP2
		r.Origin, r.Logged, r.Count, r.Counters = LogOrigin, line.status, 1, s.counters.of(c)
		same.last = append(same.last, s.note(r))
	}
	if len(same.last) == 0 {
		read.Unknown++
	}
}

// note counts a request with those of its shape and returns the one that stands for them.
func (s *sampler) note(r Request) *Request {
	key := sampleKey{placeOf(&r), r.TLS, r.Method, r.Shape}
	if had := s.found[key]; had != nil {
		had.Count++
		return had
	}
	s.found[key] = &r
	s.order = append(s.order, &r)
	return &r
}

// chosen keeps at most limit requests: first one of each place, then the most frequent. They stand
// in the order in which the log first had them.
func (s *sampler) chosen(limit int) []Request {
	byCount := slices.Clone(s.order)
	slices.SortStableFunc(byCount, func(a, b *Request) int { return cmp.Compare(b.Count, a.Count) })
	keep := map[*Request]bool{}
	places := map[place]bool{}
	for _, r := range byCount {
		if len(keep) < limit && !places[placeOf(r)] {
			places[placeOf(r)], keep[r] = true, true
		}
	}
	for _, r := range byCount {
		if len(keep) < limit {
			keep[r] = true
		}
	}
	var all []Request
	for _, r := range s.order {
		if keep[r] {
			all = append(all, *r)
		}
	}
	return all
}

// rotated is the newest file that path was rotated to and that is not packed, or "".
func rotated(path string) string {
	var matches []string
	for _, sign := range []string{".", "-"} {
		some, err := filepath.Glob(escapeGlob(path) + sign + "*")
		if err != nil {
			return ""
		}
		matches = append(matches, some...)
	}
	newest, at := "", time.Time{}
	for _, m := range matches {
		switch filepath.Ext(m) {
		case ".gz", ".bz2", ".xz", ".zst", ".lz4":
			continue
		}
		if st, err := os.Stat(m); err == nil && st.Mode().IsRegular() && st.ModTime().After(at) {
			newest, at = m, st.ModTime()
		}
	}
	return newest
}

func escapeGlob(path string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(path)
}

func parseAddr(s string) netip.Addr {
	addr, err := netip.ParseAddr(s)
	if err != nil {
		return netip.Addr{} // "unix:", or another variable's text
	}
	return addr.Unmap()
}
