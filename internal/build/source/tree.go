package source

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"graft/internal/artifact"
	"graft/internal/build/job"
)

// findTree recognises an unpacked source tree. The user's tree is only read: it is copied to be built.
func findTree(ctx context.Context, dir string) (Source, error) {
	f, err := readFacts(
		func(name string) (string, bool) {
			text, err := os.ReadFile(filepath.Join(dir, name))
			return string(text), err == nil
		},
		func(name string) []string {
			entries, err := os.ReadDir(filepath.Join(dir, name))
			if err != nil {
				return nil
			}
			names := make([]string, len(entries))
			for i, e := range entries {
				names[i] = e.Name()
			}
			return names
		})
	if err != nil {
		return Source{}, fmt.Errorf("source %s: %w", dir, err)
	}
	sum, err := HashTree(ctx, dir)
	if err != nil {
		return Source{}, fmt.Errorf("hash source %s: %w", dir, err)
	}
	return Source{
		Facts:    f,
		Manifest: artifact.Source{Kind: "tree", Location: filepath.Base(dir), SHA256: sum},
		Hash:     sum,
		unpack: func(ctx context.Context, j *job.Job, to string) (Tree, error) {
			top := filepath.Join(to, f.Name)
			// cp keeps the times, which make compares.
			if err := j.Run(ctx, job.Command{Args: []string{"cp", "-a", dir, top}}); err != nil {
				return Tree{}, fmt.Errorf("copy source tree: %w", err)
			}
			return Tree{Top: top}, nil
		},
	}, nil
}

// HashTree hashes names, permission bits, links and contents of everything below dir, in order.
func HashTree(ctx context.Context, dir string) (string, error) {
	h := sha256.New()
	err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		rel, err := filepath.Rel(dir, p)
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		fmt.Fprintf(h, "%q %v %d\n", rel, info.Mode(), sizeOf(info))
		switch info.Mode().Type() {
		case fs.ModeSymlink:
			link, err := os.Readlink(p)
			fmt.Fprintf(h, "%q\n", link)
			return err
		case 0:
			return copyInto(h, p)
		case fs.ModeDir:
			return nil
		}
		return fmt.Errorf("%s is a %v: a source tree holds files, directories and links", p, info.Mode().Type())
	})
	if err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// sizeOf is 0 for anything but a file: a directory's size depends on the file system.
func sizeOf(info fs.FileInfo) int64 {
	if info.Mode().IsRegular() {
		return info.Size()
	}
	return 0
}

func copyInto(w io.Writer, path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = io.Copy(w, f)
	return err
}
