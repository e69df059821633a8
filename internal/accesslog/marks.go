package accesslog

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

// quotes are where the quotes of a line are, in a window; none: they have to be looked for.
type quotes struct {
	places []uint32 // from the window's beginning
	base   int      // the line's
}

// skip is the number of the first quote from n on that is not before at.
func (q *quotes) skip(n, at int) int {
	for n < len(q.places) && int(q.places[n])-q.base < at {
		n++
	}
	return n
}
