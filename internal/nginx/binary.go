package nginx

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"time"
)

// askTimeout bounds -V and -h, which take milliseconds: a program that is not nginx may do anything.
const askTimeout = 10 * time.Second

// Ask runs the binary at path, which may be /proc/PID/exe, with -V and -h under an empty
// environment, as the old master would run it. Neither touches a file of the instance.
func Ask(ctx context.Context, path string) (Build, error) {
	version, err := ask(ctx, path, "-V")
	if err != nil {
		return Build{}, err
	}
	help, err := ask(ctx, path, "-h")
	if err != nil {
		return Build{}, err
	}
	b, err := ParseBuild(version, help)
	if err != nil {
		return Build{}, fmt.Errorf("%s -V: %w", path, err)
	}
	return b, nil
}

// AskError says that a binary did not run; Output is what the loader or the binary itself printed.
type AskError struct {
	Path, Option string
	Output       string
	Err          error
}

func (e *AskError) Error() string {
	text := fmt.Sprintf("run %s %s under an empty environment: %v", e.Path, e.Option, e.Err)
	if e.Output != "" {
		text += ": " + e.Output
	}
	return text
}

func (e *AskError) Unwrap() error { return e.Err }

func ask(ctx context.Context, path, option string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	var out bytes.Buffer
	cmd := exec.CommandContext(ctx, path)
	cmd.Args = []string{"nginx", option}
	cmd.Env = []string{}
	cmd.Dir = "/"
	cmd.Stdout, cmd.Stderr = &out, &out
	cmd.WaitDelay = time.Second
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			err = errors.Join(err, ctx.Err())
		}
		return "", &AskError{Path: path, Option: option, Output: strings.TrimSpace(out.String()), Err: err}
	}
	return out.String(), nil
}
