package accesslog

import "bytes"

// Quotes and line breaks are found for a window of many lines at once: then nothing in a line has to wait
// until what stands before it has been found.

// markWindow is how many bytes that is.
const markWindow = 32 << 10

// marks is the room for places of quotes and line breaks, with some that findMarks writes beyond the last.
type marks [markWindow + 16]uint32

// placesOf writes the places of quotes and line breaks from an offset on, behind the n that are in out, and
// tells how many there are then.
func placesOf(data []byte, from int, out []uint32, n int) int {
	for i, c := range data[from:] {
		if c == '"' || c == '\n' {
			out[n] = uint32(from + i)
			n++
		}
	}
	return n
}

// quotes are where the quotes of a line are.
type quotes struct {
	places []uint32 // from the window's beginning
	base   int      // the line's
	known  bool     // else they are looked for
}

// after is how far behind at the next quote is; -1 if there is none.
func (q *quotes) after(at int, rest []byte) int {
	if !q.known {
		return bytes.IndexByte(rest, '"')
	}
	at += q.base
	for len(q.places) > 0 && int(q.places[0]) < at {
		q.places = q.places[1:]
	}
	if len(q.places) == 0 {
		return -1
	}
	return int(q.places[0]) - at
}
