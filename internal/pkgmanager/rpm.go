package pkgmanager

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// rpmOwner asks rpm; nil if it is not here, has no database, or knows none of the names.
func (h Host) rpmOwner(ctx context.Context, names []string) (*Owner, error) {
	if !have("rpm") {
		return nil, nil
	}
	there, err := h.hasRPM(ctx)
	if err != nil || !there {
		return nil, err
	}
	for _, name := range names {
		if _, err := os.Lstat(h.below(name)); err != nil {
			continue // rpm makes no difference between that and a failure
		}
		args := []string{"--query", "--queryformat", "%{NAME}\t%{VERSION}-%{RELEASE}\n", "--file", name}
		if h.Root != "/" {
			args = append([]string{"--root", h.Root}, args...)
		}
		out, err := run(ctx, "rpm", args...)
		var exit *exec.ExitError
		if errors.As(err, &exit) && strings.Contains(out, "is not owned by any package") {
			continue
		}
		if err != nil {
			return nil, err
		}
		line, _, _ := strings.Cut(out, "\n")
		if pkg, version, ok := strings.Cut(line, "\t"); ok {
			return &Owner{Manager: RPM, Package: pkg, Version: version, Path: name}, nil
		}
	}
	return nil, nil
}

// hasRPM tells whether there is a database: rpm makes one when it is asked.
func (h Host) hasRPM(ctx context.Context) (bool, error) {
	dir, err := run(ctx, "rpm", "--eval", "%{_dbpath}")
	if err != nil {
		return false, err
	}
	for _, name := range []string{"rpmdb.sqlite", "Packages.db", "Packages"} { // by age
		if _, err := os.Stat(filepath.Join(h.below(strings.TrimSpace(dir)), name)); err == nil {
			return true, nil
		}
	}
	return false, nil
}
