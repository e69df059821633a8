package accesslog

import "bytes"

// literal is text of the format. Its beginning is compared as words.
type literal struct {
	text       []byte
	word, mask uint64 // the first 8 bytes
	last       uint64 // the last 8, of 9 to 16
	long       bool   // more than 8
}

func newLiteral(text []byte) literal {
	l := literal{text: text, long: len(text) > 8}
	var word, mask [8]byte
	copy(word[:], text)
	for i := range min(len(text), len(mask)) {
		mask[i] = 0xff
	}
	l.word, l.mask = load(word[:]), load(mask[:])
	if l.long {
		l.last = load(text[len(text)-8:])
	}
	return l
}

// begins tells whether s begins with the literal.
func (l *literal) begins(s []byte) bool {
	if l.long || len(s) < 8 {
		return l.slowly(s)
	}
	return load(s)&l.mask == l.word
}

func (l *literal) slowly(s []byte) bool {
	n := len(l.text)
	if n <= 8 || n > 16 || len(s) < n {
		return bytes.HasPrefix(s, l.text)
	}
	return load(s) == l.word && load(s[n-8:]) == l.last
}
