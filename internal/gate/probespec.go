package gate

import (
	"errors"
	"fmt"
	"maps"
	"net"
	"regexp"
	"slices"
	"strings"

	"graft/internal/probe"
)

// ProbeSpec is a probe that the user asks for, as a policy file or `--probe` has it.
type ProbeSpec struct {
	// URL is what is asked: see [probe.ParseURL] for the schemes.
	URL string `json:"url" yaml:"url"`
	// Address is where the connection goes instead of the URL's own host and port: "127.0.0.1:443".
	Address string            `json:"address,omitempty" yaml:"address,omitempty"`
	Method  string            `json:"method,omitempty" yaml:"method,omitempty"` // GET if empty; or HEAD, OPTIONS
	Headers map[string]string `json:"headers,omitempty" yaml:"headers,omitempty"`
	// Send is the text that a WebSocket or TCP probe sends.
	Send   string      `json:"send,omitempty" yaml:"send,omitempty"`
	Expect ProbeExpect `json:"expect,omitzero" yaml:"expect,omitempty"`
	// Compare is how the body is compared with the one before the swap.
	Compare BodyCompare `json:"compare,omitempty" yaml:"compare,omitempty"`
	// Ignore are headers that are not compared.
	Ignore []string `json:"ignore_headers,omitempty" yaml:"ignore_headers,omitempty"`
}

// ProbeExpect is what an answer has to be, whatever it was before. The zero value asks for nothing.
type ProbeExpect struct {
	Status  []int             `json:"status,omitempty" yaml:"status,omitempty"`   // one of these
	Headers map[string]string `json:"headers,omitempty" yaml:"headers,omitempty"` // these, with these values; "*" is any
	// Body is a text that the first 64 KiB of the body hold; of a WebSocket the echo, of TCP how the answer begins.
	Body string `json:"body,omitempty" yaml:"body,omitempty"`
	// SHA256 is the hash of the whole body, in hex.
	SHA256 string `json:"sha256,omitempty" yaml:"sha256,omitempty"`
}

// BodyCompare is how bodies are compared.
type BodyCompare string

// The comparisons. The zero value is [BodyAlike].
const (
	BodyAlike  BodyCompare = "alike"  // times, numbers near now, versions and random IDs may differ, and what varied before
	BodyExact  BodyCompare = "exact"  // byte by byte
	BodyIgnore BodyCompare = "ignore" // not at all
)

var (
	headerName = regexp.MustCompile("^[!#$%&'*+.^_`|~0-9A-Za-z-]+$")
	hexSHA256  = regexp.MustCompile(`^[0-9a-fA-F]{64}$`)
)

// ParseProbe reads a URL as `--probe` takes it.
func ParseProbe(url string) (ProbeSpec, error) {
	s := ProbeSpec{URL: url}
	return s, s.Validate()
}

// Validate tells what is wrong with a spec, and what would be right.
func (s ProbeSpec) Validate() error {
	_, err := s.Target()
	return err
}

// Target is where the probe goes and what it asks for.
func (s ProbeSpec) Target() (probe.Target, error) {
	fail := func(err error) (probe.Target, error) {
		return probe.Target{}, fmt.Errorf("probe %q: %w", s.URL, err)
	}
	if s.URL == "" {
		return probe.Target{}, errors.New("probe: no url; give one such as https://site.example/health")
	}
	t, err := probe.ParseURL(s.URL)
	if err != nil {
		return probe.Target{}, err
	}
	if s.Address != "" {
		if _, _, err := net.SplitHostPort(s.Address); err != nil || t.Network != "tcp" {
			return fail(fmt.Errorf("address %q: want host:port, as 127.0.0.1:443, and a URL that names no unix socket", s.Address))
		}
		if _, port, _ := net.SplitHostPort(s.Address); !probe.IsPort(port) {
			return fail(fmt.Errorf("address %q: want a port from 1 to 65535", s.Address))
		}
		t.Address = s.Address
	}
	http := t.Protocol == probe.OverHTTP1 || t.Protocol == probe.OverHTTP2 || t.Protocol == probe.OverHTTP3
	switch {
	case s.Method != "" && (!http || !slices.Contains([]string{"GET", "HEAD", "OPTIONS"}, s.Method)):
		return fail(fmt.Errorf("method %q: an HTTP probe asks by GET, HEAD or OPTIONS, for the others change something; other protocols have none", s.Method))
	case s.Send != "" && t.Protocol != probe.OverWebSocket && t.Protocol != probe.OverTCP:
		return fail(errors.New("send: only ws, wss, tcp and tls probes send a text"))
	case len(s.Headers) > 0 && t.Protocol == probe.OverTCP:
		return fail(errors.New("headers: a tcp or tls probe has none"))
	case !slices.Contains([]BodyCompare{"", BodyAlike, BodyExact, BodyIgnore}, s.Compare):
		return fail(fmt.Errorf("compare %q: want %s, %s or %s", s.Compare, BodyAlike, BodyExact, BodyIgnore))
	case s.Expect.SHA256 != "" && !hexSHA256.MatchString(s.Expect.SHA256):
		return fail(fmt.Errorf("expect.sha256 %q: want 64 hexadecimal digits", s.Expect.SHA256))
	}
	for _, status := range s.Expect.Status {
		if t.Protocol == probe.OverWebSocket && status != 101 {
			return fail(fmt.Errorf("expect.status %d: a WebSocket is opened by 101 and nothing else; https:// asks for other answers", status))
		}
		if status < 100 || status > 599 {
			return fail(fmt.Errorf("expect.status %d: want 100 to 599", status))
		}
	}
	t.Method, t.Send = s.Method, s.Send
	if t.Protocol == probe.OverWebSocket || t.Protocol == probe.OverTCP {
		t.Expect = s.Expect.Body
	}
	for _, name := range slices.Sorted(maps.Keys(s.Headers)) {
		value := s.Headers[name]
		switch {
		case !headerName.MatchString(name) || strings.ContainsAny(value, "\r\n"):
			return fail(fmt.Errorf("headers: %q: %q is no header", name, value))
		case strings.EqualFold(name, "host"):
			t.Host, t.ServerName = value, hostOnly(value)
		default:
			t.Headers = append(t.Headers, probe.Header{Name: name, Value: value})
		}
	}
	return t, nil
}

func hostOnly(host string) string {
	if name, _, err := net.SplitHostPort(host); err == nil {
		return name
	}
	return strings.Trim(host, "[]")
}
