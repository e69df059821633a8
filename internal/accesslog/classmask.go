package accesslog

import (
	"bytes"
	"strings"
)

// masked stands for what varies.
const masked = "…"

// mask replaces whole words: what has digits, addresses, paths, names of hosts and files, quoted
// strings. A part of a word would leak the rest of it: of a hash that begins with a letter, that
// letter. Neighbours that are masked become one.
func mask(message string, varies func(word, before string) bool) string {
	out := make([]byte, 0, len(message)+16)
	before := "" // the word before
	for message != "" {
		if message[0] == ' ' {
			message = message[1:]
			if len(out) > 0 && out[len(out)-1] != ' ' {
				out = append(out, ' ')
			}
			continue
		}
		if n := sslLength(message); n > 0 {
			out = append(append(append(out, "(SSL: "...), sslReason(message[:n])...), ')')
			message = message[n:]
			continue
		}
		if n := errnoLength(message); n > 0 {
			out = append(out, message[:n]...)
			message = message[n:]
			continue
		}
		if n := quoteLength(message); n > 0 {
			out = append(append(append(out, message[0]), masked...), message[0])
			message = message[n:]
			continue
		}
		word := message[:wordLength(message)]
		message = message[len(word):]
		core := strings.Trim(word, ",;:.()[]{}<>!?")
		if core == "" || !varies(core, before) {
			out, before = append(out, word...), core
			continue
		}
		head, tail, _ := strings.Cut(word, core)
		if strings.Contains(head, ":") { // "[::]:443"
			head = ""
		}
		if with := bytes.TrimSuffix(out, []byte(" ")); head == "" && bytes.HasSuffix(with, []byte(masked)) {
			out = append(with, tail...)
		} else {
			out = append(append(append(out, head...), masked...), tail...)
		}
		before = masked
	}
	return strings.TrimRight(string(out), " ")
}

// wordLength is the length of the word that text begins with: up to a space, a quote or the
// parenthesis of an errno or of OpenSSL.
func wordLength(text string) int {
	for i := 1; i < len(text); i++ {
		switch c := text[i]; {
		case c == ' ', c == '"' && text[i-1] != '\\':
			return i
		case c == '(' && (errnoLength(text[i:]) > 0 || sslLength(text[i:]) > 0):
			return i
		}
	}
	return len(text)
}

// quoteLength is the length of the quoted string that text begins with; of one that is cut off, all
// of it. An apostrophe begins none.
func quoteLength(text string) int {
	switch text[0] {
	case '"':
		if end := strings.IndexByte(text[1:], '"'); end >= 0 {
			return end + 2
		}
		return len(text)
	case '\'':
		for end := 1; end < len(text); end++ {
			if text[end] == '\'' && (end+1 == len(text) || !latin(text[end+1])) {
				return end + 1
			}
		}
	}
	return 0
}

// errnoLength is the length of "(111: Connection refused)" that text begins with, else 0.
func errnoLength(text string) int {
	if text[0] != '(' {
		return 0
	}
	i := 1
	for i < len(text) && isDigit(text[i]) {
		i++
	}
	if i == 1 || i > 5 || !strings.HasPrefix(text[i:], ": ") || i+2 >= len(text) || !latin(text[i+2]) {
		return 0
	}
	return strings.IndexByte(text, ')') + 1
}

// variesInNginx tells whether a word of nginx's own messages is masked.
func variesInNginx(word, before string) bool {
	switch before {
	case "code", "signal": // "exited with code 2", "signal 17"
		return len(word) > 3
	}
	switch {
	case isProtocol(word), strings.HasSuffix(word, "("): // "epoll_ctl("
		return false
	}
	letters, inside := 0, false
	for i := range len(word) {
		switch c := word[i]; {
		case isDigit(c):
			return !isFunction(word)
		case c == '/' || c == '@' || c == '%' || c == '=' || c == '\\' || c < ' ' || c >= 0x7f:
			return true
		case c == '.' || c == ':':
			inside = true // Trim has taken those at the ends: a host, a file, an address
		case latin(c):
			letters++
		}
	}
	return inside && letters > 0 && !strings.Contains(word, "::") || len(word) > 1 && hexadecimal(word) && !hexWords[word]
}

// hexWords are the words that could be numbers.
var hexWords = map[string]bool{
	"ad": true, "add": true, "added": true, "bad": true, "Bad": true, "be": true, "bed": true, "dead": true,
	"decade": true, "face": true, "faced": true, "faded": true, "fed": true, "feed": true, "fd": true, "EAD": true, "AEAD": true,
}

// isFunction tells a system call or function, such as accept4() or pread64.
func isFunction(word string) bool {
	name, _, call := strings.Cut(word, "(")
	return call && name != "" && strings.Trim(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789") == "" || syscalls[word]
}

// syscalls are the calls with digits in their names that nginx complains of; it writes their
// parentheses, which mask has trimmed.
var syscalls = map[string]bool{"accept4": true, "pread64": true, "pwrite64": true, "sendfile64": true, "fstat64": true, "io_setup2": true, "inet6": true, "ipv6": true, "d2i_X509": true, "i2d_OCSP_CERTID": true}

// isProtocol tells the versions that nginx speaks.
func isProtocol(word string) bool {
	if strings.HasPrefix(word, "http2_") || strings.HasPrefix(word, "http3_") {
		return true // directives
	}
	for _, prefix := range [...]string{"HTTP/", "TLSv", "SSLv"} {
		if rest, ok := strings.CutPrefix(word, prefix); ok {
			return len(rest) <= 3
		}
	}
	switch word {
	case "http2", "http3", "h2", "h3", "v1", "v2", "IPv4", "IPv6", "ipv6only", "HTTP2", "HTTP3":
		return true
	}
	return false
}

func latin(c byte) bool { return 'a' <= c|0x20 && c|0x20 <= 'z' }

func hexadecimal(word string) bool {
	return strings.Trim(word, "0123456789abcdefABCDEF") == ""
}
