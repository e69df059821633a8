package accesslog

import (
	"encoding/binary"
	"math/bits"
)

// Eight bytes of a line are looked at as one word, the first byte lowest: what is short in a log is
// found and read with a few instructions, and no branch for each byte.
const (
	ones  = 0x0101010101010101
	tops  = 0x8080808080808080
	zeros = 0x3030303030303030 // the digit
	quote = ones * '"'
	space = ones * ' '
	query = ones * '?'
)

func load(s []byte) uint64 { return binary.LittleEndian.Uint64(s) }

// match marks the top bit of each byte of word that is that of pattern, eight times the same. Only the
// lowest mark is sure to be right.
func match(word, pattern uint64) uint64 {
	x := word ^ pattern
	return (x - ones) & ^x & tops
}

// nonDigits marks the top bit of each byte that is no digit.
func nonDigits(word uint64) uint64 {
	x := word ^ zeros
	return (x&^tops + ones*0x76 | x) & tops
}

// first is the index of the byte of the lowest mark; 8 if there is none.
func first(marks uint64) int { return bits.TrailingZeros64(marks) >> 3 }

// number reads the first n bytes of a word, 1 to 8 digits.
func number8(word uint64, n int) uint64 {
	word = word << (uint(64-8*n) & 63) & (ones * 0x0f)
	word = word * (1 + 10<<8) >> 8 & 0x00ff00ff00ff00ff
	word = word * (1 + 100<<16) >> 16 & 0x0000ffff0000ffff
	return word * (1 + 10000<<32) >> 32
}

// secondsOf reads "1.234", with up to three digits before the dot, in ms. n is 0 if it cannot.
func secondsOf(word uint64) (ms int32, n int) {
	// Most are below 10 s: "0.000" leaves the digits of one, and a digit and 6 have no upper half.
	x := word&0xff_ffff_ffff ^ 0x30_3030_2e30
	if (x+0x06_0606_0006|x)&0xf0_f0f0_fff0 == 0 && byte(word>>40)-'.' > '9'-'.' {
		return int32(1000*(x&0xf) + 100*(x>>16&0xf) + 10*(x>>24&0xf) + x>>32), 5
	}
	marks := nonDigits(word)
	dot := first(marks)
	marks &= marks - 1
	n = first(marks)
	if dot == 0 || n != dot+4 || byte(word>>(8*dot)) != '.' || n == 8 || byte(word>>(8*n)) == '.' {
		return 0, 0
	}
	before := uint64(1)<<(8*dot) - 1
	return int32(number8(word&before|word>>8&^before, n-1)), n
}
