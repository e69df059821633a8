package policy

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Duration is a time.Duration that is written as 90s, 36h or 2d.
type Duration time.Duration

// String writes it.
func (d Duration) String() string {
	const day = 24 * time.Hour
	if t := time.Duration(d); t >= 2*day && t%day == 0 {
		return fmt.Sprintf("%dd", t/day)
	}
	return shortened(time.Duration(d).String())
}

// MarshalText writes it.
func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText reads it.
func (d *Duration) UnmarshalText(text []byte) error {
	t, err := ParseDuration(string(text))
	if err != nil {
		return err
	}
	*d = Duration(t)
	return nil
}

// ParseDuration reads what time.ParseDuration does, and whole days: 2d, 1d12h.
func ParseDuration(text string) (time.Duration, error) {
	const longest = 20_000 // days
	positive, negative := strings.CutPrefix(text, "-")
	days, rest, found := strings.Cut(positive, "d")
	if !found {
		days, rest = "0", positive
	}
	n, dayErr := strconv.ParseUint(days, 10, 64)
	var d time.Duration
	var err error
	if rest != "" || !found {
		d, err = time.ParseDuration(rest)
	}
	long := errors.Is(dayErr, strconv.ErrRange) || dayErr == nil && n > longest || err != nil && tooLong(rest)
	switch {
	case dayErr != nil && !long, err != nil && !long, d < 0:
		return 0, fmt.Errorf("%q is no duration: want one as 90s, 5m, 36h or 2d", text)
	case negative:
		return 0, fmt.Errorf("%s is negative: want a duration as 90s, 5m, 36h or 2d", text)
	case long || d > longest*24*time.Hour:
		return 0, fmt.Errorf("%s is too long: want a duration as 90s, 5m, 36h or 2d", text)
	}
	return time.Duration(n)*24*time.Hour + d, nil
}

// tooLong tells whether a text would be a duration if its numbers were small.
func tooLong(text string) bool {
	var small strings.Builder
	for i, c := range text {
		digit := c >= '0' && c <= '9'
		if !digit {
			small.WriteRune(c)
		} else if i == 0 || text[i-1] < '0' || text[i-1] > '9' {
			small.WriteByte('1')
		}
	}
	_, err := time.ParseDuration(small.String())
	return err == nil
}

// shortened leaves out the zeros that a time.Duration is written with: 24h0m0s.
func shortened(text string) string {
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}
