package parity

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"

	"graft/internal/probe"
)

// streamServer answers each line with an answer; "" closes instead.
func streamServer(t *testing.T, answer string) Request {
	t.Helper()
	address := listening(t, func(c net.Conn) {
		defer c.Close()
		if line, err := bufio.NewReader(c).ReadString('\n'); err == nil && answer != "" {
			_, _ = io.WriteString(c, answer+strings.TrimSpace(line))
			_, _ = io.Copy(io.Discard, c) // it stays open until the client goes
		}
	})
	return Request{ID: 1, Method: StreamMethod, Network: "tcp", Address: address, Origin: ConfigOrigin}
}

func TestWhatComesBackThroughAStreamIsCompared(t *testing.T) {
	client := Client{Dial: func(ctx context.Context, _ netip.Addr, network, address string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, network, address)
	}}
	ask := func(answer string) (Request, []Answer) {
		r := streamServer(t, answer)
		return r, client.Run(t.Context(), []Request{r})
	}
	r, old := ask("from 10.0.0.1: ")
	if a := old[0]; a.Fate != probe.OK || string(a.Body) != "from 10.0.0.1: graft-parity" {
		t.Fatalf("%+v", a)
	}
	for answer, kind := range map[string]string{"from 10.0.0.1: ": "", "from 10.0.0.2: ": "body", "": "connection: ok → eof_new"} {
		_, is := ask(answer)
		report := Compare([]Request{r}, old, is, old)
		switch {
		case kind == "" && report.Same == 1:
		case kind != "" && report.Breaking == 1 && report.Groups[0].Kind == kind:
		default:
			t.Errorf("%q: %+v", answer, report)
		}
		if text := r.Shown().String(); text != "STREAM tcp://"+r.Address {
			t.Error(text)
		}
	}
}
