package source

import (
	"fmt"
	"os"
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
	assigned := string(text)
	return OSRelease{
		id:       shellValue(assigned, "ID"),
		like:     shellValue(assigned, "ID_LIKE"),
		version:  shellValue(assigned, "VERSION_ID"),
		codename: shellValue(assigned, "VERSION_CODENAME"),
	}, nil
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

// Family is the distribution family whose package names apply.
func (r OSRelease) Family() Family {
	for _, id := range append([]string{r.id}, strings.Fields(r.like)...) {
		switch id {
		case "debian", "ubuntu":
			return FamilyDebian
		case "rhel", "fedora", "centos", "suse", "opensuse":
			return FamilyRHEL
		case "alpine":
			return FamilyAlpine
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
)
