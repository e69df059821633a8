package pkgmanager

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"
)

// adminDir is dpkg's database.
const adminDir = "/var/lib/dpkg"

// dpkgOwner asks dpkg; nil if it is not here or knows none of the names.
func (h Host) dpkgOwner(ctx context.Context, names []string) (*Owner, error) {
	if !have("dpkg-query") {
		return nil, nil
	}
	if _, err := os.Stat(h.below(adminDir + "/status")); err != nil {
		return nil, fmt.Errorf("dpkg's database: %w", err)
	}
	for _, name := range names {
		owner, err := h.dpkgKnows(ctx, name)
		if err != nil || owner != nil {
			return owner, err
		}
	}
	return nil, nil
}

func (h Host) dpkgKnows(ctx context.Context, name string) (*Owner, error) {
	out, err := h.dpkg(ctx, "dpkg-query", "--search", literal(name))
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() == 1 {
		return nil, nil // no path found
	}
	if err != nil {
		return nil, err
	}
	diversion, err := h.diversion(ctx, name)
	if err != nil {
		return nil, err
	}
	owner := &Owner{Manager: Dpkg, Path: name, DivertedTo: diversion.to, DivertedBy: diversion.by}
	for line := range strings.Lines(out) {
		packages, file, _ := strings.Cut(strings.TrimSpace(line), ": ")
		if file != name || strings.Contains(packages, "diversion ") {
			continue
		}
		// Several packages may share a name; only one of them can be the file's that is not diverted.
		for _, p := range strings.Split(packages, ", ") {
			if owner.Package == "" || p != diversion.by {
				owner.Package = p
			}
		}
	}
	if owner.Package == "" {
		return nil, nil // diverted, and no package has it
	}
	state, err := h.dpkg(ctx, "dpkg-query", "--show", "--showformat=${Version} ${db:Status-Want}", owner.Package)
	if err != nil {
		return nil, err
	}
	want := ""
	owner.Version, want, _ = strings.Cut(state, " ")
	owner.Held = want == "hold"
	return owner, nil
}

// literal is the name as a pattern of dpkg-query's that matches nothing else.
func literal(name string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(name)
}

// diversion is dpkg's word on where a file goes instead.
type diversion struct {
	to string // empty: the file is not diverted
	by string // a package, or LOCAL
}

func (h Host) diversion(ctx context.Context, name string) (diversion, error) {
	by, err := h.dpkg(ctx, "dpkg-divert", "--listpackage", name)
	if err != nil {
		return diversion{}, err
	}
	if by = strings.TrimSpace(by); by == "" {
		return diversion{}, nil
	}
	to, err := h.dpkg(ctx, "dpkg-divert", "--truename", name)
	if err != nil {
		return diversion{}, err
	}
	return diversion{to: strings.TrimSpace(to), by: by}, nil
}

// divert asks dpkg to add or remove a local diversion and to leave the files alone: they must never
// be missing, and dpkg renames one away.
func (h Host) divert(ctx context.Context, what, name, to string) error {
	args := []string{"--local", "--quiet"}
	// Before 1.19.1 there is no such option: not to rename is what it does.
	if help, err := h.dpkg(ctx, "dpkg-divert", "--help"); err == nil && strings.Contains(help, "--no-rename") {
		args = append(args, "--no-rename")
	}
	_, err := h.dpkg(ctx, "dpkg-divert", append(args, "--divert", to, what, name)...)
	return err
}

// dpkg runs one of dpkg's programs on the host's database. They read and write files: what hangs, hangs
// on the disk.
func (h Host) dpkg(ctx context.Context, program string, args ...string) (string, error) {
	if h.Root != "/" {
		args = append([]string{"--root=" + h.Root}, args...)
	}
	return run(ctx, program, args...)
}

func run(ctx context.Context, program string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return stdout.String(), fmt.Errorf("%s: %w: %s", strings.Join(cmd.Args, " "), err, strings.TrimSpace(stderr.String()))
	}
	return stdout.String(), nil
}

func have(program string) bool {
	_, err := exec.LookPath(program)
	return err == nil
}
