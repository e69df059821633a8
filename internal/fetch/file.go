package fetch

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"

	"graft/internal/durable"
)

// File downloads r.URL and returns where the whole file lies: under its name only when it is complete,
// has the SHA-256 asked for, and is on the disk. What an earlier run began, even one that was killed,
// is gone on with if the server says that the file is still the same; otherwise it starts anew.
// Several processes may ask for the same file at once.
//
// A file that is already there is kept if it has the SHA-256 asked for, or if none is asked for and the
// server says that it has not changed.
//
// Errors: *StatusError, *SumError, ErrTooLarge, ErrRedirect, ctx's cause.
func File(ctx context.Context, r Request) (string, error) {
	r, u, err := r.prepared()
	if err != nil {
		return "", err
	}
	path, err := fetchFile(ctx, r, u)
	if err != nil {
		return "", fmt.Errorf("download %s: %w", u.Redacted(), err)
	}
	return path, nil
}

func fetchFile(ctx context.Context, r Request, u *url.URL) (path string, err error) {
	if err := durable.MkdirAll(r.Dir, 0o755); err != nil {
		return "", err
	}
	held, err := lock(ctx, filepath.Join(r.Dir, "."+r.Name+".lock"), r.Log)
	if err != nil {
		return "", err
	}
	defer held.Close()

	d := &download{Request: r, url: u, path: filepath.Join(r.Dir, r.Name)}
	if done, err := d.lookAround(ctx); done || err != nil {
		return d.path, err
	}
	if d.part, err = openRegular(d.path + partSuffix); err != nil {
		return "", err
	}
	defer d.part.Close()
	if err := d.goOn(); err != nil {
		return "", err
	}
	d.client = newClient(r.Settings)
	defer d.client.CloseIdleConnections()
	if err := d.run(ctx); err != nil {
		if d.size == 0 {
			return "", errors.Join(err, d.drop())
		}
		if d.canGoOn() {
			err = fmt.Errorf("%w; the next run goes on after the %d bytes that are here", err, d.size)
		}
		return "", err
	}
	return d.path, nil
}

// download is one call of File, while it holds the lock.
type download struct {
	Request
	url    *url.URL
	path   string // of the whole file
	client *http.Client

	part     *os.File
	record   record // of part
	size     int64  // of part
	reached  int64  // the largest size so far
	stitched bool   // part holds bytes of several answers

	kept      record // of the file that already lies at path, if it may be kept
	unchanged bool   // the server said that the kept one is what it has
}

// lookAround is done when the file is there already; if only the server can tell, it notes what to ask.
func (d *download) lookAround(ctx context.Context) (done bool, err error) {
	info, err := os.Lstat(d.path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	if !info.Mode().IsRegular() {
		return false, fmt.Errorf("%s is in the way and is not a regular file; remove it", d.path)
	}
	kept, err := loadRecord(d.path+recordSuffix, d.url.Redacted())
	if err != nil {
		return false, err
	}
	if d.SHA256 == "" && (kept.validator() == "" || kept.SHA256 == "") {
		return false, nil
	}
	sum, err := sumFile(ctx, d.path)
	if err != nil {
		return false, err
	}
	if d.SHA256 != "" {
		return sum == d.SHA256, nil
	}
	if sum == kept.SHA256 {
		d.kept = kept
	}
	return false, nil
}

// goOn takes up what lies in part.
func (d *download) goOn() error {
	info, err := d.part.Stat()
	if err != nil {
		return err
	}
	d.size = info.Size()
	d.record, err = loadRecord(d.path+partSuffix+recordSuffix, d.url.Redacted())
	if err != nil {
		return err
	}
	if d.size > 0 && (!d.canGoOn() || d.record.Length >= 0 && d.size > d.record.Length || d.size > d.MaxBytes) {
		if err := d.startAnew(); err != nil {
			return err
		}
	}
	if _, err := d.part.Seek(d.size, io.SeekStart); err != nil {
		return err
	}
	d.reached, d.stitched = d.size, d.size > 0
	return nil
}

// canGoOn tells whether part can be completed, and what comes be known to belong to it.
func (d *download) canGoOn() bool {
	known := d.record.validator() != "" || d.SHA256 != "" && d.record.URL != ""
	// What was written before a power loss may never have reached the disk, though the file is as long.
	return known && d.record.Boot == bootID() && d.record.Boot != ""
}

// startAnew forgets what was downloaded.
func (d *download) startAnew() error {
	if err := d.part.Truncate(0); err != nil {
		return err
	}
	if _, err := d.part.Seek(0, io.SeekStart); err != nil {
		return err
	}
	d.size, d.record, d.stitched = 0, record{}, false
	return nil
}

// run downloads what is missing and puts the file in its place.
func (d *download) run(ctx context.Context) error {
	for again := false; ; again = true {
		if err := retry(ctx, d.Settings, d.url, func() (bool, error) { return d.attempt(ctx) }); err != nil {
			return err
		}
		if d.unchanged {
			return d.drop()
		}
		stitched := d.stitched
		err := d.finish(ctx)
		if _, wrong := errors.AsType[*SumError](err); !wrong {
			return err
		}
		if !stitched || again {
			return errors.Join(err, d.drop())
		}
		// A server whose validator lies makes one file of two.
		d.Log.Warn("the parts do not make the file that is meant, starting anew", "url", d.url.Redacted())
		if err := d.startAnew(); err != nil {
			return err
		}
	}
}

// finish makes the complete part the file.
func (d *download) finish(ctx context.Context) error {
	sum, err := sumFile(ctx, d.part.Name())
	if err != nil {
		return err
	}
	if d.SHA256 != "" && sum != d.SHA256 {
		return &SumError{What: d.url.Redacted(), Want: d.SHA256, Got: sum}
	}
	if err := d.part.Sync(); err != nil {
		return fmt.Errorf("write %s: %w", d.part.Name(), err)
	}
	if err := os.Rename(d.part.Name(), d.path); err != nil {
		return err
	}
	if err := durable.SyncDir(d.Dir); err != nil {
		return err
	}
	whole := d.record
	whole.Length, whole.SHA256, whole.Boot = d.size, sum, ""
	if err := whole.save(d.path + recordSuffix); err != nil {
		return err
	}
	return d.drop()
}

// drop removes what is only of use while the download lasts, and what a crash may have left.
func (d *download) drop() error {
	files := []string{d.path + partSuffix, d.path + partSuffix + recordSuffix}
	for _, path := range []string{d.path + recordSuffix, d.path + partSuffix + recordSuffix} {
		left, err := durable.Leftovers(path)
		if err != nil {
			return err
		}
		files = append(files, left...)
	}
	return removeAll(files...)
}

// removeAll removes the files that are there.
func removeAll(paths ...string) error {
	var errs []error
	for _, path := range paths {
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// sumFile returns a file's SHA-256 in hexadecimal.
func sumFile(ctx context.Context, path string) (string, error) {
	h := sha256.New()
	if err := readInto(ctx, h, path); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// readInto writes what the file at path holds to w, and stops when ctx ends.
func readInto(ctx context.Context, w io.Writer, path string) error {
	f, err := openToRead(path)
	if err != nil {
		return err
	}
	defer f.Close()
	for {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if _, err := io.CopyN(w, f, 1<<20); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return fmt.Errorf("read %s: %w", path, err)
		}
	}
}
