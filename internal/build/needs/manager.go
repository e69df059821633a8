package needs

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// manager is a package manager: what it is asked, and how its answer reads.
type manager struct {
	name     string
	install  []string // arguments that install without asking
	lists    []string // command that fetches package lists; nil: it does so by itself
	download []string // command that only downloads
	simulate []string // command that tells what would be done, and does nothing; nil: it has none
	asRoot   bool     // only root may ask
	unknown  *regexp.Regexp
	read     func(string) changes
}

// changes is what a package manager would do.
type changes struct{ installs, upgrades, removes []string }

// ours fits packages of the nginx family: what runs must not change by the way.
var ours = regexp.MustCompile(`^(lib)?(nginx|openresty|angie|freenginx|tengine)([-.:]|$)`)

// refusal says why the changes are not made.
func (c changes) refusal(asked []string) error {
	if len(c.removes) > 0 {
		return fmt.Errorf("would remove or downgrade %s for it: install by hand what can be had without that: %s", strings.Join(c.removes, " "), strings.Join(asked, " "))
	}
	for _, name := range slices.Concat(c.installs, c.upgrades) {
		if ours.MatchString(name) {
			return fmt.Errorf("would change %s for it, and with that perhaps what runs: install by hand %s", name, strings.Join(asked, " "))
		}
	}
	return nil
}

// declined tells that a simulation ended as simulations do: dnf calls that a failure.
func (m manager) declined(out string) bool {
	return (m.name == "dnf" || m.name == "yum") && (strings.Contains(out, "Operation aborted") || strings.Contains(out, "Exiting on user command"))
}

var aptLock = []string{"-q", "-o", "DPkg::Lock::Timeout=300"}

// aptKeep answers dpkg's question about changed configuration files.
var aptKeep = []string{"-o", "Dpkg::Options::=--force-confdef", "-o", "Dpkg::Options::=--force-confold"}

var aptInstall = slices.Concat(aptLock, aptKeep, []string{"-y", "--no-install-recommends", "--no-remove", "install"})

var managers = map[string]manager{
	"apt-get": {
		name:     "apt-get",
		install:  aptInstall,
		lists:    slices.Concat([]string{"apt-get"}, aptLock, []string{"update"}),
		download: slices.Concat([]string{"apt-get", "--download-only"}, aptInstall),
		simulate: []string{"apt-get", "-s", "--no-install-recommends", "install"},
		unknown:  regexp.MustCompile(`Unable to locate package|has no installation candidate`),
		read:     readApt,
	},
	"dnf": {
		name:     "dnf",
		install:  []string{"-y", "--setopt=install_weak_deps=False", "install"},
		download: []string{"dnf", "-y", "--setopt=install_weak_deps=False", "--downloadonly", "install"},
		simulate: []string{"dnf", "--assumeno", "--setopt=install_weak_deps=False", "install"},
		read:     readDNF,
	},
	"yum": {
		name:     "yum",
		install:  []string{"-y", "install"},
		simulate: []string{"yum", "--assumeno", "install"},
		read:     readDNF,
	},
	"apk": {
		name:     "apk",
		install:  []string{"add"},
		lists:    []string{"apk", "update"},
		simulate: []string{"apk", "add", "--simulate"},
		asRoot:   true,
		unknown:  regexp.MustCompile(`no such package`),
		read:     readAPK,
	},
	"zypper": {name: "zypper", install: []string{"--non-interactive", "install", "--no-recommends"}},
	"pacman": {name: "pacman", install: []string{"-S", "--needed", "--noconfirm"}},
}

// readApt reads `apt-get -s`: "Inst NAME [old] (new …)", "Remv NAME [old]".
func readApt(text string) changes {
	var c changes
	for line := range strings.Lines(text) {
		words := strings.Fields(line)
		switch {
		case len(words) < 2:
		case words[0] == "Remv":
			c.removes = append(c.removes, words[1])
		case words[0] == "Inst" && len(words) > 2 && strings.HasPrefix(words[2], "["):
			c.upgrades = append(c.upgrades, words[1])
		case words[0] == "Inst":
			c.installs = append(c.installs, words[1])
		}
	}
	return c
}

// readDNF reads the table that dnf, or yum, shows before it asks: headings in the first column, packages
// in the second, and further in the rest of what did not fit a line.
func readDNF(text string) changes {
	var c changes
	var into *[]string
	for line := range strings.Lines(text) {
		words := strings.Fields(line)
		switch {
		case len(words) == 0:
			into = nil
		case strings.HasPrefix(line, "Installing"):
			into = &c.installs
		case strings.HasPrefix(line, "Upgrading"), strings.HasPrefix(line, "Updating"):
			into = &c.upgrades
		case strings.HasPrefix(line, "Removing"), strings.HasPrefix(line, "Downgrading"):
			into = &c.removes
		case words[0] == "replacing" && len(words) > 1:
			c.removes = append(c.removes, words[1])
		case into != nil && line[0] == ' ' && line[1] != ' ':
			*into = append(*into, words[0])
		}
	}
	return c
}

var apkStep = regexp.MustCompile(`(?m)^\([0-9]+/[0-9]+\) (Installing|Upgrading|Downgrading|Replacing|Reinstalling|Purging) (\S+)`)

// readAPK reads `apk --simulate`: "(1/3) Installing NAME (version)".
func readAPK(text string) changes {
	var c changes
	for _, m := range apkStep.FindAllStringSubmatch(text, -1) {
		switch m[1] {
		case "Installing":
			c.installs = append(c.installs, m[2])
		case "Purging":
			c.removes = append(c.removes, m[2])
		default:
			c.upgrades = append(c.upgrades, m[2])
		}
	}
	return c
}
