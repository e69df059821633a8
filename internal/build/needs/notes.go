package needs

import (
	"slices"
	"strconv"
	"strings"
)

// notes are what goes wrong with this source on this machine though all is installed.
func notes(s subject, h headers) []Note {
	var list []Note
	if major(h, "OPENSSL_VERSION_MAJOR") >= 3 && s.openSSL() != "" && s.older("1.21.2") && !s.tolerates("deprecated-declarations") &&
		!s.word("-DOPENSSL_SUPPRESS_DEPRECATED") {
		list = append(list, Note{
			What:    "nginx " + s.Nginx + " calls functions that OpenSSL " + h.macros["OPENSSL_VERSION_MAJOR"] + " declares deprecated, and is compiled with -Werror",
			Remedy:  "--flag=--with-cc-opt=-Wno-error=deprecated-declarations, or a source of nginx 1.21.2 or newer",
			Certain: true,
		})
	}
	return list
}

func major(h headers, macro string) int {
	n, err := strconv.Atoi(h.macros[macro])
	if err != nil {
		return 0
	}
	return n
}

// tolerates tells whether a warning is no error, or none at all, by --with-cc-opt.
func (s subject) tolerates(warning string) bool {
	return s.word("-w") || s.word("-Wno-error") || s.word("-Wno-error="+warning) || s.word("-Wno-"+warning)
}

// word tells whether --with-cc-opt has a word.
func (s subject) word(word string) bool {
	return slices.ContainsFunc(s.Configure, func(arg string) bool {
		value, ok := strings.CutPrefix(arg, "--with-cc-opt=")
		return ok && slices.Contains(strings.Fields(value), word)
	})
}
