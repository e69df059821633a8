package pkgmanager

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// rpmDatabases are where rpm keeps it, by age of the distribution.
var rpmDatabases = []string{"/usr/lib/sysimage/rpm", "/var/lib/rpm"}

// rpmOwner asks rpm; nil if it is not here, has no database, or knows none of the names.
func (h Host) rpmOwner(ctx context.Context, names []string) (*Owner, error) {
	if !have("rpm") || !h.hasRPM() {
		return nil, nil
	}
	for _, name := range names {
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

// hasRPM tells whether there is a database, which Debian's rpm has not.
func (h Host) hasRPM() bool {
	for _, dir := range rpmDatabases {
		for _, name := range []string{"rpmdb.sqlite", "Packages", "Packages.db"} {
			if _, err := os.Stat(filepath.Join(h.below(dir), name)); err == nil {
				return true
			}
		}
	}
	return false
}
