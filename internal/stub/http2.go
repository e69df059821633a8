package stub

import (
	"bytes"
	"encoding/binary"
	"strings"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// serveHTTP2 answers requests of HTTP/2. It works frame by frame: a ready-made
// server would lose the headers' order.
func (c *conn) serveHTTP2() {
	if _, err := c.in.Discard(len(http2.ClientPreface)); err != nil {
		return
	}
	h := &http2Conn{conn: c, framer: http2.NewFramer(c, c.in), open: map[uint32]*http2Stream{}}
	h.framer.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	h.framer.MaxHeaderListSize = maxHead
	h.encoder = hpack.NewEncoder(&h.block)
	if err := h.framer.WriteSettings(); err != nil {
		return
	}
	for {
		frame, err := h.framer.ReadFrame()
		if err != nil || h.take(frame) != nil {
			return
		}
	}
}

type http2Conn struct {
	*conn
	framer  *http2.Framer
	block   bytes.Buffer
	encoder *hpack.Encoder
	open    map[uint32]*http2Stream // requests that are not whole yet
}

type http2Stream struct {
	saw  Saw
	body *digest
}

// take deals with one frame of the client.
func (h *http2Conn) take(frame http2.Frame) error {
	switch f := frame.(type) {
	case *http2.SettingsFrame:
		if f.IsAck() {
			return nil
		}
		if size, ok := f.Value(http2.SettingHeaderTableSize); ok { // nginx remembers no headers
			h.encoder.SetMaxDynamicTableSizeLimit(size)
		}
		return h.framer.WriteSettingsAck()
	case *http2.PingFrame:
		if !f.IsAck() {
			return h.framer.WritePing(true, f.Data)
		}
	case *http2.RSTStreamFrame:
		delete(h.open, f.StreamID)
	case *http2.MetaHeadersFrame:
		h.takeHeaders(f)
		return h.finish(f.StreamID, f.StreamEnded())
	case *http2.DataFrame:
		if s := h.open[f.StreamID]; s != nil {
			_, _ = s.body.Write(f.Data()) // a hash takes everything
		}
		// What was read may be sent again, on the stream and in all.
		if n := f.Header().Length; n > 0 {
			if err := h.framer.WriteWindowUpdate(0, n); err != nil {
				return err
			}
			if !f.StreamEnded() {
				if err := h.framer.WriteWindowUpdate(f.StreamID, n); err != nil {
					return err
				}
			}
		}
		return h.finish(f.StreamID, f.StreamEnded())
	}
	return nil
}

func (h *http2Conn) takeHeaders(f *http2.MetaHeadersFrame) {
	if s := h.open[f.StreamID]; s != nil {
		s.saw.Trailers = fieldsOf(f.Fields)
		return
	}
	s := &http2Stream{saw: h.saw, body: newDigest()}
	s.saw.Protocol, s.saw.Fields = HTTP2, fieldsOf(f.Fields)
	s.saw.Method, s.saw.Target = f.PseudoValue("method"), f.PseudoValue("path")
	s.saw.identify()
	h.open[f.StreamID] = s
}

func fieldsOf(list []hpack.HeaderField) []Field {
	var fields []Field
	for _, f := range list {
		fields = append(fields, Field{f.Name, f.Value})
	}
	return fields
}

// finish answers a request that is whole.
func (h *http2Conn) finish(id uint32, ended bool) error {
	s := h.open[id]
	if s == nil || !ended {
		return nil
	}
	delete(h.open, id)
	s.saw.Body = s.body.body()
	h.server.note(s.saw)

	body := s.saw.echo()
	grpc := strings.HasPrefix(s.saw.Get("content-type"), "application/grpc")
	if grpc {
		// A message of gRPC: not compressed, length, content.
		body = append(binary.BigEndian.AppendUint32([]byte{0}, uint32(len(body))), body...)
	}
	fields := []Field{{":status", "200"}}
	for _, f := range answerFields(&s.saw, len(body)) {
		f.Name = strings.ToLower(f.Name)
		switch {
		case grpc && f.Name == "content-type":
			f.Value = "application/grpc"
		case grpc && f.Name == "content-length":
			continue
		}
		fields = append(fields, f)
	}
	silent := s.saw.Method == "HEAD"
	if err := h.writeHeaders(id, fields, silent); err != nil || silent {
		return err
	}
	if err := h.writeData(id, body, !grpc); err != nil || !grpc {
		return err
	}
	return h.writeHeaders(id, []Field{{"grpc-status", "0"}}, true)
}

func (h *http2Conn) writeHeaders(id uint32, fields []Field, end bool) error {
	h.block.Reset()
	for _, f := range fields {
		if err := h.encoder.WriteField(hpack.HeaderField{Name: f.Name, Value: f.Value}); err != nil {
			return err
		}
	}
	return h.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: h.block.Bytes(), EndHeaders: true, EndStream: end})
}

// maxFrame is the size of a frame that every client takes.
const maxFrame = 16 << 10

func (h *http2Conn) writeData(id uint32, data []byte, end bool) error {
	for len(data) > maxFrame {
		if err := h.framer.WriteData(id, false, data[:maxFrame]); err != nil {
			return err
		}
		data = data[maxFrame:]
	}
	return h.framer.WriteData(id, end, data)
}
