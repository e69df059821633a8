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
	Command  []string `json:"command"`  // as it will be run, sudo included
	Packages []string `json:"packages"` // that were asked for
	// Installs are all packages that would be new, with those that they need, and Upgrades those that would
	// change. Both are nil where that is not known beforehand: the package lists have to be fetched first, or
	// the package manager does not tell.
	Installs []string `json:"installs,omitempty"`
	Upgrades []string `json:"upgrades,omitempty"`

	manager manager
	sudo    []string
	update  bool // the package lists are missing or too old
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
	if _, err := exec.LookPath(name); name == "dnf" && err != nil {
		name = "yum"
	}
	if os.Geteuid() != 0 {
		if _, err := exec.LookPath("sudo"); err != nil {
			return Proposal{}, fmt.Errorf("install what is missing: only root can; run as root: %s", e.Install)
		}
		// sudo keeps little of the environment, so the variables are set behind it.
		p.sudo = append([]string{"sudo", "-n", "env"}, noQuestions...)
	}
	p.manager = managers[name]
	p.Command = slices.Concat(p.sudo, []string{name}, p.manager.install, p.Packages)
	return p, p.simulate(ctx, j, true)
}

// simulate asks the package manager what it would do. The first time unknown packages may be due to
// lists that are missing.
func (p *Proposal) simulate(ctx context.Context, j *job.Job, first bool) error {
	if p.manager.simulate == nil {
		return nil
	}
	var out bytes.Buffer
	args := p.manager.simulate
	if p.manager.asRoot {
		args = slices.Concat(p.sudo, args)
	}
	err := j.Run(ctx, job.Command{Args: slices.Concat(args, p.Packages), Env: noQuestions, All: &out})
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case first && p.manager.lists != nil && p.manager.unknown.MatchString(out.String()):
		p.update = true
		return nil
	case err != nil && !p.manager.declined(out.String()):
		return fmt.Errorf("ask %s what it would install: %w", args[0], err)
	}
	c := p.manager.read(out.String())
	if err := c.refusal(p.Packages); err != nil {
		return fmt.Errorf("install what is missing: %s %w", p.manager.name, err)
	}
	p.Installs, p.Upgrades = c.installs, c.upgrades
	return nil
}

// noQuestions keeps package managers from asking, and needrestart from restarting what runs.
var noQuestions = []string{"DEBIAN_FRONTEND=noninteractive", "NEEDRESTART_MODE=l", "NEEDRESTART_SUSPEND=1"}

// Run installs. What the package manager would do is judged again right before, as Propose does: the
// package lists may have been fetched since. Packages are downloaded before any is unpacked, which can be
// interrupted; from then on ctx is not heeded, since a package manager that is killed leaves packages half
// installed.
func (p Proposal) Run(ctx context.Context, j *job.Job) error {
	if p.update {
		if err := p.fetchLists(ctx, j); err != nil {
			return err
		}
	}
	if err := p.simulate(ctx, j, false); err != nil {
		return err
	}
	if err := p.download(ctx, j); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := j.Run(context.WithoutCancel(ctx), job.Command{Args: p.Command, Env: noQuestions}); err != nil {
		return p.failed(err)
	}
	return nil
}

func (p Proposal) fetchLists(ctx context.Context, j *job.Job) error {
	if err := j.Run(ctx, job.Command{Args: slices.Concat(p.sudo, p.manager.lists), Env: noQuestions}); err != nil {
		return p.failed(fmt.Errorf("fetch the package lists: %w", err))
	}
	return nil
}

// download brings the packages. Lists that are older than the mirror's files name some that are gone:
// then newer lists are fetched, once.
func (p Proposal) download(ctx context.Context, j *job.Job) error {
	if p.manager.download == nil {
		return nil
	}
	c := job.Command{Args: slices.Concat(p.sudo, p.manager.download, p.Packages), Env: noQuestions}
	err := j.Run(ctx, c)
	if err == nil {
		return nil
	}
	if ctx.Err() != nil || p.update || p.manager.lists == nil {
		return p.failed(err)
	}
	if listErr := p.fetchLists(ctx, j); listErr != nil {
		return errors.Join(p.failed(err), listErr)
	}
	if err := p.simulate(ctx, j, false); err != nil {
		return err
	}
	if err := j.Run(ctx, c); err != nil {
		return p.failed(err)
	}
	return nil
}

func (p Proposal) failed(err error) error {
	if tool, ok := errors.AsType[*job.ToolError](err); ok && p.sudo != nil && strings.Contains(strings.Join(tool.Lines, "\n"), "sudo:") {
		return fmt.Errorf("install what is missing: sudo does not let this user without a password; run as root: %s: %w",
			strings.Join(p.Command[len(p.sudo):], " "), err)
	}
	return fmt.Errorf("install what is missing: %w", err)
}

// String tells people what would be done.
func (p Proposal) String() string {
	text := strings.Join(p.Command, " ")
	if p.update {
		text = strings.Join(slices.Concat(p.sudo, p.manager.lists), " ") + ", then " + text
	}
	if len(p.Installs) > 0 {
		text += fmt.Sprintf("\n  %d new packages: %s", len(p.Installs), strings.Join(p.Installs, " "))
	}
	if len(p.Upgrades) > 0 {
		text += fmt.Sprintf("\n  %d upgraded: %s", len(p.Upgrades), strings.Join(p.Upgrades, " "))
	}
	return text
}
