// Package pkgmanager keeps dpkg and apt from undoing a migration behind graft's back, and tells whose
// file a binary is.
//
// While the new binary lies at the path, the package's own file has another name (a diversion of
// dpkg's), and the scripts of packages neither restart nor reload nginx (policy-rc.d). Both are taken
// back so that the package manager finds what it knows.
package pkgmanager

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Host is where the package manager works.
type Host struct {
	Root string // "/", or the root of an installation in a directory
}

// The package managers.
const (
	Dpkg = "dpkg"
	RPM  = "rpm"
)

// Owner is the package that a file belongs to.
type Owner struct {
	Manager string `json:"manager"` // Dpkg or RPM
	Package string `json:"package"` // with its architecture where dpkg tells it: "libc6:amd64"
	Version string `json:"version"`
	// Path is the name that the package manager knows the file by: /sbin/nginx may be /usr/sbin/nginx.
	Path string `json:"path"`
	Held bool   `json:"held,omitempty"` // dpkg: not to be upgraded
	// DivertedTo is where dpkg puts the package's file instead of Path, by the will of DivertedBy: a
	// package, or LOCAL.
	DivertedTo string `json:"diverted_to,omitempty"`
	DivertedBy string `json:"diverted_by,omitempty"`
}

// String shows package and version.
func (o Owner) String() string { return o.Package + " " + o.Version }

// OwnerOf tells which package owns the file at path, links followed by the caller; nil if none does. The
// error says that a package manager is here but cannot be asked.
func (h Host) OwnerOf(ctx context.Context, path string) (*Owner, error) {
	names := h.names(path)
	for _, ask := range []func(context.Context, []string) (*Owner, error){h.dpkgOwner, h.rpmOwner} {
		owner, err := ask(ctx, names)
		if err != nil {
			return nil, fmt.Errorf("look for the package that owns %s: %w", path, err)
		}
		if owner != nil {
			return owner, nil
		}
	}
	return nil, nil
}

// below turns an absolute path of the host into one that this process can open.
func (h Host) below(path string) string { return filepath.Join(h.Root, path) }

// names lists those by which a package may know the file: where /sbin is a link to /usr/sbin, a
// package may have either.
func (h Host) names(path string) []string {
	names := []string{path}
	candidates := []string{"/usr" + path}
	if rest, ok := strings.CutPrefix(path, "/usr/"); ok {
		candidates = []string{"/" + rest}
	}
	for _, name := range append(candidates, swapDir(path, "/sbin/", "/bin/"), swapDir(path, "/bin/", "/sbin/")) {
		if h.sameFile(path, name) && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}

func swapDir(path, from, to string) string { return strings.Replace(path, from, to, 1) }

// sameFile tells whether both names lead to one directory entry: a hard link is another file.
func (h Host) sameFile(a, b string) bool {
	dirA, err := os.Stat(h.below(filepath.Dir(a)))
	if err != nil {
		return false
	}
	dirB, err := os.Stat(h.below(filepath.Dir(b)))
	return err == nil && os.SameFile(dirA, dirB) && filepath.Base(a) == filepath.Base(b)
}
