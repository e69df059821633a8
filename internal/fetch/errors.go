package fetch

import (
	"errors"
	"fmt"
	"net/http"
	"time"
)

// ErrTooLarge is what a download that exceeds its bound wraps.
var ErrTooLarge = errors.New("larger than what is accepted")

// ErrRedirect is what a redirect that is not followed wraps.
var ErrRedirect = errors.New("redirect refused")

// StatusError says that the server answered something that trying again will not change.
type StatusError struct {
	URL    string
	Status int
	Next   string // what to do
}

func (e *StatusError) Error() string {
	return fmt.Sprintf("the server answers %d %s; %s", e.Status, http.StatusText(e.Status), e.Next)
}

// SumError says that a file is not the one whose SHA-256 was given.
type SumError struct {
	What      string // the URL or the file
	Want, Got string // hexadecimal
}

func (e *SumError) Error() string {
	return fmt.Sprintf("%s has SHA-256 %s, not %s: it is another file than the one meant; compare --sha256 with what the release's own page says, or give another --mirror",
		e.What, e.Got, e.Want)
}

// passing is an error that another attempt may not meet.
type passing struct {
	err   error
	after time.Duration // what the server asked to wait; 0: it did not
}

func (e *passing) Error() string { return e.err.Error() }

func (e *passing) Unwrap() error { return e.err }

func passingf(format string, args ...any) error {
	return &passing{err: fmt.Errorf(format, args...)}
}
