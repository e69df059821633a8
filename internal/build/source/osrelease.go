package source

import (
	"fmt"
	"os"
	"strconv"
	"strings"
)

// OSRelease is what os-release(5) says of a distribution.
type OSRelease struct {
	id, like, version, codename string // "ubuntu", "debian", "22.04", "jammy"
}

// ReadOSRelease reads /etc/os-release, or a file like it.
func ReadOSRelease(path string) (OSRelease, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return OSRelease{}, fmt.Errorf("read which distribution this is: %w", err)
	}
	return ParseOSRelease(string(text)), nil
}

// ParseOSRelease reads the text of such a file.
func ParseOSRelease(text string) OSRelease {
	return OSRelease{
		id:       shellValue(text, "ID"),
		like:     shellValue(text, "ID_LIKE"),
		version:  shellValue(text, "VERSION_ID"),
		codename: shellValue(text, "VERSION_CODENAME"),
	}
}

// shellValue reads NAME=value lines, the value quoted or not.
func shellValue(text, name string) string {
	for line := range strings.Lines(text) {
		if value, ok := strings.CutPrefix(strings.TrimSpace(line), name+"="); ok {
			return strings.Trim(value, `"'`)
		}
	}
	return ""
}

// ID is the distribution's own name: "debian", "rocky".
func (r OSRelease) ID() string { return r.id }

// String is the distribution and its version, for people: "debian 12".
func (r OSRelease) String() string { return strings.TrimSpace(r.id + " " + r.version) }

// Major is the first number of its version, 12 or 24; 0 if it has none, as a rolling release.
func (r OSRelease) Major() int {
	number, _, _ := strings.Cut(r.version, ".")
	major, err := strconv.Atoi(number)
	if err != nil {
		return 0
	}
	return major
}

// Rolling tells that the distribution has no version: Debian testing and unstable, Arch.
func (r OSRelease) Rolling() bool { return r.version == "" }

// Family is the distribution family whose package names apply.
func (r OSRelease) Family() Family {
	for _, id := range append([]string{r.id}, strings.Fields(r.like)...) {
		switch id {
		case "debian", "ubuntu":
			return FamilyDebian
		case "rhel", "fedora", "centos", "amzn":
			return FamilyRHEL
		case "alpine":
			return FamilyAlpine
		case "suse", "opensuse", "sles":
			return FamilySUSE
		case "arch":
			return FamilyArch
		}
	}
	return FamilyUnknown
}

// Family is a family of distributions that name their packages alike.
type Family int

const (
	FamilyUnknown Family = iota
	FamilyDebian
	FamilyRHEL
	FamilyAlpine
	FamilySUSE
	FamilyArch
)
