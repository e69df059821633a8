package elffile

import "bytes"

const maxDirs = 32

// compiledDirs finds the default directories in glibc's loader (system_dirs of elf/dl-load.c): strings one
// after the other, each of which begins and ends with a slash.
func compiledDirs(loader []byte) []string {
	var dirs []string
	for rest := loader; ; {
		s, after, found := bytes.Cut(rest, []byte{0})
		if !found || len(dirs) == maxDirs {
			return dirs
		}
		switch {
		case isDirs(s, len(dirs) == 0):
			dirs = append(dirs, string(s[:len(s)-1]))
		case dirs != nil:
			return dirs
		}
		rest = after
	}
}

func isDirs(s []byte, first bool) bool {
	if len(s) < 3 || len(s) > maxSymbol || s[0] != '/' || s[len(s)-1] != '/' || first && !bytes.Contains(s, []byte("/lib")) {
		return false
	}
	for _, c := range s {
		if c <= ' ' || c > '~' {
			return false
		}
	}
	return true
}
