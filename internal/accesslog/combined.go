package accesslog

import (
	"bytes"
	"slices"
)

// Most formats begin as nginx's own does. What is the same for all of them is read in one go.

// beginsCombined tells whether a format begins with combined, up to its last quote, and nothing behind tells
// better what that does.
func (f *Format) beginsCombined() bool {
	n := len(combinedOps)
	if len(f.ops) < n || f.quote != quoteHex {
		return false
	}
	same := func(a, b op) bool {
		return string(a.literal) == string(b.literal) && a.name == b.name && a.read == b.read
	}
	last := f.ops[n-1].literal
	return slices.EqualFunc(f.ops[:n-1], combinedOps[:n-1], same) && len(last) > 0 && last[0] == '"'
}

// combinedOps are those of the format combined.
var combinedOps = func() []op {
	f := &Format{}
	if err := f.split(combined); err != nil {
		panic(err) // a constant
	}
	f.assign()
	return f.ops
}()

var (
	noUser    = newLiteral([]byte(" - - ["))
	someUser  = step{behind: newLiteral([]byte(" - ")), stop: space}
	userEnd   = step{behind: newLiteral([]byte(" [")), stop: space}
	timeEnd   = newLiteral([]byte(`] "`))
	nextQuote = newLiteral([]byte(`" "`))
)

// combined reads a line of the format combined up to its last quote, and tells how long that is; -1 if
// it cannot tell for sure.
func (c *clock) combined(line []byte, r *Record) int {
	if len(line) < 80 {
		return -1
	}
	at := 0
	for {
		word := load(line[at:])
		marks := match(word, space) | match(word, quote)
		at += first(marks)
		if marks != 0 {
			break
		}
		if at > len(line)-64 {
			return -1
		}
	}
	if load(line[at:])&noUser.mask == noUser.word {
		at += len(noUser.text)
	} else {
		n := someUser.untilStop(line)
		if n < 0 {
			return -1
		}
		at = n + len(someUser.behind.text)
		if n = userEnd.untilStop(line[at:]); n < 0 {
			return -1
		}
		at += n + len(userEnd.behind.text)
	}

	if len(line)-at < localLen+16 {
		return -1
	}
	if s := line[at : at+localLen]; c.local.same(s, localLen) {
		r.Time = c.local.unix
	} else if c.readLocal(s, readTimeLocal, r) < 0 {
		return -1
	}
	at += localLen
	if load(line[at:])&timeEnd.mask != timeEnd.word {
		return -1
	}
	at += len(timeEnd.text)

	n := bytes.IndexByte(line[at:], '"')
	if n < 0 {
		return -1
	}
	r.URI = pathOfRequest(line[at : at+n : at+n])
	at += n

	// `" 200 5316 "`
	rest := line[at:]
	if len(rest) < 24 {
		return -1
	}
	word := load(rest)
	if word&0x0000ff000000ffff != 0x0000_20_000000_20_22 || nonDigits(word>>16)&0x808080 != 0 {
		return -1
	}
	r.Status = int(word>>16&0xf)*100 + int(word>>24&0xf)*10 + int(word>>32&0xf)
	sent := load(rest[6:])
	if n = first(nonDigits(sent)); n == 0 || n == 8 {
		return -1
	}
	r.Bytes = int64(number8(sent, n))
	if rest[6+n] != ' ' || rest[7+n] != '"' {
		return -1
	}
	at += n + 8

	if n = bytes.IndexByte(line[at:], '"'); n < 0 {
		return -1
	}
	at += n
	if len(line)-at < 8 || load(line[at:])&nextQuote.mask != nextQuote.word {
		return -1
	}
	at += len(nextQuote.text)
	if n = bytes.IndexByte(line[at:], '"'); n < 0 {
		return -1
	}
	r.UserAgent = line[at : at+n : at+n]
	return at + n
}
