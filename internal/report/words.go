package report

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// thousands has commas.
func thousands(n int64) string {
	digits := fmt.Sprint(n)
	var b strings.Builder
	for i, d := range digits {
		if i > 0 && (len(digits)-i)%3 == 0 && digits[i-1] != '-' {
			b.WriteByte(',')
		}
		b.WriteRune(d)
	}
	return b.String()
}

// counted is so many of something whose plural ends in s.
func counted(n int64, one string) string {
	if n == 1 {
		return "1 " + one
	}
	return thousands(n) + " " + one + "s"
}

func percent(share float64) string {
	switch p := 100 * share; {
	case p == 0:
		return "0 %"
	case p < 0.1:
		return fmt.Sprintf("%.3f %%", p)
	default:
		return fmt.Sprintf("%.2f %%", p)
	}
}

// millis is a duration of so many ms.
func millis(ms float64) string {
	switch {
	case ms < 100:
		return fmt.Sprintf("%.3g ms", ms)
	case ms < 10_000:
		return thousands(int64(math.Round(ms))) + " ms"
	}
	return fmt.Sprintf("%.3g s", ms/1000)
}

// times more or less, in words.
func factor(before, after float64) string {
	switch {
	case before == after:
		return "="
	case before == 0:
		return "new"
	case after == 0:
		return "gone"
	}
	if ratio := after / before; ratio >= 2 || ratio <= 0.5 {
		rounded, _ := strconv.ParseFloat(fmt.Sprintf("%.2g", ratio), 64)
		if rounded >= 100 && rounded < 1e15 {
			return "×" + thousands(int64(rounded))
		}
		return "×" + strconv.FormatFloat(rounded, 'f', -1, 64)
	}
	return fmt.Sprintf("%+.1f %%", 100*(after/before-1))
}

// lasting is a duration as people say it.
func lasting(d time.Duration) string {
	switch {
	case d < 2*time.Minute:
		return fmt.Sprintf("%.0f s", d.Seconds())
	case d < 2*time.Hour-time.Minute/2:
		return fmt.Sprintf("%.0f min", d.Minutes())
	}
	return fmt.Sprintf("%.3g h", math.Round(10*d.Hours())/10)
}

func bytesWords(n float64) string {
	for _, unit := range []string{"B", "kB", "MB", "GB", "TB"} {
		if n < 1000 || unit == "TB" {
			return fmt.Sprintf("%.3g %s", n, unit)
		}
		n /= 1000
	}
	return ""
}

func clock(t time.Time) string { return t.Local().Format("2006-01-02 15:04:05") }

// Printable is text of a log for a terminal: nginx escapes what is no text, but not with escape=none.
func Printable(s string, most int) string {
	runes := []rune(strings.ToValidUTF8(s, "�"))
	cut := len(runes) > most
	if cut {
		runes = runes[:most-1]
	}
	for i, r := range runes {
		if r < 0x20 || r >= 0x7f && r < 0xa0 || r == 0x2028 || r == 0x2029 || r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069 {
			runes[i] = '·'
		}
	}
	if cut {
		return string(runes) + "…"
	}
	return string(runes)
}
