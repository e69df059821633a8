package accesslog

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"

	"graft/internal/procfs"
)

// Position is where a [Follower] goes on. It is a plain value for JSON: whoever counts lines stores it
// together with the counts, in one durable write, and after a crash counts nothing twice. Offsets are
// always those of the beginnings of lines. The zero value is the beginning of whatever file comes to be
// at the path.
type Position struct {
	FilePosition // in the file at the path
	// Rotated are the files that were at the path before and are still read, oldest first.
	Rotated []FilePosition `json:"rotated,omitempty"`
	// Newest is when the newest file was created that was taken up: younger ones are news.
	Newest int64 `json:"newest,omitempty"`
	// Past are the heads of what copytruncate has put elsewhere, so that it is not taken for news.
	Past []Head `json:"past,omitempty"`
}

// FilePosition is a place in one file, which outlives a rename of it.
type FilePosition struct {
	procfs.FileID
	Offset int64 `json:"offset"` // of the first byte not yet handed over
	Head   Head  `json:"head,omitzero"`
	Born   int64 `json:"born,omitempty"` // when the file was created, Unix nanoseconds; 0: not told
}

// headSize is how much of a file's beginning tells it from others: some five lines with their times.
const headSize = 1 << 10

// Head is a fingerprint of a file's first bytes. An inode alone does not tell a file: its number is used
// again as soon as it is free, and copytruncate puts another log into the same one. The zero value
// fits every file.
type Head struct {
	Size int    `json:"size"` // bytes, at most 1,024 and at most the offset
	Sum  string `json:"sum"`  // the first half of their SHA-256, in hex
}

func headOf(data []byte) Head {
	data = data[:min(len(data), headSize)]
	if len(data) == 0 {
		return Head{}
	}
	sum := sha256.Sum256(data)
	return Head{len(data), hex.EncodeToString(sum[:len(sum)/2])}
}

// fits tells whether a file that begins with data may be the one of this head.
func (h Head) fits(data []byte) bool {
	return len(data) >= h.Size && headOf(data[:h.Size]) == h
}

// wholeLines is the length of the lines in data that are complete.
func wholeLines(data []byte) int { return bytes.LastIndexByte(data, '\n') + 1 }
