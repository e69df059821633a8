package preflight

import (
	"bytes"
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
)

// packageTimeout bounds one question to a package manager, whose database may be locked or large.
const packageTimeout = 20 * time.Second

// ownership is what the host's package manager has to do with one file. Nothing of it is changed: only
// the databases on the disk are asked, no network.
type ownership struct {
	manager  string // "dpkg" or "rpm"; "" if no package owns the file
	name     string // of the package that owns the file
	version  string // installed
	newer    string // what an upgrade would install; "" if nothing newer is known
	held     bool
	diverted string // where the package's file goes instead
	err      error  // it could not be asked: nothing is known
}

// askPackages asks whose file path is. A file reached through a merged /usr is asked for by both names.
func askPackages(ctx context.Context, path string) ownership {
	names := []string{path}
	for _, dir := range []string{"/bin/", "/sbin/", "/lib/"} {
		if short, ok := strings.CutPrefix(path, "/usr"); ok && strings.HasPrefix(short, dir) {
			names = append(names, short)
		}
	}
	for _, name := range names {
		for _, ask := range []func(context.Context, string) ownership{askDpkg, askRPM} {
			if p := ask(ctx, name); p.manager != "" || p.err != nil {
				return p
			}
		}
	}
	return ownership{}
}

func askDpkg(ctx context.Context, path string) ownership {
	if _, err := os.Stat("/var/lib/dpkg/status"); err != nil {
		return ownership{}
	}
	out, code, err := answer(ctx, "dpkg-query", "--search", path)
	switch {
	case errors.Is(err, exec.ErrNotFound):
		return ownership{}
	case err != nil:
		return ownership{err: err}
	case code != 0:
		return ownership{} // no path found matching
	}
	p := ownership{manager: "dpkg"}
	for line := range strings.Lines(out) {
		// "nginx:amd64, other: /usr/sbin/nginx", "diversion by graft to: /usr/sbin/nginx.distrib".
		owner, file, _ := strings.Cut(strings.TrimSpace(line), ": ")
		switch {
		case strings.HasPrefix(owner, "diversion by ") && strings.HasSuffix(owner, " to"), strings.HasPrefix(owner, "local diversion to"):
			p.diverted = file
		case !strings.Contains(owner, "diversion") && file == path:
			p.name, _, _ = strings.Cut(owner, ",")
		}
	}
	if p.name == "" {
		return ownership{}
	}
	out, _, err = answer(ctx, "dpkg-query", "--show", "--showformat=${db:Status-Want} ${Version}", p.name)
	if err != nil {
		p.err = err
		return p
	}
	want, version, _ := strings.Cut(strings.TrimSpace(out), " ")
	p.held, p.version = want == "hold", version
	// The caches are made in memory: apt would write them for root.
	out, _, err = answer(ctx, "apt-cache", "-o", "Dir::Cache::pkgcache=", "-o", "Dir::Cache::srcpkgcache=", "policy", p.name)
	if err != nil && !errors.Is(err, exec.ErrNotFound) {
		p.err = err
		return p
	}
	for line := range strings.Lines(out) {
		if candidate, ok := strings.CutPrefix(strings.TrimSpace(line), "Candidate: "); ok && candidate != p.version && candidate != "(none)" {
			p.newer = candidate
		}
	}
	return p
}

func askRPM(ctx context.Context, path string) ownership {
	if _, err := os.Stat("/var/lib/rpm"); err != nil {
		return ownership{}
	}
	out, code, err := answer(ctx, "rpm", "--query", "--file", "--queryformat", "%{NAME} %{VERSION}-%{RELEASE}", path)
	switch {
	case errors.Is(err, exec.ErrNotFound):
		return ownership{}
	case err != nil:
		return ownership{err: err}
	case code != 0:
		return ownership{} // not owned by any package
	}
	name, version, _ := strings.Cut(strings.TrimSpace(out), " ")
	return ownership{manager: "rpm", name: name, version: version, held: excluded(name)}
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

// answer runs a package manager's own query. A non-zero exit is an answer, too.
func answer(ctx context.Context, name string, args ...string) (out string, code int, err error) {
	ctx, cancel := context.WithTimeout(ctx, packageTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	cmd.WaitDelay = time.Second
	var stdout bytes.Buffer
	cmd.Stdout = &stdout
	err = cmd.Run()
	if exit, exited := errors.AsType[*exec.ExitError](err); exited && ctx.Err() == nil && exit.ExitCode() > 0 {
		return stdout.String(), exit.ExitCode(), nil
	}
	if err != nil {
		return "", 0, fmt.Errorf("ask %s: %w", name, err)
	}
	return stdout.String(), 0, nil
}

// automatic lists what upgrades packages or restarts services by itself on this host.
func automatic() []string {
	var list []string
	for _, timer := range []string{"apt-daily-upgrade.timer", "dnf-automatic.timer", "dnf-automatic-install.timer", "dnf5-automatic.timer", "yum-cron.service"} {
		for _, dir := range []string{"/etc/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system"} {
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
// put its own back.
func packageManager(e *examination) Check {
	p := e.owned
	if p.err != nil {
		return warning(fmt.Sprintf("ask by hand: dpkg -S %s or rpm -qf %s", e.binary, e.binary), "whose file %s is cannot be found out: %v", e.binary, p.err)
	}
	if p.manager == "" {
		return ok("no package owns %s", e.binary)
	}
	owned := fmt.Sprintf("%s belongs to the package %s %s (%s)", e.binary, p.name, p.version, p.manager)
	hold := "apt-mark hold " + p.name
	if p.manager == "rpm" {
		hold = "dnf versionlock add " + p.name
	}
	alone := automatic()
	switch {
	case p.diverted != "":
		return ok("%s, whose own file goes to %s (dpkg-divert): an upgrade leaves the target alone", owned, p.diverted)
	case p.held:
		return ok("%s, which is held: it is not upgraded. Reinstalling it by hand still overwrites the target", owned)
	case p.newer != "":
		return warning(hold+" (apt-mark unhold "+p.name+" after a rollback)",
			"%s, and %s is ready to be installed: that overwrites the target, and the package's script may restart nginx%s", owned, p.newer, byItself(alone))
	case len(alone) > 0:
		return warning(hold, "%s: the next upgrade of it overwrites the target, and the package's script may restart nginx%s", owned, byItself(alone))
	}
	return note(hold, "%s: the next upgrade of it overwrites the target, and the package's script may restart nginx. Nothing upgrades by itself here, and nothing newer is known", owned)
}

func byItself(alone []string) string {
	if len(alone) == 0 {
		return ""
	}
	return "; without being asked: " + strings.Join(alone, ", ")
}
