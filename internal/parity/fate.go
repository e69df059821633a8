package parity

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"syscall"

	"graft/internal/probe"
)

// stage is how far a request had come when it failed.
type stage uint8

const (
	connecting stage = iota
	handshake
	waiting  // sent, not a byte came back
	inAnswer // in the middle of the answer
)

// stageError is a failure with the stage it happened in.
type stageError struct {
	at    stage
	cause error
}

func (e stageError) Error() string { return e.cause.Error() }
func (e stageError) Unwrap() error { return e.cause }

// errMalformed marks answers that break the protocol.
var errMalformed = errors.New("malformed answer")

func malformed(format string, args ...any) error {
	return stageError{inAnswer, fmt.Errorf("%w: %s", errMalformed, fmt.Sprintf(format, args...))}
}

// fateOf names what became of a request, in the prober's terms; each has its own connection.
func fateOf(err error) probe.Fate {
	var failed stageError
	if err == nil {
		return probe.OK
	}
	if !errors.As(err, &failed) {
		return probe.Unknown // not sent
	}
	var timeout net.Error
	switch {
	case errors.Is(err, syscall.ECONNREFUSED), failed.at == connecting && errors.Is(err, syscall.EAGAIN):
		return probe.Refused
	case errors.Is(err, syscall.EMFILE), errors.Is(err, syscall.ENFILE), errors.Is(err, syscall.EADDRNOTAVAIL),
		errors.Is(err, syscall.ENOBUFS), errors.Is(err, syscall.ENOMEM):
		return probe.Local
	case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, context.DeadlineExceeded),
		errors.Is(err, context.Canceled), errors.As(err, &timeout) && timeout.Timeout():
		return probe.Timeout
	case errors.Is(err, errMalformed):
		return probe.Malformed
	case failed.at == handshake:
		return probe.TLS
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return probe.Reset
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		if failed.at == inAnswer {
			return probe.Truncated
		}
		return probe.EOFNew
	}
	return probe.Unreachable
}
