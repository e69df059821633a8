package artifact

import "graft/internal/elffile"

// neededLibraries returns the DT_NEEDED entries of the ELF file at path; none for a static one.
func neededLibraries(path string) ([]string, error) {
	f, err := elffile.Read(path)
	if err != nil {
		return nil, err
	}
	if f.Needed == nil {
		return []string{}, nil
	}
	return f.Needed, nil
}
