package fetch

import (
	"archive/tar"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
)

// Tarball downloads a version's tarball as s says, whose URL and NotThere it fills in, and makes sure
// that it is of that version: a signature does not say what its file was called, so a mirror could
// give an old release, well signed, for a new one.
func (r Releases) Tarball(ctx context.Context, version string, s Signed) (Download, error) {
	var err error
	if s.URL, err = r.URL(version); err != nil {
		return Download{}, err
	}
	s.NotThere = "see " + openRestyIndex + " for the versions that there are, or give another --mirror"
	got, err := s.Get(ctx)
	if err != nil {
		return Download{}, err
	}
	if err := checkTop(got.Path, archiveTop(version)); err != nil {
		return Download{}, errors.Join(fmt.Errorf("%s refused: %w; get it from another --mirror", got.URL, err), discard(got.Path))
	}
	return got, nil
}

// checkTop reads the first entry of a gzipped tar.
func checkTop(path, want string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	unzipped, err := gzip.NewReader(f)
	if err != nil {
		return fmt.Errorf("it is no gzipped tar: %w", err)
	}
	// A first entry that needs more to be read is no release's.
	archive := tar.NewReader(io.LimitReader(unzipped, 1<<20))
	for {
		entry, err := archive.Next()
		if err != nil {
			return fmt.Errorf("it is no gzipped tar: %w", err)
		}
		if entry.Typeflag == tar.TypeXGlobalHeader {
			continue // as git archive writes it
		}
		top, _, _ := strings.Cut(strings.TrimPrefix(entry.Name, "./"), "/")
		if top != want {
			return fmt.Errorf("it holds %.80q, not %s", top, want)
		}
		return nil
	}
}
