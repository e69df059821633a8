package artifact

import (
	"bufio"
	"bytes"
	"errors"
	"io"
)

// frame passes on exactly one zstd frame and then ends. Decoders go on to further frames and pass over
// skippable ones, in which anything could ride along. (RFC 8878, 3.1.1.)
type frame struct {
	r        *bufio.Reader
	head     []byte // read, not yet passed on
	left     int    // bytes of the block, or of the checksum, to pass on
	began    bool
	last     bool // the block is the last one
	checksum bool // one follows the last block
	done     bool
	cut      bool // it ended too early
}

func newFrame(r io.Reader) *frame { return &frame{r: bufio.NewReaderSize(r, 64<<10)} }

// Read is io.Reader's; a frame that ends early is io.ErrUnexpectedEOF, or a *RefusedError.
func (f *frame) Read(p []byte) (int, error) {
	for len(f.head) == 0 && f.left == 0 {
		if f.done {
			return 0, io.EOF
		}
		if err := f.advance(); err != nil {
			return 0, err
		}
	}
	if len(f.head) > 0 {
		n := copy(p, f.head)
		f.head = f.head[n:]
		return n, nil
	}
	n, err := f.r.Read(p[:min(len(p), f.left)])
	f.left -= n
	if errors.Is(err, io.EOF) && n == 0 {
		f.cut = true
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

// advance reads the next header: the frame's, a block's, or none if the checksum is next.
func (f *frame) advance() error {
	switch {
	case !f.began:
		return f.begin()
	case f.last && f.checksum:
		f.checksum, f.left = false, 4
		return nil
	case f.last:
		f.done = true
		return nil
	}
	f.head = make([]byte, 3)
	if err := f.fill(f.head); err != nil {
		return err
	}
	header := uint(f.head[0]) | uint(f.head[1])<<8 | uint(f.head[2])<<16
	f.last = header&1 != 0
	switch header >> 1 & 3 {
	case 1: // one byte, repeated
		f.left = 1
	case 3:
		return refuse("archive", RuleArchive, "a zstd block of an unknown type")
	default:
		f.left = int(header >> 3)
	}
	return nil
}

// begin reads the frame's header: magic number, descriptor, and what the descriptor announces.
func (f *frame) begin() error {
	f.began = true
	head := make([]byte, 5)
	if err := f.fill(head); err != nil {
		return err
	}
	if !bytes.Equal(head[:4], []byte{0x28, 0xb5, 0x2f, 0xfd}) {
		return refuse("archive", RuleArchive, "it is not a file that graft artifact export wrote: no zstd frame at its beginning")
	}
	descriptor := head[4]
	f.checksum = descriptor&4 != 0
	if !f.checksum || descriptor&3 != 0 {
		return refuse("archive", RuleArchive, "its zstd frame has no checksum, or asks for a dictionary")
	}
	single := descriptor&0x20 != 0
	more := []int{0, 2, 4, 8}[descriptor>>6] // bytes of the content size
	if single && more == 0 {
		more = 1
	}
	if !single {
		more++ // the window descriptor
	}
	f.head = append(head, make([]byte, more)...)
	return f.fill(f.head[len(head):])
}

func (f *frame) fill(p []byte) error {
	_, err := io.ReadFull(f.r, p)
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		f.cut = true
		return io.ErrUnexpectedEOF
	}
	return err
}

// checkEnd demands that nothing follows the frame. The frame has to be read to its end.
func (f *frame) checkEnd() error {
	_, err := f.r.ReadByte()
	if errors.Is(err, io.EOF) {
		return nil
	}
	if err != nil {
		return err
	}
	return refuse("archive", RuleArchive, "something follows its end")
}
