package accesslog

import "bytes"

// literal is text of the format. It is compared in words.
type literal struct {
	text       []byte
	word, mask uint64 // the first 8 bytes
	long       bool   // more than 8
	middle     []uint64
	last       uint64 // the last 8, if it is long
	quotes     int
}

func newLiteral(text []byte) literal {
	l := literal{text: text, long: len(text) > 8, quotes: bytes.Count(text, []byte{'"'})}
	var word, mask [8]byte
	copy(word[:], text)
	for i := range min(len(text), len(mask)) {
		mask[i] = 0xff
	}
	l.word, l.mask = load(word[:]), load(mask[:])
	if l.long {
		for at := 8; at+8 < len(text); at += 8 {
			l.middle = append(l.middle, load(text[at:]))
		}
		l.last = load(text[len(text)-8:])
	}
	return l
}

// begins tells whether s begins with the literal.
func (l *literal) begins(s []byte) bool {
	if l.long {
		return l.beginsLong(s)
	}
	if len(s) < 8 {
		return bytes.HasPrefix(s, l.text)
	}
	return load(s)&l.mask == l.word
}

func (l *literal) beginsLong(s []byte) bool {
	n := len(l.text)
	if len(s) < n || load(s) != l.word || load(s[n-8:]) != l.last {
		return false
	}
	for _, word := range l.middle {
		s = s[8:]
		if load(s) != word {
			return false
		}
	}
	return true
}
