package source

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"graft/internal/artifact"
	"graft/internal/build/job"
	"graft/internal/durable"
)

// maxUnpacked bounds what a tarball may unpack to; OpenResty's take 40 MB.
const maxUnpacked = 1 << 30

// findTarball recognises a source tarball by the few files that tell what it is. What was read of one is
// kept below cacheDir by the tarball's hash: unpacking takes longer than everything else of a build that
// was made before.
func findTarball(ctx context.Context, file, cacheDir string) (Source, error) {
	fail := func(err error) (Source, error) { return Source{}, fmt.Errorf("source tarball %s: %w", file, err) }
	sum, err := hashFile(file)
	if err != nil {
		return fail(err)
	}
	known := filepath.Join(cacheDir, "facts", fmt.Sprintf("%s.%d.json", sum, factsSchema))
	f, err := knownFacts(known)
	if err != nil {
		var again string
		if f, again, err = tarballFacts(ctx, file); err != nil {
			return fail(err)
		}
		if again != sum {
			return fail(errors.New("it changed while it was read"))
		}
		if err := keepFacts(known, f); err != nil {
			return fail(err)
		}
	}
	return Source{
		Facts:    f,
		Manifest: artifact.Source{Kind: "tarball", Location: filepath.Base(file), SHA256: sum},
		Hash:     sum,
		unpack: func(ctx context.Context, _ *job.Job, to string) (Tree, error) {
			top := filepath.Join(to, f.Name)
			again, err := unpackTarball(ctx, file, top)
			if err == nil && again != sum {
				err = errors.New("it changed while it was read")
			}
			if err != nil {
				return Tree{}, fmt.Errorf("unpack %s: %w", file, err)
			}
			return Tree{Top: top}, nil
		},
	}, nil
}

// factsSchema is raised when Facts, or how they are read, changes.
const factsSchema = 1

func knownFacts(file string) (f Facts, err error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return Facts{}, err
	}
	return f, json.Unmarshal(text, &f)
}

func keepFacts(file string, f Facts) error {
	text, err := json.Marshal(f)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return err
	}
	return durable.Replace("facts", file, bytes.NewReader(text), durable.Private(0o644))
}

func hashFile(file string) (string, error) {
	h := sha256.New()
	if err := copyInto(h, file); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// tarballFacts reads a tarball once.
func tarballFacts(ctx context.Context, file string) (Facts, string, error) {
	texts, children := map[string]string{}, map[string]map[string]bool{}
	sum, err := readTarball(ctx, file, func(name string, h *tar.Header, r io.Reader) error {
		if dir, below, ok := strings.Cut(name, "/"); ok {
			if children[dir] == nil {
				children[dir] = map[string]bool{}
			}
			child, _, _ := strings.Cut(below, "/")
			children[dir][child] = true
		}
		if h.Typeflag == tar.TypeReg && factsPattern.MatchString(name) {
			text, err := io.ReadAll(io.LimitReader(r, 1<<20))
			texts[name] = string(text)
			return err
		}
		return nil
	})
	if err != nil {
		return Facts{}, "", err
	}
	f, err := readFacts(
		func(name string) (string, bool) { text, ok := texts[name]; return text, ok },
		func(dir string) []string { return slices.Sorted(maps.Keys(children[dir])) })
	return f, sum, err
}

// readTarball calls entry for everything in the tarball, with its name below the one top directory,
// and returns the SHA-256 of the whole file.
func readTarball(ctx context.Context, file string, entry func(name string, h *tar.Header, r io.Reader) error) (sum string, err error) {
	f, err := os.Open(file)
	if err != nil {
		return "", err
	}
	defer f.Close()
	hash := sha256.New()
	raw := io.TeeReader(f, hash)
	stream, err := decompress(raw)
	if err != nil {
		return "", err
	}
	limited := &io.LimitedReader{R: stream, N: maxUnpacked}
	archive := tar.NewReader(limited)
	for {
		h, err := archive.Next()
		if errors.Is(err, io.EOF) && limited.N > 0 {
			break
		}
		if errors.Is(err, tar.ErrHeader) {
			err = errors.New("not a tar file, plain or compressed by gzip, xz, bzip2 or zstd")
		}
		if err == nil {
			err = ctx.Err()
		}
		if limited.N <= 0 {
			err = fmt.Errorf("unpacks to more than %d MB", maxUnpacked>>20)
		}
		if err != nil {
			return "", err
		}
		if h.Typeflag == tar.TypeXGlobalHeader {
			continue
		}
		if !filepath.IsLocal(strings.TrimSuffix(h.Name, "/")) {
			return "", fmt.Errorf("entry %q leaves the directory it is unpacked in", h.Name)
		}
		_, name, below := strings.Cut(path.Clean(h.Name), "/")
		if !below {
			continue
		}
		if err := entry(name, h, archive); err != nil {
			return "", fmt.Errorf("entry %s: %w", h.Name, err)
		}
	}
	// What tar and gzip did not ask for belongs to the file's hash all the same.
	if _, err := io.Copy(io.Discard, raw); err != nil {
		return "", err
	}
	return hex.EncodeToString(hash.Sum(nil)), nil
}

// unpackTarball writes the files below dir, through an os.Root: no entry, not even by way of a link,
// can leave it.
func unpackTarball(ctx context.Context, file, dir string) (sum string, err error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return "", err
	}
	defer root.Close()
	return readTarball(ctx, file, func(name string, h *tar.Header, r io.Reader) error {
		switch h.Typeflag {
		case tar.TypeDir:
			return root.MkdirAll(name, 0o755)
		case tar.TypeSymlink:
			if err := root.MkdirAll(path.Dir(name), 0o755); err != nil {
				return err
			}
			return root.Symlink(h.Linkname, name)
		case tar.TypeReg:
			return unpackFile(root, name, h, r)
		}
		return fmt.Errorf("is of type %q: a source tarball holds files, directories and symbolic links", h.Typeflag)
	})
}

// unpackFile writes one file with its time: make compares them.
func unpackFile(root *os.Root, name string, h *tar.Header, r io.Reader) (err error) {
	if err := root.MkdirAll(path.Dir(name), 0o755); err != nil {
		return err
	}
	f, err := root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, fs.FileMode(h.Mode).Perm()|0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, r)
	return errors.Join(err, f.Close(), root.Chtimes(name, h.ModTime, h.ModTime))
}
