package artifact

import (
	"archive/tar"
	"errors"
	"io"

	"github.com/klauspost/compress/zstd"
)

// opened is an archive that is being read: source → frame → decoder → counter → tar.
type opened struct {
	source  *source
	frame   *frame
	decoder *zstd.Decoder
	counter *counter
	tar     *tar.Reader
}

func openArchive(r io.Reader) (*opened, error) {
	o := &opened{source: &source{r: r}}
	o.frame = newFrame(o.source)
	var err error
	if o.decoder, err = newDecoder(o.frame); err != nil {
		return o, err
	}
	o.counter = &counter{r: o.decoder, left: maxManifest + maxHeader}
	o.tar = tar.NewReader(o.counter)
	return o, nil
}

// allow raises what may be read to what an archive with the manifest can have.
func (o *opened) allow(m Manifest) {
	for _, f := range m.Files {
		o.counter.left += f.Size + maxHeader
	}
	o.counter.left += trailer
}

// checkEnd demands that the tar ended as it should, right after its last entry, and that nothing follows,
// neither in the compressed data nor behind it.
func (o *opened) checkEnd() error {
	content := (o.counter.n + block - 1) / block * block
	switch h, err := o.tar.Next(); {
	case err == nil:
		return refuse(h.Name, RuleListed, "it is not in the manifest, or was there before")
	case !errors.Is(err, io.EOF):
		return err
	}
	if o.counter.n != content+trailer {
		return refuse("archive", RuleArchive, "its tar has no end: it is cut short")
	}
	if n, err := io.ReadFull(o.decoder, make([]byte, 1)); n > 0 {
		return refuse("archive", RuleArchive, "something follows the end of its tar")
	} else if !errors.Is(err, io.EOF) {
		return err
	}
	return o.frame.checkEnd()
}

// explain tells what reading the archive ran into: a rule that it breaks, or what is no fault of the
// archive, such as a disk's error or a context that is done, as it is.
func (o *opened) explain(err error) error {
	var refused *RefusedError
	var local *localError
	switch {
	case err == nil, errors.As(err, &refused):
		return err
	case errors.As(err, &local):
		return local.err
	case o.source.err != nil:
		return o.source.err
	case o.frame.cut:
		return refuse("archive", RuleArchive, "it is cut short")
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return refuse("archive", RuleArchive, "what it holds is cut short")
	case errors.Is(err, zstd.ErrWindowSizeExceeded), errors.Is(err, zstd.ErrDecoderSizeExceeded):
		return refuse("archive", RuleSize, "its zstd window is larger than %d bytes", window)
	}
	return &RefusedError{Entry: "archive", Rule: RuleArchive, Why: "it is damaged", Err: err}
}

// source keeps the error that ended the reading of what was given, to tell it from one in its content.
type source struct {
	r   io.Reader
	err error
}

func (s *source) Read(p []byte) (int, error) {
	n, err := s.r.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		s.err = err
	}
	return n, err
}

// localError is one of writing on this host.
type localError struct{ err error }

func (e *localError) Error() string { return e.err.Error() }

func (e *localError) Unwrap() error { return e.err }

// counter counts what was read, and refuses to read more than an archive of this manifest can have.
type counter struct {
	r       io.Reader
	n, left int64
}

func (c *counter) Read(p []byte) (int, error) {
	if c.left <= 0 {
		return 0, refuse("archive", RuleSize, "it holds more than its manifest lists")
	}
	n, err := c.r.Read(p[:min(int64(len(p)), c.left)])
	c.n += int64(n)
	c.left -= int64(n)
	return n, err
}
