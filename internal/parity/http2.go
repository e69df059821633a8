package parity

import (
	"bufio"
	"bytes"
	"fmt"
	"net"
	"strconv"
	"strings"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

const h2Window = 1 << 30 // bytes that the server may send ahead: more than is read

// exchangeHTTP2 sends the request as the only stream of its connection, on bare frames: Go's own
// client would try again by itself, and forget the order of the headers.
func exchangeHTTP2(conn net.Conn, r *Request, a *Answer) error {
	out := bufio.NewWriter(conn)
	frames := http2.NewFramer(out, bufio.NewReader(conn))
	frames.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	frames.MaxHeaderListSize = maxHead
	if err := sendHTTP2(out, frames, r); err != nil {
		return stageError{waiting, fmt.Errorf("send the request: %w", err)}
	}
	a.Proto = "HTTP/2.0"
	var body bytes.Buffer
	at := waiting
	for {
		frame, err := frames.ReadFrame()
		if err != nil {
			return stageError{at, fmt.Errorf("read the answer: %w", err)}
		}
		ended := false
		switch f := frame.(type) {
		case *http2.SettingsFrame:
			if !f.IsAck() {
				err = frames.WriteSettingsAck()
			}
		case *http2.PingFrame:
			if !f.IsAck() {
				err = frames.WritePing(true, f.Data)
			}
		case *http2.GoAwayFrame:
			if f.LastStreamID < 1 || f.ErrCode != http2.ErrCodeNo {
				return malformed("GOAWAY %v: %.60q", f.ErrCode, f.DebugData())
			}
			a.Closing = true
		case *http2.RSTStreamFrame:
			return malformed("RST_STREAM %v", f.ErrCode)
		case *http2.MetaHeadersFrame:
			at, ended = inAnswer, f.StreamEnded()
			if err := headHTTP2(f, a); err != nil {
				return err
			}
		case *http2.DataFrame:
			at, ended = inAnswer, f.StreamEnded()
			if body.Len() < maxBody {
				body.Write(f.Data())
			}
		}
		if err == nil {
			err = out.Flush()
		}
		if ended {
			return keepBody(a, &body)
		}
		if err != nil {
			return stageError{at, fmt.Errorf("read the answer: %w", err)}
		}
	}
}

func sendHTTP2(out *bufio.Writer, frames *http2.Framer, r *Request) error {
	var block bytes.Buffer
	encoder := hpack.NewEncoder(&block)
	scheme := "http"
	if r.TLS {
		scheme = "https"
	}
	fields := []Header{{":method", r.Method}, {":scheme", scheme}, {":authority", r.Host}, {":path", r.Target}}
	for _, f := range append(fields, r.fields()...) {
		if err := encoder.WriteField(hpack.HeaderField{Name: strings.ToLower(f.Name), Value: f.Value}); err != nil {
			return err
		}
	}
	// These only fill the buffer.
	if _, err := out.WriteString(http2.ClientPreface); err != nil {
		return err
	}
	if err := frames.WriteSettings(http2.Setting{ID: http2.SettingEnablePush, Val: 0},
		http2.Setting{ID: http2.SettingInitialWindowSize, Val: h2Window}); err != nil {
		return err
	}
	if err := frames.WriteWindowUpdate(0, h2Window); err != nil {
		return err
	}
	if err := frames.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: block.Bytes(), EndStream: true, EndHeaders: true}); err != nil {
		return err
	}
	return out.Flush()
}

// headHTTP2 takes the head of the answer; trailers and 1xx answers are passed over.
func headHTTP2(f *http2.MetaHeadersFrame, a *Answer) error {
	if a.Status >= 200 {
		return nil
	}
	status, err := strconv.Atoi(f.PseudoValue("status"))
	if err != nil || status < 100 || status > 999 {
		return malformed(":status %.60q", f.PseudoValue("status"))
	}
	a.Status, a.Headers = status, nil
	for _, field := range f.RegularFields() {
		a.Headers = append(a.Headers, Header{strings.Clone(field.Name), strings.Clone(field.Value)})
	}
	return nil
}
