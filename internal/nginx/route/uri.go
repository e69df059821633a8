package route

import "strings"

// normalise decodes the path of a request target as ngx_http_parse_complex_uri does: percent
// escapes, "." and ".." segments, a fragment, and runs of slashes if merge is set. ok is false for
// a target that nginx answers 400 to.
func normalise(target string, merge bool) (uri string, ok bool) {
	n := normaliser{in: target, merge: merge}
	for !n.done {
		if !n.step() {
			return "", false
		}
	}
	return string(n.out), true
}

// normaliser reads one segment after the other.
type normaliser struct {
	in    string
	merge bool
	out   []byte // always a path whose "." and ".." are resolved, but for the segment being read
	from  int    // where that segment begins in out; 0 before the first slash
	done  bool
}

// step takes the next character.
func (n *normaliser) step() bool {
	if n.in == "" || n.in[0] == '?' || n.in[0] == '#' {
		n.done = true
		return n.endSegment(false)
	}
	c := n.in[0]
	n.in = n.in[1:]
	if c == '%' {
		if len(n.in) < 2 || hex(n.in[0]) < 0 || hex(n.in[1]) < 0 {
			return false
		}
		c = byte(hex(n.in[0])<<4 | hex(n.in[1]))
		n.in = n.in[2:]
		switch c {
		case 0:
			return false
		case '%', '#', '?':
			n.out = append(n.out, c)
			return true
		}
	}
	if c == '/' {
		return n.endSegment(true)
	}
	n.out = append(n.out, c)
	return true
}

// endSegment resolves the segment that ends here, with a slash behind it or at the end.
func (n *normaliser) endSegment(slash bool) bool {
	segment := string(n.out[n.from:])
	switch {
	case n.from == 0: // before the first slash
	case segment == ".":
		n.out = n.out[:n.from]
		return true // its own slash stands
	case segment == "..":
		above := strings.LastIndexByte(string(n.out[:n.from-1]), '/')
		if above < 0 {
			return false
		}
		n.out = n.out[:above+1]
		n.from = len(n.out)
		return true
	case slash && segment == "" && n.merge:
		return true
	}
	if slash {
		n.out = append(n.out, '/')
		n.from = len(n.out)
	}
	return true
}

func hex(c byte) int {
	switch {
	case c >= '0' && c <= '9':
		return int(c - '0')
	case c|0x20 >= 'a' && c|0x20 <= 'f':
		return int(c|0x20-'a') + 10
	}
	return -1
}
