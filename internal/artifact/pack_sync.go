package artifact

import (
	"io/fs"
	"path/filepath"

	"graft/internal/durable"
)

// syncDirs fsyncs dir and every directory below it.
func syncDirs(dir string) error {
	return filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil || !d.IsDir() {
			return err
		}
		return durable.SyncDir(p)
	})
}
