package needs

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"

	"graft/internal/build/job"
	"graft/internal/build/source"
)

// Proposal is what the package manager would do to install what is missing. Nothing was done yet.
type Proposal struct {
	Command  []string // as it will be run, sudo included
	Packages []string // that were asked for
	// Installs are all packages that would be new, with those that they need, and Upgrades those that would
	// change. Only apt-get tells beforehand; elsewhere both are nil.
	Installs, Upgrades []string

	update bool // the package lists are missing or too old
	apt    []string
}

// Propose finds out how to install what e misses. It is refused where that would remove a package, or
// change the nginx that runs.
func (e *MissingError) Propose(ctx context.Context, j *job.Job, release source.OSRelease) (Proposal, error) {
	var p Proposal
	for _, d := range e.Missing {
		if d.Package == "" {
			return Proposal{}, fmt.Errorf("install what is missing: which package has %s is not known here: %s", d.Name, d.Note)
		}
	}
	p.Packages = packagesOf(e.Missing)
	name := installer(release)
	if name == "" {
		return Proposal{}, fmt.Errorf("install what is missing: how %s installs packages is not known to graft: %w", release, e)
	}
	var sudo []string
	if os.Geteuid() != 0 {
		if _, err := exec.LookPath("sudo"); err != nil {
			return Proposal{}, fmt.Errorf("install what is missing: only root can; run as root: %s", e.Install)
		}
		sudo = []string{"sudo", "-n"}
	}
	quiet := map[string][]string{
		"apt-get": {"-q", "-y", "-o", "DPkg::Lock::Timeout=300", "--no-install-recommends", "--no-remove", "install"},
		"dnf":     {"-y", "--setopt=install_weak_deps=False", "install"},
		"yum":     {"-y", "install"},
		"apk":     {"add"},
		"zypper":  {"--non-interactive", "install", "--no-recommends"},
		"pacman":  {"-S", "--needed", "--noconfirm"},
	}[name]
	p.Command = slices.Concat(sudo, []string{name}, quiet, p.Packages)
	if name != "apt-get" {
		return p, nil
	}
	p.apt = append(sudo, "apt-get", "-q", "-o", "DPkg::Lock::Timeout=300")
	return p, p.simulate(ctx, j, true)
}

// simulate asks apt-get what it would do.
func (p *Proposal) simulate(ctx context.Context, j *job.Job, first bool) error {
	var out bytes.Buffer
	err := j.Run(ctx, job.Command{Args: slices.Concat([]string{"apt-get", "-s", "--no-install-recommends", "install"}, p.Packages), Env: noQuestions, All: &out})
	if err != nil {
		text := out.String()
		if first && (strings.Contains(text, "Unable to locate package") || strings.Contains(text, "has no installation candidate")) {
			p.update = true
			return nil
		}
		return fmt.Errorf("ask apt-get what it would install: %w", err)
	}
	p.Installs, p.Upgrades = nil, nil
	for line := range strings.Lines(out.String()) {
		words := strings.Fields(line)
		if len(words) < 2 {
			continue
		}
		switch {
		case words[0] == "Remv":
			return fmt.Errorf("install what is missing: apt-get would remove %s for it: install by hand what you can do without that: %s", words[1], strings.Join(p.Packages, " "))
		case words[0] != "Inst":
		case strings.HasPrefix(words[1], "nginx") || strings.HasPrefix(words[1], "libnginx-mod"):
			return fmt.Errorf("install what is missing: apt-get would change %s for it, and with it perhaps what runs: install by hand %s", words[1], strings.Join(p.Packages, " "))
		case len(words) > 2 && strings.HasPrefix(words[2], "["):
			p.Upgrades = append(p.Upgrades, words[1])
		default:
			p.Installs = append(p.Installs, words[1])
		}
	}
	return nil
}

var noQuestions = []string{"DEBIAN_FRONTEND=noninteractive", "NEEDRESTART_MODE=l", "NEEDRESTART_SUSPEND=1"}

// Run installs. Where the package lists had to be fetched first, what they say is judged as Propose does.
func (p Proposal) Run(ctx context.Context, j *job.Job) error {
	if p.update {
		if err := j.Run(ctx, job.Command{Args: append(slices.Clone(p.apt), "update"), Env: noQuestions}); err != nil {
			return fmt.Errorf("install what is missing: fetch the package lists: %w", err)
		}
		if err := p.simulate(ctx, j, false); err != nil {
			return err
		}
	}
	if err := j.Run(ctx, job.Command{Args: p.Command, Env: noQuestions}); err != nil {
		if ctx.Err() != nil {
			return errors.Join(ctx.Err(), fmt.Errorf("interrupted while %s installed packages", p.Command[0]))
		}
		return fmt.Errorf("install what is missing: %w", err)
	}
	return nil
}

// String tells people what would be done.
func (p Proposal) String() string {
	text := strings.Join(p.Command, " ")
	if p.update {
		text = "apt-get update, then " + text
	}
	if len(p.Installs) > 0 {
		text += fmt.Sprintf("\n  %d new packages: %s", len(p.Installs), strings.Join(p.Installs, " "))
	}
	if len(p.Upgrades) > 0 {
		text += "\n  upgraded: " + strings.Join(p.Upgrades, " ")
	}
	return text
}
