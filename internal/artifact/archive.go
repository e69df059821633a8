package artifact

import (
	"archive/tar"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"time"

	"github.com/klauspost/compress/zstd"
)

// The exported form of an artifact: one zstd frame with a checksum, in it a tar with manifest.json
// first and then the manifest's files in its order below tree/, as they lie in the store. Nothing in
// it depends on when, where or by whom it was made: no times, no owners, and no Built.
const (
	// window is how far zstd looks back; a reader has to hold as much. 8 MiB is what RFC 8878
	// (3.1.1.1.2) recommends every decoder to take.
	window = 8 << 20
	// maxHeader is what one entry may take beside its content: a header, and the records for a long
	// name and a long link, each with a header of its own.
	maxHeader = 8 << 10
	block     = 512
	// trailer is what ends a tar: two blocks of zeros.
	trailer = 2 * block
)

// epoch is the modification time of every entry.
func epoch() time.Time { return time.Unix(0, 0) }

// header is the one that the file has in an archive.
func (f File) header() *tar.Header {
	h := &tar.Header{
		Typeflag: tar.TypeReg, Name: treeName + "/" + f.Path, Linkname: f.Link,
		Size: f.Size, Mode: int64(f.Mode), ModTime: epoch(),
	}
	switch {
	case f.Link != "":
		h.Typeflag = tar.TypeSymlink
	case f.isDir():
		h.Typeflag = tar.TypeDir
		h.Name += "/"
	}
	return h
}

func manifestHeader(size int64) *tar.Header {
	return &tar.Header{Typeflag: tar.TypeReg, Name: manifestName, Size: size, Mode: 0o644, ModTime: epoch()}
}

// newEncoder compresses the same bytes always to the same: one goroutine, one level. A debug build of
// nginx gets 5 % smaller at the next level, in three times the time.
func newEncoder(w io.Writer) (*zstd.Encoder, error) {
	return zstd.NewWriter(w, zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(zstd.SpeedBetterCompression),
		zstd.WithWindowSize(window), zstd.WithEncoderCRC(true), zstd.WithZeroFrames(true))
}

func newDecoder(r io.Reader) (*zstd.Decoder, error) {
	return zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
		zstd.WithDecoderMaxWindow(window), zstd.WithDecoderMaxMemory(window))
}

// checkHeader applies the rules to one entry, whatever comes in it: a type that a tree may have, and
// nothing but what header writes.
func checkHeader(h *tar.Header) error {
	name := h.Name
	if err := checkTarType(h); err != nil {
		return err
	}
	if mode := h.FileInfo().Mode(); h.Mode&^int64(fs.ModePerm) != 0 {
		return refuse(name, RuleMode, "%v (%#o): set-user-ID, set-group-ID, sticky and unknown bits", mode, h.Mode)
	}
	for record := range h.PAXRecords {
		if record != "path" && record != "linkpath" {
			return refuse(name, RuleAttributes, "it has the attribute %s", printable(record))
		}
	}
	switch {
	case h.Uid != 0 || h.Gid != 0 || h.Uname != "" || h.Gname != "":
		return refuse(name, RuleAttributes, "it has an owner (%d:%d %s)", h.Uid, h.Gid, printable(h.Uname+":"+h.Gname))
	case !h.ModTime.Equal(epoch()) || !h.AccessTime.IsZero() || !h.ChangeTime.IsZero():
		return refuse(name, RuleAttributes, "it has a time")
	case h.Devmajor != 0 || h.Devminor != 0:
		return refuse(name, RuleAttributes, "it has a device number")
	case h.Size < 0 || h.Size > maxFile:
		return refuse(name, RuleSize, "it has %d bytes, %d are allowed", h.Size, maxFile)
	case h.Typeflag != tar.TypeReg && h.Size != 0:
		return refuse(name, RuleType, "it has content and is no file")
	case h.Typeflag != tar.TypeSymlink && h.Linkname != "":
		return refuse(name, RuleType, "it leads elsewhere and is no link")
	}
	return nil
}

func checkTarType(h *tar.Header) error {
	what := ""
	switch h.Typeflag {
	case tar.TypeReg, tar.TypeDir, tar.TypeSymlink:
		return nil
	case tar.TypeLink:
		what = "a hard link"
	case tar.TypeChar, tar.TypeBlock:
		what = "a device"
	case tar.TypeFifo:
		what = "a fifo"
	case tar.TypeGNUSparse:
		what = "a sparse file"
	case tar.TypeXGlobalHeader:
		what = "a global header"
	default:
		what = fmt.Sprintf("of type %q", h.Typeflag)
	}
	return refuse(h.Name, RuleType, "it is %s: only files, directories and symbolic links are kept", what)
}

// treePath is the path in the tree of an entry that is not the manifest.
func treePath(h *tar.Header) (string, error) {
	name := h.Name
	if h.Typeflag == tar.TypeDir {
		name = strings.TrimSuffix(name, "/")
	}
	rest, below := strings.CutPrefix(name, treeName+"/")
	if below {
		name = rest
	}
	if err := checkName(h.Name, name); err != nil {
		return "", err
	}
	if !below {
		return "", refuse(h.Name, RuleName, "it lies outside of %s/", treeName)
	}
	return rest, nil
}
