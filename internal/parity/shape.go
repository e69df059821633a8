package parity

import (
	"regexp"
	"slices"
	"strings"
)

const longSegment = 32 // characters in a path segment that is some name, not a route's

var (
	uuidShape  = regexp.MustCompile(`(?i)^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$`)
	hexShape   = regexp.MustCompile(`(?i)^[0-9a-f]*[0-9][0-9a-f]*$`)
	digitShape = regexp.MustCompile(`[0-9]+`)
	extension  = regexp.MustCompile(`\.[A-Za-z][A-Za-z0-9]{0,5}$`)
)

// ShapeOf is a request target with what varies between requests of one route taken out: numbers,
// hexadecimal and long segments, and the query's values; its keys are sorted.
func ShapeOf(target string) string {
	path, query, hasQuery := strings.Cut(target, "?")
	segments := strings.Split(path, "/")
	for i, s := range segments {
		segments[i] = segmentShape(s)
	}
	shape := strings.Join(segments, "/")
	if !hasQuery {
		return shape
	}
	var keys []string
	for _, pair := range strings.Split(query, "&") {
		key, _, _ := strings.Cut(pair, "=")
		keys = append(keys, segmentShape(key))
	}
	slices.Sort(keys)
	return shape + "?" + strings.Join(slices.Compact(keys), "&")
}

func segmentShape(s string) string {
	end := extension.FindString(s) // a file's kind often decides its location
	name := strings.TrimSuffix(s, end)
	switch {
	case uuidShape.MatchString(name):
		name = "{uuid}"
	case len(name) >= 8 && hexShape.MatchString(name) && strings.ContainsAny(strings.ToLower(name), "abcdef"):
		name = "{hex}"
	case len(name) > longSegment, looksSecret(name):
		name = "{long}"
	default:
		name = digitShape.ReplaceAllString(name, "{n}")
	}
	return name + end
}
