package accesslog

// clock remembers the last times: nginx logs many lines a second, so that most are the same again.
type clock struct {
	local, iso stamp
}

// stamp is a time as it was written, in words, and what it is.
type stamp struct {
	a, b, c, d uint64
	unix       int64
}

// same tells whether s, of 25 bytes at least, is the same time in its first n bytes, 25 or 26.
func (t *stamp) same(s []byte, n int) bool {
	return (load(s)^t.a)|(load(s[8:])^t.b)|(load(s[16:])^t.c)|(load(s[n-8:])^t.d) == 0
}

func (t *stamp) keep(s []byte, n int, unix int64) {
	t.a, t.b, t.c, t.d, t.unix = load(s), load(s[8:]), load(s[16:]), load(s[n-8:]), unix
}

const (
	localLen = len("25/Nov/2026:00:46:12 +0000")
	isoLen   = len("2026-11-25T00:46:12+00:00")
)

// readLocal reads $time_local at the beginning of s, and tells its length; -1 if it is none.
func (c *clock) readLocal(s []byte, read reading, r *Record) int {
	if len(s) < localLen {
		return -1
	}
	if s = s[:localLen]; !c.local.same(s, localLen) {
		if shapeLen(s, shapes["time_local"]) < 0 {
			return -1
		}
		c.local.keep(s, localLen, unixLocal(s))
	}
	if read == readTimeLocal {
		r.Time = c.local.unix
	}
	return localLen
}

// readISO reads $time_iso8601 likewise.
func (c *clock) readISO(s []byte, read reading, r *Record) int {
	if len(s) < isoLen {
		return -1
	}
	if s = s[:isoLen]; !c.iso.same(s, isoLen) {
		if shapeLen(s, shapes["time_iso8601"]) < 0 {
			return -1
		}
		c.iso.keep(s, isoLen, unixISO(s))
	}
	if read == readTimeISO {
		r.Time = c.iso.unix
	}
	return isoLen
}
