package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"path/filepath"
	"strings"

	"graft/internal/journal"
	"graft/internal/migrate"
)

// Code is an exit code. Other programs rely on them.
type Code int

// The exit codes.
const (
	CodeDone         Code = 0
	CodeFailed       Code = 1 // nothing changed on the host
	CodeUsage        Code = 2
	CodeChanges      Code = 3 // --detailed-exitcode: plan has something to do, or analyze found after worse
	CodeBlocked      Code = 4 // by preflight or rehearsal
	CodeRolledBack   Code = 5 // failed, rolled back cleanly
	CodeHalted       Code = 6 // a person is needed
	CodeLocked       Code = 7 // another graft holds the lock
	CodeStale        Code = 8 // the host changed since the plan was made
	CodeInconclusive Code = 9
	CodeInterrupted  Code = 130 // at a safe point
)

// Error is a failure with all that a user or a program needs of it.
type Error struct {
	Code Code
	Err  error
	Hint string // what to do next
}

func (e *Error) Error() string { return e.Err.Error() }

func (e *Error) Unwrap() error { return e.Err }

// failf is an *Error with a message of its own.
func failf(code Code, hint, format string, args ...any) *Error {
	return &Error{Code: code, Err: fmt.Errorf(format, args...), Hint: hint}
}

// classify finds the code of an error: the one place where that is decided.
func classify(err error) *Error {
	var own *Error
	if errors.As(err, &own) {
		return own
	}
	var held *journal.HeldError
	if errors.As(err, &held) {
		return &Error{CodeLocked, err, "graft status shows what it does; graft rollback asks it to go back"}
	}
	var stale *migrate.StaleError
	if errors.As(err, &stale) {
		return &Error{CodeStale, err, "make a new plan: graft plan --to … --out FILE; nothing was changed"}
	}
	if errors.Is(err, journal.ErrDamaged) {
		return &Error{CodeHalted, err, "nothing was changed; graft inspect shows the host"}
	}
	if errors.Is(err, context.Canceled) {
		return &Error{CodeInterrupted, err, ""}
	}
	return &Error{CodeFailed, err, ""}
}

// ofStateDir tells the way out where graft's own directory is closed to the user who runs it.
func (a *app) ofStateDir(e *Error) *Error {
	if e.Hint != "" || !errors.Is(e, fs.ErrPermission) {
		return e
	}
	var file *fs.PathError
	var socket *net.OpError
	path := ""
	switch {
	case errors.As(e, &file):
		path = file.Path
	case errors.As(e, &socket) && socket.Addr != nil:
		path = socket.Addr.String()
	}
	dir, err := filepath.Abs(a.stateDir)
	if err != nil || path == "" || path != dir && !strings.HasPrefix(path, dir+"/") && !strings.HasPrefix(dir, path+"/") {
		return e
	}
	return &Error{e.Code, e.Err, "graft keeps its state in " + dir + ": run graft as root, or name a directory of yours with --state-dir or GRAFT_STATE_DIR"}
}

// report writes an error for people, and for programs on stdout if they asked for JSON.
func (a *app) report(e *Error) {
	fmt.Fprintf(a.Err, "graft: %v\n", e.Err)
	if e.Hint != "" {
		fmt.Fprintf(a.Err, "  → %s\n", strings.ReplaceAll(e.Hint, "\n", "\n    "))
	}
	if a.output != outputText && !a.answered {
		_ = json.NewEncoder(a.Out).Encode(map[string]any{"error": e.Err.Error(), "hint": e.Hint, "exit": int(e.Code)})
	}
}
