package parity

// MaskTarget is a request target with the values of its query that may be secret replaced by "***".
func MaskTarget(target string) string { return target }

// ShapeOf is a request target with what varies between requests of one route taken out: numbers,
// hexadecimal and long segments, and the query's values; its keys are sorted.
func ShapeOf(target string) string { return target }
