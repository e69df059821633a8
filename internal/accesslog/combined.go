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
	noUser   = newLiteral([]byte(" - - ["))
	someUser = step{behind: newLiteral([]byte(" - ")), stop: space}
	userEnd  = step{behind: newLiteral([]byte(" [")), stop: space}
	timeEnd  = newLiteral([]byte(`] "`))
)

// behindAddr is how long what stands between the client's address and the request is, if no user is named.
const behindAddr = len(` - - [25/Nov/2026:00:46:12 +0000] `)

// combined reads a line of the format combined up to its last quote, and tells how long that is; -1 if
// it cannot tell for sure. Such a line has six quotes, and all else stands at places that they give.
func (c *clock) combined(line []byte, q quotes, r *Record) int {
	var found combinedQuotes
	at := &found
	if len(q.places) >= len(found) {
		at = (*combinedQuotes)(q.places)
	} else if !q.six(line, at) {
		return -1
	}
	request, requestEnd, referer := int(at[0])-q.base, int(at[1])-q.base, int(at[2])-q.base
	if request < behindAddr || len(line)-requestEnd < 24 {
		return -1
	}
	if addr := request - behindAddr; load(line[addr:])&noUser.mask != noUser.word || !noSpace(line, addr) {
		if !namesUser(line[:request]) {
			return -1
		}
	}
	from := request - localLen - 2
	if load(line[request-2:])&timeEnd.mask != timeEnd.word {
		return -1
	}
	if stamp := line[from : from+localLen]; c.local.same(stamp, localLen) {
		r.Time = c.local.unix
	} else if c.readLocal(stamp, readTimeLocal, r) < 0 {
		return -1
	}
	r.Request = line[request+1 : requestEnd : requestEnd]

	// `" 200 5316 "`, as far as the size.
	word := load(line[requestEnd:])
	if word&0x0000ff000000ffff != 0x0000_20_000000_20_22 || nonDigits(word>>16)&0x808080 != 0 {
		return -1
	}
	r.Status = int(word>>16&0xf)*100 + int(word>>24&0xf)*10 + int(word>>32&0xf)
	from = requestEnd + len(`" 200 `)
	sent := load(line[from:])
	n := first(nonDigits(sent))
	if n == 0 || n == 8 || byte(sent>>(uint(8*n)&63)) != ' ' || referer != from+n+1 {
		return -1
	}
	r.Bytes = int64(number8(sent, n))

	refererEnd, agent, agentEnd := int(at[3])-q.base, int(at[4])-q.base, int(at[5])-q.base
	if agent != refererEnd+2 || line[refererEnd+1] != ' ' {
		return -1
	}
	r.UserAgent = line[agent+1 : agentEnd : agentEnd]
	return agentEnd
}

// combinedQuotes are where the quotes of such a line are.
type combinedQuotes [6]uint32

// six looks for the first six quotes.
func (q quotes) six(line []byte, found *combinedQuotes) bool {
	from := 0
	for i := range found {
		n := bytes.IndexByte(line[from:], '"')
		if n < 0 {
			return false
		}
		found[i] = uint32(q.base + from + n)
		from += n + 1
	}
	return true
}

// noSpace tells whether there is no space in the first n bytes, but one behind; 16 bytes follow those.
func noSpace(line []byte, n int) bool {
	// Addresses have 7 to 15 bytes. Whether it is the second word that has the space is no branch: it would be guessed
	// wrong for each third line.
	at := first(match(load(line), space))
	at += first(match(load(line[8:]), space)) &^ (at>>3 - 1)
	return at == n || at == 16 && noSpaceFrom(line, at, n)
}

func noSpaceFrom(line []byte, at, n int) bool {
	for at < n {
		step := first(match(load(line[at:]), space))
		if at += step; step < 8 {
			break
		}
	}
	return at == n
}

// namesUser tells whether the user, who is named, ends at the time's bracket, which is the first that stands
// behind a space.
func namesUser(head []byte) bool {
	n := someUser.untilStop(head)
	if n < 0 {
		return false
	}
	n += len(someUser.behind.text)
	end := userEnd.untilStop(head[n:])
	return end >= 0 && n+end+len(userEnd.behind.text) == len(head)-localLen-2
}
