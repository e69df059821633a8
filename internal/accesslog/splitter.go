package accesslog

import "bytes"

const (
	// maxLine bounds what is kept of a line. nginx cuts its own error lines at 2 KiB; only access
	// lines with large variables ($request_body) come near.
	maxLine  = 64 << 10
	readSize = 128 << 10 // more than maxLine
)

// splitter puts lines together from pieces.
type splitter struct {
	part []byte // of a line whose end has not come, at most maxLine
}

// write takes the next bytes of the file and calls fn with each line that ends in them.
func (s *splitter) write(data []byte, fn func(line []byte)) {
	for len(data) > 0 {
		end := bytes.IndexByte(data, '\n')
		if end < 0 {
			s.keep(data)
			return
		}
		line := data[:end]
		if len(s.part) > 0 {
			s.keep(line)
			line = s.part
		}
		fn(line[:min(len(line), maxLine)])
		s.part = s.part[:0]
		data = data[end+1:]
	}
}

func (s *splitter) keep(data []byte) {
	s.part = append(s.part, data[:min(len(data), maxLine-len(s.part))]...)
}
