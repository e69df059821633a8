package pkgmanager

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"graft/internal/durable"
	"graft/internal/fault"
)

// invoke-rc.d and deb-systemd-invoke, through which scripts of packages start and stop services, ask
// policyFile first. What was there is asked by graft's for all other services.
const (
	policyFile = "/usr/sbin/policy-rc.d"
	policyKept = policyFile + ".graft-kept"
)

var plain = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9@_.:-]*$`)

// plainName tells whether a name can stand in a shell pattern as it is.
func plainName(name string) bool { return plain.MatchString(name) }

// policy denies everything but questions: a stop and a start are a restart, and a start finds a pid file
// that names a master whose binary is not the one at the path.
func policy(services []string) string {
	return `#!/bin/sh
# Made by graft: another binary than the package's serves as ` + strings.Join(services, ", ") + `.
# Scripts of packages must not restart it. graft rollback removes this file.
again=
for argument; do
	case "$argument" in
	-*) ;;
	*)
		case "$again" in
		"") service=$argument again=1 ;;
		1) action=$argument again=2 ;;
		esac
		;;
	esac
done
case "$service" in
` + strings.Join(services, "|") + `)
	case "$action" in
	status) ;;
	*)
		echo "graft: $service serves with another binary than the package's: no $action for a package" >&2
		exit 101
		;;
	esac
	;;
esac
if [ -x ` + policyKept + ` ]; then
	exec ` + policyKept + ` "$@"
fi
[ -e /sbin/init ] || exit 101
exit 104
`
}

// hasPolicy tells whether policyFile is graft's for these services.
func (h Host) hasPolicy(services []string) (bool, error) {
	text, err := os.ReadFile(h.below(policyFile))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("read the policy: %w", err)
	}
	return string(text) == policy(services), nil
}

// setPolicy puts graft's policy there; what was there keeps its inode under another name.
func (h Host) setPolicy(services []string) error {
	there, err := h.hasPolicy(services)
	if err != nil || there {
		return err
	}
	path, kept := h.below(policyFile), h.below(policyKept)
	if _, err := os.Lstat(path); err == nil {
		// A kept one without graft's policy is a remnant: what is in force counts.
		if err := removeFile(kept); err != nil {
			return err
		}
		if err := os.Link(path, kept); err != nil {
			return fmt.Errorf("keep the policy: %w", err)
		}
		if err := durable.SyncDir(filepath.Dir(path)); err != nil {
			return err
		}
	}
	return durable.Replace("policy", path, strings.NewReader(policy(services)), durable.Private(0o755))
}

// restorePolicy takes graft's policy away and puts back exactly what was there. left tells what is not
// graft's to remove.
func (h Host) restorePolicy(services []string) (left string, err error) {
	path, kept := h.below(policyFile), h.below(policyKept)
	if err := removeLeftovers(path); err != nil {
		return "", err
	}
	there, err := h.hasPolicy(services)
	if err != nil {
		return "", err
	}
	before, keptErr := os.Lstat(kept)
	if !there {
		now, err := os.Lstat(path)
		switch {
		case keptErr != nil:
			return "", nil
		case err == nil && os.SameFile(before, now): // killed before it was replaced
			return "", removeFile(kept)
		}
		return fmt.Sprintf("%s was changed meanwhile and is left; what was there before is %s", policyFile, policyKept), nil
	}
	fault.Point("before-restore-policy")
	if keptErr == nil {
		err = os.Rename(kept, path)
	} else {
		err = os.Remove(path)
	}
	if err != nil {
		return "", fmt.Errorf("restore the policy: %w", err)
	}
	fault.Point("after-restore-policy")
	return "", durable.SyncDir(filepath.Dir(path))
}

func removeFile(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// removeLeftovers removes what a crash inside a replacement of path left beside it.
func removeLeftovers(path string) error {
	left, err := durable.Leftovers(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	for _, file := range left {
		err = errors.Join(err, removeFile(file))
	}
	return err
}
