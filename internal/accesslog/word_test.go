package accesslog

import (
	"bytes"
	"testing"

	"pgregory.net/rapid"
)

func TestWordsAreReadAsBytesAre(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := rapid.OneOf(rapid.SliceOfN(rapid.Byte(), 8, 8),
			rapid.SliceOfN(rapid.SampledFrom([]byte("0123456789.- \"?\xb0\xff\x00/:")), 8, 8)).Draw(t, "bytes")
		w := load(s)
		index := func(b byte) int {
			if n := bytes.IndexByte(s, b); n >= 0 {
				return n
			}
			return 8
		}
		if got, want := first(match(w, quote)), index('"'); got != want {
			t.Fatalf("%q: a quote at %d, want %d", s, got, want)
		}
		if got, want := first(match(w, space)|match(w, query)), min(index(' '), index('?')); got != want {
			t.Fatalf("%q: a space or query at %d, want %d", s, got, want)
		}
		n := max(shapeLen(s, digits), 0)
		if got := first(nonDigits(w)); got != n {
			t.Fatalf("%q: %d digits, want %d", s, got, n)
		}
		if n > 0 && int64(number8(w, n)) != integer(s[:n]) {
			t.Fatalf("%q: %d", s, number8(w, n))
		}
		if ms, n := secondsOf(w); n > 0 && (n != shapeLen(s, number) || ms != millis(s[:n])) {
			t.Fatalf("%q: %d ms in %d bytes", s, ms, n)
		}
	})
	for text, want := range map[string]int32{"0.000 1.": 0, "1.234\n  ": 1234, "12.345 0": 12345, "999.999,": 999999} {
		if ms, n := secondsOf(load([]byte(text))); ms != want || n == 0 {
			t.Errorf("%q: %d in %d bytes", text, ms, n)
		}
	}
}
