package accesslog

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
)

// Counts sums up lines of an access log.
type Counts struct {
	Total     int64 `json:"total"` // lines that were understood
	Errors5xx int64 `json:"errors_5xx"`
	Malformed int64 `json:"malformed"` // lines that none of the formats has written
}

// Tail counts the whole lines within the last maxBytes bytes of a file. A missing file has none.
func Tail(path string, formats Formats, maxBytes int64) (Counts, error) {
	var c Counts
	var r Record
	err := TailLines(path, maxBytes, func(line []byte) {
		switch {
		case !formats.Parse(line, &r):
			c.Malformed++
			return
		case r.Is5xx():
			c.Errors5xx++
		}
		c.Total++
	})
	return c, err
}

// TailLines calls fn with each whole line within the last maxBytes bytes of a file. The line is
// only valid until fn returns; one longer than 64 KiB is cut. A missing file has no lines.
func TailLines(path string, maxBytes int64, fn func(line []byte)) error {
	file, err := openLog(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read the end of a log: %w", err)
	}
	defer file.Close()
	st, err := file.Stat()
	if err != nil {
		return fmt.Errorf("read the end of a log: %w", err)
	}
	// One byte more shows whether the first line is whole.
	from := max(st.Size()-maxBytes-1, 0)
	in := bufio.NewReader(io.NewSectionReader(file, from, st.Size()-from))
	if from > 0 {
		if err := skipLine(in); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return fmt.Errorf("read the end of %s: %w", path, err)
		}
	}
	var lines splitter
	buf := make([]byte, readSize)
	for {
		n, err := in.Read(buf)
		lines.write(buf[:n], fn)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read the end of %s: %w", path, err)
		}
	}
}

func skipLine(in *bufio.Reader) error {
	for {
		_, err := in.ReadSlice('\n')
		if !errors.Is(err, bufio.ErrBufferFull) {
			return err
		}
	}
}
