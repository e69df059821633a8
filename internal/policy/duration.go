package policy

import (
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
	days, rest, found := strings.Cut(text, "d")
	if !found {
		days, rest = "0", text
	}
	n, err := strconv.ParseUint(days, 10, 15)
	if err != nil {
		return 0, fmt.Errorf("%q is no duration: want one as 90s, 5m, 36h or 2d", text)
	}
	total := time.Duration(n) * 24 * time.Hour
	if rest == "" && found {
		return total, nil
	}
	d, err := time.ParseDuration(rest)
	if err != nil || d < 0 {
		return 0, fmt.Errorf("%q is no duration: want one as 90s, 5m, 36h or 2d", text)
	}
	return total + d, nil
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
