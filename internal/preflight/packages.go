package preflight

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"graft/internal/pkgmanager"
)

// packageTimeout bounds the question to apt, whose lists may be large.
const packageTimeout = 20 * time.Second

// ownership is what the host's package manager has to do with the binary. Nothing of it is changed: only
// the databases on the disk are asked, no network.
type ownership struct {
	known             bool   // it was asked
	*pkgmanager.Owner        // nil if no package owns the file
	newer             string // what an upgrade would install; "" if nothing newer is known
	err               error  // why it could not be asked
}

// askPackages asks whose file path is.
func askPackages(ctx context.Context, path string) ownership {
	owner, err := pkgmanager.Host{Root: "/"}.OwnerOf(ctx, path)
	o := ownership{Owner: owner, err: err}
	if owner != nil {
		switch owner.Manager {
		case pkgmanager.RPM:
			owner.Held = excluded(owner.Package)
		case pkgmanager.Dpkg:
			o.newer, o.err = candidate(ctx, *owner)
		}
	}
	o.known = o.err == nil
	return o
}

// candidate is the version that apt would install now, if that is another than the one that is installed.
func candidate(ctx context.Context, owner pkgmanager.Owner) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, packageTimeout)
	defer cancel()
	// apt would write its caches for root: they are made in memory.
	cmd := exec.CommandContext(ctx, "apt-cache", "-o", "Dir::Cache::pkgcache=", "-o", "Dir::Cache::srcpkgcache=", "policy", owner.Package)
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	cmd.WaitDelay = time.Second
	out, err := cmd.Output()
	if errors.Is(err, exec.ErrNotFound) {
		return "", nil // dpkg alone
	}
	if err != nil {
		return "", fmt.Errorf("ask apt-cache for %s: %w", owner.Package, err)
	}
	for line := range strings.Lines(string(out)) {
		version, found := strings.CutPrefix(strings.TrimSpace(line), "Candidate: ")
		if found && version != owner.Version && version != "(none)" {
			return version, nil
		}
	}
	return "", nil
}

// excluded tells whether dnf or yum is told to leave the package alone: by exclude= or a version lock.
func excluded(name string) bool {
	for _, file := range []string{"/etc/dnf/dnf.conf", "/etc/yum.conf", "/etc/dnf/plugins/versionlock.list", "/etc/yum/pluginconf.d/versionlock.list"} {
		text, err := os.ReadFile(file)
		if err != nil {
			continue
		}
		for line := range strings.Lines(string(text)) {
			line = strings.TrimSpace(line)
			key, value, setting := strings.Cut(line, "=")
			if setting && strings.HasPrefix(key, "exclude") && slices.Contains(strings.FieldsFunc(value, func(r rune) bool { return r == ' ' || r == ',' }), name) {
				return true
			}
			if strings.HasSuffix(file, ".list") && !strings.HasPrefix(line, "#") && strings.HasPrefix(line, name+"-") {
				return true
			}
		}
	}
	return false
}

// automatic lists what upgrades packages or restarts services by itself on this host.
func automatic() []string {
	var list []string
	for _, timer := range []string{"apt-daily-upgrade.timer", "dnf-automatic.timer", "dnf-automatic-install.timer", "dnf5-automatic.timer", "yum-cron.service"} {
		for _, dir := range unitDirs {
			matches, err := filepath.Glob(filepath.Join(dir, "*.target.wants", timer))
			if err == nil && len(matches) > 0 {
				if timer == "apt-daily-upgrade.timer" && !unattended() {
					break // it runs, and upgrades nothing
				}
				list = append(list, fmt.Sprintf("%s (%s)", timer, matches[0]))
				break
			}
		}
	}
	const needrestart = "/usr/sbin/needrestart"
	if _, err := os.Stat(needrestart); err == nil {
		list = append(list, fmt.Sprintf("needrestart (%s), which restarts services whose binary was replaced", needrestart))
	}
	return list
}

// unattended tells whether apt's daily run upgrades: unattended-upgrades is there and switched on.
func unattended() bool {
	if _, err := os.Stat("/usr/bin/unattended-upgrade"); errors.Is(err, fs.ErrNotExist) {
		return false
	}
	files, err := filepath.Glob("/etc/apt/apt.conf.d/*")
	if err != nil {
		return false
	}
	on := false
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			continue
		}
		for line := range strings.Lines(string(text)) {
			if value, ok := strings.CutPrefix(strings.TrimSpace(line), "APT::Periodic::Unattended-Upgrade "); ok {
				on = strings.Trim(value, `"; `) != "0"
			}
		}
	}
	return on
}

// packageManager tells whether a package manager owns the file that is replaced, and what would make it
// put its own back. dpkg is kept from that by package pkgmanager, rpm cannot be.
func packageManager(e *examination) Check {
	p := e.owned
	if !p.known {
		return warning(fmt.Sprintf("ask by hand: dpkg -S %s or rpm -qf %s", e.binary, e.binary), "whose file %s is cannot be found out: %v", e.binary, p.err)
	}
	if p.Owner == nil {
		return ok("no package owns %s", e.binary)
	}
	owned := fmt.Sprintf("%s belongs to the package %s (%s)", e.binary, p.Owner, p.Manager)
	switch {
	case p.DivertedTo != "":
		return ok("%s, whose own file goes to %s (dpkg-divert by %s): an upgrade leaves the target alone", owned, p.DivertedTo, p.DivertedBy)
	case p.Held && p.Manager == pkgmanager.RPM:
		return ok("%s, which dnf is told to leave alone", owned)
	case p.Held:
		return ok("%s, which is held: it is not upgraded", owned)
	}
	next := "the next upgrade of it would overwrite the target, and the package's script restart nginx" + p.when()
	if p.Manager == pkgmanager.RPM {
		return warning("dnf versionlock add "+p.Package+" (after a rollback: dnf versionlock delete "+p.Package+")", "%s: %s", owned, next)
	}
	return note("graft apply diverts the package's file and keeps its scripts from nginx as long as the target lies there; without graft: apt-mark hold "+p.Package, "%s: %s", owned, next)
}

// when tells what would bring an upgrade about.
func (o ownership) when() string {
	var text string
	if o.newer != "" {
		text += fmt.Sprintf("; %s is ready to be installed", o.newer)
	}
	if alone := automatic(); len(alone) > 0 {
		return text + "; without being asked: " + strings.Join(alone, ", ")
	}
	return text + "; nothing upgrades by itself here"
}
