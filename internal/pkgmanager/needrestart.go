package pkgmanager

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"graft/internal/durable"
)

// needrestart, which apt runs when it has ended, restarts services whose binary is replaced: both
// masters have one unit.
const (
	needrestartDir  = "/etc/needrestart/conf.d"
	needrestartFile = needrestartDir + "/graft.conf"
)

// snippet tells needrestart, in its Perl, to pass over processes of the binary.
func snippet(path string) string {
	var quoted strings.Builder
	for _, r := range path {
		if !strings.ContainsRune("/-_", r) && (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z') {
			quoted.WriteByte('\\')
		}
		quoted.WriteRune(r)
	}
	return "# Made by graft: a migration is under way. graft finish and graft rollback remove this file.\n" +
		"push(@{$nrconf{blacklist}}, qr{^" + quoted.String() + "$});\n"
}

func (h Host) hush(path string) error {
	return durable.Replace("needrestart", h.below(needrestartFile), strings.NewReader(snippet(path)), durable.Private(0o644))
}

// unhush removes the snippet, unless somebody has changed it.
func (h Host) unhush(path string) error {
	file := h.below(needrestartFile)
	if err := removeLeftovers(file); err != nil {
		return err
	}
	text, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) || err == nil && string(text) != snippet(path) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read %s: %w", needrestartFile, err)
	}
	return removeFile(file)
}
