package parity

import (
	"math"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// masked stands where a secret was.
const masked = "***"

// MaskTarget is a request target with what may be secret replaced by "***": values of the query
// whose key says so or that look so, and segments of the path that look so.
func MaskTarget(target string) string {
	path, query, hasQuery := strings.Cut(target, "?")
	segments := strings.Split(path, "/")
	for i, s := range segments {
		if looksSecret(s) || tellsSecret(s) {
			segments[i] = masked
		}
	}
	if !hasQuery {
		return strings.Join(segments, "/")
	}
	pairs := strings.Split(query, "&")
	for i, pair := range pairs {
		key, value, hasValue := strings.Cut(pair, "=")
		switch {
		case hasValue && value != "" && secretPair(key, value):
			pairs[i] = key + "=" + masked
		case !hasValue && looksSecret(key):
			pairs[i] = masked
		}
	}
	return strings.Join(segments, "/") + "?" + strings.Join(pairs, "&")
}

// secretWords in a key make its value secret.
var secretWords = []string{"token", "secret", "passw", "pwd", "passphrase", "auth", "signature", "session", "credential",
	"apikey", "api_key", "api-key", "accesskey", "access_key", "private", "jwt", "otp", "email", "e-mail", "phone", "ticket", "nonce", "samlresponse", "csrf", "xsrf"}

// secretKeys are secret as they are: as a part of other words they would say nothing.
var secretKeys = []string{"key", "sig", "sign", "code", "pass", "sid", "hash", "hmac", "mac", "pin", "state", "id_token", "mail", "user", "username", "login", "card", "cc", "iban", "ssn"}

func secretPair(key, value string) bool {
	return secretKey(key) || looksSecret(value) || tellsSecret(value)
}

func secretKey(key string) bool {
	key = strings.ToLower(unescape(key))
	part := func(c rune) bool { return strings.ContainsRune("?[].;:{}\"'", c) } // user[pin], a?key
	return slices.ContainsFunc(strings.FieldsFunc(key, part), func(k string) bool { return slices.Contains(secretKeys, k) }) ||
		slices.ContainsFunc(secretWords, func(w string) bool { return strings.Contains(key, w) }) ||
		strings.HasSuffix(key, "_key") || strings.HasSuffix(key, "-key") || strings.HasSuffix(key, "_sig")
}

var innerPair = regexp.MustCompile(`([A-Za-z0-9_.\[\]-]{1,64})["']?\s*[=:]\s*["']?[^\s&;"'/]`)

// tellsSecret tells a value that has pairs of its own, one of them secret: a URL to come back to, JSON, what
// stands behind a semicolon.
func tellsSecret(value string) bool {
	for range 3 { // each layer is escaped once more
		for _, m := range innerPair.FindAllStringSubmatch(value, -1) {
			if secretKey(m[1]) {
				return true
			}
		}
		plain := unescape(value)
		if plain == value {
			return false
		}
		value = plain
	}
	return false
}

var (
	emailShape = regexp.MustCompile(`[^@\s/]+@[^@\s/]+\.[^@\s/]+`)
	digitsOnly = regexp.MustCompile(`^[0-9][0-9 -]{11,22}[0-9]$`)
	tokenShape = regexp.MustCompile(`^[A-Za-z0-9_+/=.~:-]{16,}$`)
)

// looksSecret tells e-mail addresses, card numbers and what only a machine can have made.
func looksSecret(value string) bool {
	value = unescape(value)
	if emailShape.MatchString(value) || digitsOnly.MatchString(value) && luhn(value) || strings.HasPrefix(value, "eyJ") {
		return true
	}
	return tokenShape.MatchString(value) && machineMade(value)
}

// machineMade tells random text: dense in information, with digits between letters. File names of
// words and dates are not.
func machineMade(s string) bool {
	counts := [256]int{}
	letters, digits, changes := 0, 0, 0
	kind := func(c byte) int {
		switch {
		case c >= '0' && c <= '9':
			return 1
		case c >= 'a' && c <= 'z':
			return 2
		case c >= 'A' && c <= 'Z':
			return 3
		}
		return 0
	}
	for i := range len(s) {
		counts[s[i]]++
		k := kind(s[i])
		if k == 1 {
			digits++
		} else if k > 1 {
			letters++
		}
		if i > 0 && k != kind(s[i-1]) {
			changes++
		}
	}
	entropy := 0.0
	for _, n := range counts {
		if n > 0 {
			p := float64(n) / float64(len(s))
			entropy -= p * math.Log2(p)
		}
	}
	return letters > 0 && (digits > 0 || changes > len(s)/3) && entropy > 3 && changes >= len(s)/5
}

// luhn is the check that card numbers pass.
func luhn(s string) bool {
	sum, n := 0, 0
	for i := len(s) - 1; i >= 0; i-- {
		if s[i] < '0' || s[i] > '9' {
			continue
		}
		d := int(s[i] - '0')
		if n%2 == 1 {
			if d *= 2; d > 9 {
				d -= 9
			}
		}
		sum += d
		n++
	}
	return n >= 13 && n <= 19 && sum%10 == 0
}

func unescape(s string) string {
	if plain, err := url.QueryUnescape(s); err == nil {
		return plain
	}
	return s
}

// scrubber takes a request's secrets out of texts that may repeat them: what the upstream saw, a
// Location header, an error page.
type scrubber struct{ secrets []string }

func newScrubber(r *Request) scrubber {
	var s scrubber
	for _, target := range []string{r.Target, r.Referer} {
		path, query, _ := strings.Cut(target, "?")
		for _, segment := range strings.Split(path, "/") {
			if looksSecret(segment) || tellsSecret(segment) {
				s.add(segment)
			}
		}
		for _, pair := range strings.Split(query, "&") {
			key, value, _ := strings.Cut(pair, "=")
			if secretPair(key, value) {
				s.add(value)
			}
			if looksSecret(key) {
				s.add(key)
			}
		}
	}
	// The longest first: one may be part of another.
	slices.SortFunc(s.secrets, func(a, b string) int { return len(b) - len(a) })
	return s
}

// add remembers a value in the spellings it may come back in.
func (s *scrubber) add(value string) {
	plain := unescape(value)
	for _, form := range []string{value, plain, url.QueryEscape(plain), url.PathEscape(plain)} {
		// Shorter ones are told by their key.
		if len(form) >= 4 && !slices.Contains(s.secrets, form) {
			s.secrets = append(s.secrets, form)
		}
	}
}

var (
	pairShape  = regexp.MustCompile(`([?&;]|\\u0026|^|[\s"'])([A-Za-z0-9_.%\[\]-]{1,64})=([^&;\s"'<>\\]+)`)
	headerLine = regexp.MustCompile(`(?i)^((?:upstream )?(?:http_)?([a-z0-9_-]+)): (.*)$`)
)

// scrub is a line without secrets.
func (s scrubber) scrub(line string) string {
	for _, secret := range s.secrets {
		line = strings.ReplaceAll(line, secret, masked)
	}
	if m := headerLine.FindStringSubmatch(line); m != nil {
		name := strings.ToLower(m[2])
		switch {
		case name == "set-cookie":
			return m[1] + ": " + scrubCookie(m[3])
		case name == "cookie" || secretKey(strings.TrimPrefix(name, "x-")) && !slices.Contains(plainHeaders, name):
			return m[1] + ": " + masked
		}
	}
	return pairShape.ReplaceAllStringFunc(line, func(pair string) string {
		m := pairShape.FindStringSubmatch(pair)
		if secretKey(m[2]) || looksSecret(m[3]) {
			return m[1] + m[2] + "=" + masked
		}
		return pair
	})
}

// plainHeaders say how to authenticate, not who does, though their names hold a word of secretWords.
var plainHeaders = []string{"www-authenticate", "proxy-authenticate"}

// scrubCookie leaves a cookie's name and attributes.
func scrubCookie(cookie string) string {
	name, rest, _ := strings.Cut(cookie, "=")
	_, attributes, has := strings.Cut(rest, ";")
	if has {
		attributes = ";" + attributes
	}
	return name + "=" + masked + attributes
}
