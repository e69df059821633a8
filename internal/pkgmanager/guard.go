package pkgmanager

import (
	"context"
	"fmt"
	"os"
	"slices"

	"golang.org/x/sys/unix"
)

// suffix of the name that the package's file has while another lies in its place.
const suffix = ".graft-distrib"

// Guard is what a migration does about the package manager. The zero Guard does nothing.
type Guard struct {
	Owner  Owner  `json:"owner,omitzero"`
	Binary string `json:"binary,omitempty"` // the file, links followed
	// Divert is the name that the package's file has meanwhile; empty: it is not diverted.
	Divert string `json:"divert,omitempty"`
	// Services are those that scripts of packages leave alone meanwhile.
	Services []string `json:"services,omitempty"`
	// Needrestart: it is here, and is told to leave the binary's processes alone.
	Needrestart bool `json:"needrestart,omitempty"`
	// Note says what is not done, why, and what the operator can do.
	Note string `json:"note,omitempty"`
}

// Measure is one thing that a guard does, in words.
type Measure struct {
	Does string
	Path string
}

// Consider looks at whose file the binary at path is and says what a migration has to do about it.
// It changes nothing. unit is the service manager's name for the instance; it may be empty.
func (h Host) Consider(ctx context.Context, path, unit string) Guard {
	owner, err := h.OwnerOf(ctx, path)
	switch {
	case err != nil:
		return Guard{Note: fmt.Sprintf("nothing keeps a package manager from the file: %v", err)}
	case owner == nil:
		return Guard{}
	case owner.Manager == RPM:
		return Guard{Owner: *owner, Binary: path, Note: fmt.Sprintf("rpm knows no diversions: an update of %[1]s would overwrite the file. Until the migration is taken back: "+
			"dnf versionlock add %[1]s (dnf versionlock delete %[1]s afterwards), or exclude=%[1]s in /etc/dnf/dnf.conf", owner.Package)}
	}
	if err := unix.Access(h.below(adminDir), unix.W_OK); err != nil {
		return Guard{Owner: *owner, Binary: path, Note: fmt.Sprintf("nothing keeps dpkg from the file: its database %s cannot be written: %v", adminDir, err)}
	}
	g := Guard{Owner: *owner, Binary: path, Services: services(unit)}
	if _, err := os.Stat(h.below(needrestartDir)); err == nil {
		g.Needrestart = true
	}
	switch owner.DivertedTo {
	case "":
		g.Divert = owner.Path + suffix
	case owner.Path + suffix:
		g.Note = fmt.Sprintf("an earlier migration diverts %s to %s: that stays", owner.Path, owner.DivertedTo)
	default:
		g.Note = fmt.Sprintf("%s diverts %s to %s already: that stays, and dpkg leaves the file alone", owner.DivertedBy, owner.Path, owner.DivertedTo)
	}
	return g
}

// services are the names that packages' scripts may use for the instance.
func services(unit string) []string {
	names := []string{"nginx", "nginx.service"}
	if unit != "" && !slices.Contains(names, unit) && plainName(unit) {
		names = append(names, unit)
	}
	return names
}

// Empty tells whether there is nothing to do.
func (g Guard) Empty() bool { return g.Divert == "" && len(g.Services) == 0 && !g.Needrestart }

// Measures are what protecting does, for the operator to read.
func (g Guard) Measures() []Measure {
	var list []Measure
	if g.Divert != "" {
		list = append(list, Measure{Does: fmt.Sprintf("divert the file of %s, which dpkg then updates there: ln %[2]s %[3]s; dpkg-divert --local --no-rename --divert %[3]s --add %[2]s", g.Owner, g.Owner.Path, g.Divert)})
	}
	if len(g.Services) > 0 {
		list = append(list, Measure{Does: fmt.Sprintf("keep scripts of packages from restarting %s", g.Services[0]), Path: policyFile})
	}
	if g.Needrestart {
		list = append(list, Measure{Does: "keep needrestart from restarting the old master, whose file is replaced", Path: needrestartFile})
	}
	if g.Note != "" {
		list = append(list, Measure{Does: g.Note})
	}
	return list
}

// Stays are the measures that outlive a finished migration, until it is taken back.
func (g Guard) Stays() string {
	switch {
	case g.Divert != "":
		return fmt.Sprintf("the diversion and %s stay, until graft rollback", policyFile)
	case len(g.Services) > 0:
		return policyFile + " stays, until graft rollback"
	}
	return ""
}
