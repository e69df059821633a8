package sketch

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
)

// AppendSparse writes the buckets that are not empty: of each the distance from the one before and its
// count, as varints. Ten seconds of a busy host are some hundred bytes.
func (s *Sketch) AppendSparse(b []byte) []byte {
	if s.total == 0 {
		return b
	}
	last := -1
	for begin := 0; begin < buckets; begin += 8 {
		if l := (*[8]uint32)(s.low[begin:]); s.high == nil && l[0]|l[1]|l[2]|l[3]|l[4]|l[5]|l[6]|l[7] == 0 {
			continue // most buckets of a short time are empty
		}
		for i := begin; i < begin+8; i++ {
			if n := s.at(i); n > 0 {
				b = binary.AppendUvarint(b, uint64(i-last))
				b = binary.AppendUvarint(b, n)
				last = i
			}
		}
	}
	return b
}

var errSparse = errors.New("not a sketch's sparse form")

// eachSparse calls fn with every bucket of a sparse form.
func eachSparse(b []byte, fn func(i int, n uint64)) error {
	for i := -1; len(b) > 0; {
		step, k := binary.Uvarint(b)
		if k <= 0 || step == 0 || step >= uint64(buckets-i) {
			return errSparse
		}
		b, i = b[k:], i+int(step)
		n, k := binary.Uvarint(b)
		if k <= 0 || n == 0 || n > 1<<62 {
			return errSparse
		}
		b = b[k:]
		fn(i, n)
	}
	return nil
}

// MergeSparse adds what [Sketch.AppendSparse] wrote. After an error the sketch is as it was.
func (s *Sketch) MergeSparse(b []byte) error {
	if err := eachSparse(b, func(int, uint64) {}); err != nil {
		return fmt.Errorf("merge sketch: %w", err)
	}
	return eachSparse(b, s.addN)
}

// CountAboveSparse is [Sketch.CountAbove] of a sparse form, and the count of all; 0 of what is none.
func CountAboveSparse(b []byte, ms int32) (above, all int64) {
	limit := bucket(ms)
	err := eachSparse(b, func(i int, n uint64) {
		all += int64(n)
		if i > limit {
			above += int64(n)
		}
	})
	if err != nil {
		return 0, 0
	}
	return above, all
}

// MarshalJSON writes pairs of a bucket's shortest duration in ms and its count.
func (s *Sketch) MarshalJSON() ([]byte, error) {
	pairs := [][2]uint64{}
	for i := range s.low {
		if n := s.at(i); n > 0 {
			pairs = append(pairs, [2]uint64{uint64(lowest(i)), n})
		}
	}
	return json.Marshal(pairs)
}

// UnmarshalJSON reads what MarshalJSON wrote.
func (s *Sketch) UnmarshalJSON(text []byte) error {
	var pairs [][2]uint64
	if err := json.Unmarshal(text, &pairs); err != nil {
		return fmt.Errorf("read sketch: %w", err)
	}
	s.Reset()
	for _, p := range pairs {
		if p[0] >= Limit || p[1] > 1<<62 || int32(p[0]) != lowest(bucket(int32(p[0]))) {
			return fmt.Errorf("read sketch: [%d,%d] is no bucket's start and count", p[0], p[1])
		}
		s.addN(bucket(int32(p[0])), p[1])
	}
	return nil
}
