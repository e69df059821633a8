package parity

import (
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"strings"
)

// keepBody reads a body, counts its bytes as they are sent, and keeps hash and beginning of what
// they mean: two builds of zlib may pack the same text differently.
func keepBody(a *Answer, body io.Reader) error {
	sent := &counter{from: io.LimitReader(body, maxBody)}
	sum := sha256.New()
	keep := &keeper{}
	into := io.MultiWriter(sum, keep)
	var plain io.Reader = sent
	if strings.EqualFold(a.Header("Content-Encoding"), "gzip") {
		if unpacked, err := gzip.NewReader(sent); err == nil {
			plain = io.LimitReader(unpacked, maxBody)
		}
	}
	_, err := io.Copy(into, plain)
	if err == nil { // gzip ends before the last chunk
		_, err = io.Copy(io.Discard, sent)
	}
	a.Bytes = sent.n
	if err != nil {
		return stageError{inAnswer, fmt.Errorf("read the body: %w", err)}
	}
	a.SHA256, a.Body = hex.EncodeToString(sum.Sum(nil)), keep.kept
	return nil
}

type counter struct {
	from io.Reader
	n    int64
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.from.Read(p)
	c.n += int64(n)
	return n, err
}

// keeper keeps the first bytes.
type keeper struct{ kept []byte }

func (k *keeper) Write(p []byte) (int, error) {
	k.kept = append(k.kept, p[:min(len(p), maxKept-len(k.kept))]...)
	return len(p), nil
}
