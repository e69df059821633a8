package procfs

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"
)

// CPUPressure is the share of the last minute, 0 to 1, in which some task of the host waited for a processor
// (Documentation/accounting/psi.rst). The error is fs.ErrNotExist where the kernel does not tell it.
func (f FS) CPUPressure() (float64, error) {
	path := f.root + "/pressure/cpu"
	data, err := os.ReadFile(path)
	if errors.Is(err, errors.ErrUnsupported) { // built in, and switched off
		return 0, fmt.Errorf("read %s: %w", path, fs.ErrNotExist)
	}
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(data)) {
		rest, ok := strings.CutPrefix(line, "some ")
		if !ok {
			continue
		}
		for _, field := range strings.Fields(rest) {
			if value, ok := strings.CutPrefix(field, "avg60="); ok {
				percent, err := strconv.ParseFloat(value, 64)
				if err != nil || percent < 0 || percent > 100 {
					return 0, fmt.Errorf("read %s: avg60 is %q", path, value)
				}
				return percent / 100, nil
			}
		}
	}
	return 0, fmt.Errorf("read %s: no avg60 of some in it", path)
}
