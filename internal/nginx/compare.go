package nginx

import (
	"strconv"
	"strings"
)

// AtLeast compares dotted versions number by number: "1.21.10" is at least "1.21.5".
func AtLeast(version, least string) bool {
	have, want := strings.Split(version, "."), strings.Split(least, ".")
	for i := range max(len(have), len(want)) {
		h, w := number(have, i), number(want, i)
		if h != w {
			return h > w
		}
	}
	return true
}

// number reads the leading digits of part i; what is missing is 0.
func number(parts []string, i int) int {
	if i >= len(parts) {
		return 0
	}
	end := 0
	for end < len(parts[i]) && parts[i][end] >= '0' && parts[i][end] <= '9' {
		end++
	}
	n, err := strconv.Atoi(parts[i][:end])
	if err != nil {
		return 0
	}
	return n
}
