package parity

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"time"
)

// StreamMethod marks a request that is no HTTP: a line to a server of stream or mail. Whatever comes
// back is its answer's body.
const StreamMethod = "STREAM"

const (
	streamLine  = "graft-parity\r\n"
	streamPause = 300 * time.Millisecond // so long a stream is silent when it has said all
)

// exchangeStream sends a line and reads what comes back, until it stops.
func exchangeStream(conn net.Conn, a *Answer) error {
	a.Proto = StreamMethod
	_, sent := io.WriteString(conn, streamLine)
	buf := make([]byte, 32<<10)
	sum := sha256.New()
	keep := &keeper{}
	for a.Bytes < maxBody {
		n, err := conn.Read(buf)
		a.Bytes += int64(n)
		_, _ = io.MultiWriter(sum, keep).Write(buf[:n]) // neither refuses anything
		a.SHA256, a.Body = hex.EncodeToString(sum.Sum(nil)), keep.kept
		switch {
		case err == nil:
		case a.Bytes == 0:
			return stageError{waiting, fmt.Errorf("wait for the answer: %w", errors.Join(sent, err))}
		case errors.Is(err, io.EOF), errors.Is(err, os.ErrDeadlineExceeded):
			return nil
		default:
			return stageError{inAnswer, fmt.Errorf("read the answer: %w", err)}
		}
		if err := conn.SetReadDeadline(time.Now().Add(streamPause)); err != nil {
			return stageError{inAnswer, err}
		}
	}
	return nil
}
