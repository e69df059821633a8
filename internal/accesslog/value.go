package accesslog

import (
	"bytes"
	"math"
)

// integer reads digits; -1 for none or "-", and for more than any size has.
func integer(text []byte) int64 {
	if len(text) == 0 || len(text) > 18 || text[0] == '-' {
		return -1
	}
	n := int64(0)
	for _, c := range text {
		n = 10*n + int64(c-'0')
	}
	return n
}

// pidOf reads digits, of which a pid has few: longer ones are nobody's.
func pidOf(text []byte) int {
	if len(text) > 9 {
		return 0
	}
	return int(integer(text))
}

// millis reads seconds as nginx writes them, "1.234", in ms; -1 for what is no time, such as "-".
func millis(text []byte) int32 {
	whole, part, _ := bytes.Cut(text, []byte{'.'})
	n := int64(0)
	for _, c := range whole {
		if !isDigit(c) {
			return -1
		}
		n = min(10*n+int64(c-'0'), math.MaxInt32)
	}
	unit := int64(1000)
	n *= unit
	for _, c := range part {
		if !isDigit(c) {
			return -1
		}
		unit /= 10
		n += unit * int64(c-'0')
	}
	if len(whole)+len(part) == 0 {
		return -1
	}
	return int32(min(n, math.MaxInt32))
}

// isNumberList tells whether nginx may have written the text for the tries of an upstream: a number
// or "-" for each, ", " before the next try, " : " before another upstream, of which there may be none. An
// empty text is one that escape=json or none has written for no upstream at all.
func isNumberList(text []byte) bool {
	if len(text) == 0 {
		return true
	}
	for {
		n := shapeLen(text, number)
		if n < 0 {
			return false
		}
		text = text[n:]
		switch {
		case len(text) == 0 || string(text) == " : ":
			return true
		case bytes.HasPrefix(text, []byte(", ")):
			text = text[2:]
		case bytes.HasPrefix(text, []byte(" : ")):
			text = text[3:]
		default:
			return false
		}
	}
}

// nextTry cuts the first element off a list; repeated tells that it was followed by another try of
// the same upstream.
func nextTry(list []byte) (element, rest []byte, repeated bool) {
	n := max(shapeLen(list, number), 0)
	element, rest = list[:n], list[n:]
	switch {
	case bytes.HasPrefix(rest, []byte(", ")):
		return element, rest[2:], true
	case bytes.HasPrefix(rest, []byte(" : ")):
		return element, rest[3:], false
	}
	return element, nil, false
}

// triesOf sums up a list of times, in ms (-1: it has none), and counts the tries that another one
// followed.
func triesOf(list []byte) (sum int32, failed uint8) {
	total := int64(-1)
	for len(list) > 0 {
		element, rest, repeated := nextTry(list)
		if ms := millis(element); ms >= 0 {
			total = max(total, 0) + int64(ms)
		}
		if repeated && failed < math.MaxUint8 {
			failed++
		}
		list = rest
	}
	return int32(min(total, math.MaxInt32)), failed
}

// failuresOf counts the tries of a list of statuses that were not answered, or with 5xx. A lone "-"
// is no failure: nginx writes it when no upstream was asked.
func failuresOf(list []byte) uint8 {
	failed := uint8(0)
	if string(list) == "-" {
		return 0
	}
	for len(list) > 0 {
		element, rest, _ := nextTry(list)
		if (string(element) == "-" || len(element) == 3 && element[0] == '5') && failed < math.MaxUint8 {
			failed++
		}
		list = rest
	}
	return failed
}

// pathOfRequest is the path in "GET /path?arguments HTTP/1.1"; nil if the line is none. nginx before
// 1.21.1 took a path with spaces.
func pathOfRequest(request []byte) []byte {
	from := 0
	if len(request) >= 8 {
		from = first(match(load(request), space))
	}
	if from == len(request) || request[from] != ' ' {
		if from = bytes.IndexByte(request, ' '); from < 0 {
			return nil
		}
	}
	target := request[from+1:]
	if n := len(target) - len(protocol); n >= 0 && (load(target[n:])^protocolWord)&protocolMask == 0 {
		target = target[:n:n]
	}
	return pathOf(target)
}

// protocol is what a request line ends with, whatever its version.
const (
	protocol     = " HTTP/?.?"
	protocolMask = 0xff00ffffffffffff
)

var protocolWord = load([]byte(protocol))

// pathOf is a URI without its arguments.
func pathOf(uri []byte) []byte {
	if end := bytes.IndexByte(uri, '?'); end >= 0 {
		return uri[:end:end]
	}
	return uri
}
