package accesslog

import "encoding/binary"

// clock remembers the last times: as nginx logs many lines a second, most are the same again.
type clock struct {
	lastLocal [26]byte
	unixLocal int64
	lastISO   [25]byte
	unixISO   int64
}

// local reads $time_local at the beginning of s, and tells its length; -1 if it is none.
func (c *clock) local(s []byte, read reading, r *Record) int {
	const n = len(c.lastLocal)
	if len(s) < n {
		return -1
	}
	t := (*[n]byte)(s)
	if !same16(t[:16], c.lastLocal[:16]) || !same16(t[n-16:], c.lastLocal[n-16:]) {
		if shapeLen(s, shapes["time_local"]) < 0 {
			return -1
		}
		c.lastLocal, c.unixLocal = *t, unixLocal(s)
	}
	if read == readTimeLocal {
		r.Time = c.unixLocal
	}
	return n
}

// iso reads $time_iso8601 as local reads $time_local.
func (c *clock) iso(s []byte, read reading, r *Record) int {
	const n = len(c.lastISO)
	if len(s) < n {
		return -1
	}
	t := (*[n]byte)(s)
	if !same16(t[:16], c.lastISO[:16]) || !same16(t[n-16:], c.lastISO[n-16:]) {
		if shapeLen(s, shapes["time_iso8601"]) < 0 {
			return -1
		}
		c.lastISO, c.unixISO = *t, unixISO(s)
	}
	if read == readTimeISO {
		r.Time = c.unixISO
	}
	return n
}

// same16 compares 16 bytes.
func same16(a, b []byte) bool {
	load := binary.LittleEndian.Uint64
	return load(a) == load(b) && load(a[8:]) == load(b[8:])
}
