package build

import (
	"fmt"
	"os"
	"strings"
)

// osRelease is what os-release(5) says of a distribution.
type osRelease struct {
	id, like, version, codename string // "ubuntu", "debian", "22.04", "jammy"
}

func readOSRelease(path string) (osRelease, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return osRelease{}, fmt.Errorf("read which distribution this is: %w", err)
	}
	assigned := string(text)
	return osRelease{
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

// family is the distribution family whose package names apply.
func (r osRelease) family() family {
	for _, id := range append([]string{r.id}, strings.Fields(r.like)...) {
		switch id {
		case "debian", "ubuntu":
			return familyDebian
		case "rhel", "fedora", "centos", "suse", "opensuse":
			return familyRHEL
		case "alpine":
			return familyAlpine
		}
	}
	return familyUnknown
}

type family int

const (
	familyUnknown family = iota
	familyDebian
	familyRHEL
	familyAlpine
)
