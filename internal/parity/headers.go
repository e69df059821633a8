package parity

import (
	"fmt"
	"mime"
	"regexp"
	"slices"
	"strings"
)

func headerOf(hs []Header, name string) string {
	for _, h := range hs {
		if strings.EqualFold(h.Name, name) {
			return h.Value
		}
	}
	return ""
}

// valuesOf are all values of a header, joined; ok is false if there is none.
func valuesOf(hs []Header, name string) (joined string, ok bool) {
	var values []string
	for _, h := range hs {
		if strings.EqualFold(h.Name, name) {
			values = append(values, h.Value)
		}
	}
	return strings.Join(values, "\n"), values != nil
}

// namesOf are the headers' names, in lower case, each once.
func namesOf(lists ...[]Header) []string {
	var names []string
	for _, hs := range lists {
		for _, h := range hs {
			if name := strings.ToLower(h.Name); !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
	}
	return names
}

// guards are the headers whose loss or change lets an attacker do more than before, or locks
// clients out.
var guards = regexp.MustCompile(`^(strict-transport-security|content-security-policy|x-frame-options|x-content-type-options|referrer-policy|permissions-policy|x-xss-protection|cross-origin-.*|access-control-.*|www-authenticate|clear-site-data|expect-ct|public-key-pins)$`)

// headers compares the heads of two answers with the same status.
func (p *pair) headers() {
	for _, name := range namesOf(p.old.Headers, p.new.Headers) {
		o, had := valuesOf(p.old.Headers, name)
		n, has := valuesOf(p.new.Headers, name)
		var again *string
		steady := true
		if p.again != nil {
			a, ok := valuesOf(p.again.Headers, name)
			again, steady = &a, ok == had
		}
		shown := properName(name, p.old.Headers, p.new.Headers)
		diff := headerDiff(shown, o, n, had, has)
		switch {
		case had != has && !steady:
			p.differ(Volatile, "header "+shown, diff...)
		case !has:
			p.differ(p.presenceClass(name, o, true), "header "+shown+" is gone", diff...)
		case !had:
			p.differ(p.presenceClass(name, n, false), "header "+shown+" is new", diff...)
		case o != n:
			how := p.values(name, o, n, again, p.request.countsIn(name))
			if how == counted && !p.toldWithBody(name) {
				p.count("header "+shown, diff...)
			} else if class := p.headerClass(name, o, n, how); class != Same {
				p.differ(class, "header "+shown, diff...)
			}
		}
	}
	p.headerForm()
}

// presenceClass judges a header that only one of the answers has.
func (p *pair) presenceClass(name, value string, lost bool) Class {
	switch {
	case guards.MatchString(name) && lost, name == "location":
		return Breaking
	case name == "content-length" || name == "transfer-encoding":
		return Suspicious
	case name == "set-cookie" && lost && value != "":
		return Breaking
	}
	return Suspicious
}

// toldWithBody tells whether the header differs only since the body does.
func (p *pair) toldWithBody(name string) bool {
	return name == "content-length" && p.old.SHA256 != p.new.SHA256
}

// headerClass judges a header whose value differs.
func (p *pair) headerClass(name, o, n string, how likeness) Class {
	switch {
	case name == "content-length":
		if p.toldWithBody(name) || how == unsteady {
			return Same // told with the body
		}
		if p.old.Header("Content-Encoding") != "" {
			return Expected // two builds of zlib
		}
		if p.request.Method == "HEAD" && how != different {
			return Expected
		}
		return Suspicious
	case how == alike:
		return Expected
	case how == unsteady:
		return Volatile
	case name == "etag", name == "last-modified":
		if p.old.SHA256 == p.new.SHA256 && sameSize(o, n) {
			return Expected // a file that was made in the clone: only its time differs
		}
		return Suspicious
	case name == "set-cookie":
		return cookieClass(o, n)
	case how == spacing:
		return Suspicious
	case name == "location", guards.MatchString(name):
		return Breaking
	case name == "content-type" && mediaType(o) != mediaType(n):
		return Breaking
	}
	return Suspicious
}

// sameSize tells of two ETags of files, "time-size" in hexadecimal, whether the sizes agree; other
// values have no size.
func sameSize(o, n string) bool {
	_, a, ok1 := strings.Cut(strings.Trim(o, `"`), "-")
	_, b, ok2 := strings.Cut(strings.Trim(n, `"`), "-")
	return ok1 == ok2 && a == b
}

func mediaType(s string) string {
	t, _, err := mime.ParseMediaType(s)
	if err != nil {
		return strings.ToLower(s)
	}
	return t
}

// cookieClass judges cookies: their values may be random, their names and flags are not.
func cookieClass(o, n string) Class {
	if form(o) == form(n) {
		return Expected
	}
	return Breaking
}

var cookieTime = regexp.MustCompile(`(?i)(expires|max-age)=[^;]*`)

func form(cookies string) string {
	var all []string
	for _, c := range strings.Split(cookies, "\n") {
		name, rest, _ := strings.Cut(c, "=")
		_, attributes, _ := strings.Cut(rest, ";")
		all = append(all, name+";"+cookieTime.ReplaceAllString(strings.ToLower(attributes), "$1"))
	}
	slices.Sort(all)
	return strings.Join(all, "\n")
}

// headerForm compares what a client should not depend on: case and order.
func (p *pair) headerForm() {
	common := func(hs, others []Header) (written, lower []string) {
		for _, h := range hs {
			if _, ok := valuesOf(others, h.Name); ok && !slices.Contains(lower, strings.ToLower(h.Name)) {
				written, lower = append(written, h.Name), append(lower, strings.ToLower(h.Name))
			}
		}
		return written, lower
	}
	ow, ol := common(p.old.Headers, p.new.Headers)
	nw, nl := common(p.new.Headers, p.old.Headers)
	switch {
	case !slices.Equal(ol, nl):
		p.differ(Suspicious, "order of the headers", "- "+strings.Join(ow, ", "), "+ "+strings.Join(nw, ", "))
	case !slices.Equal(ow, nw):
		p.differ(Suspicious, "case of the headers' names", "- "+strings.Join(ow, ", "), "+ "+strings.Join(nw, ", "))
	}
}

func properName(lower string, lists ...[]Header) string {
	for _, hs := range lists {
		for _, h := range hs {
			if strings.EqualFold(h.Name, lower) {
				return h.Name
			}
		}
	}
	return lower
}

func headerDiff(name, o, n string, had, has bool) (diff []string) {
	if had {
		for _, v := range strings.Split(o, "\n") {
			diff = append(diff, fmt.Sprintf("- %s: %s", name, v))
		}
	}
	if has {
		for _, v := range strings.Split(n, "\n") {
			diff = append(diff, fmt.Sprintf("+ %s: %s", name, v))
		}
	}
	return diff
}
