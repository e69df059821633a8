package cli

import (
	"fmt"
	"io"
	"os"
	"strings"
	"unicode/utf8"

	"golang.org/x/sys/unix"
)

// screen writes for people, no wider than the terminal.
type screen struct {
	io.Writer
	width int // in characters
}

// Widths where the terminal's is not known, and where it is of no use.
const (
	defaultWidth = 110
	leastWidth   = 60
)

func newScreen(w io.Writer) screen {
	s := screen{w, defaultWidth}
	if file, ok := w.(*os.File); ok {
		if size, err := unix.IoctlGetWinsize(int(file.Fd()), unix.TIOCGWINSZ); err == nil && size.Col > 0 {
			s.width = max(leastWidth, int(size.Col))
		}
	}
	return s
}

// fold writes the text under a hanging head: the first line behind it, the others below, all of them
// indented alike. Of a text longer than lines (0: any number) the rest is left out, and that is marked.
func (s screen) fold(head, text string, lines int) {
	margin := strings.Repeat(" ", utf8.RuneCountInString(head))
	folded := wrap(text, max(20, s.width-utf8.RuneCountInString(head)))
	if lines > 0 && len(folded) > lines {
		folded = folded[:lines]
		last := []rune(folded[lines-1])
		folded[lines-1] = string(last[:min(len(last), max(0, s.width-len(margin)-2))]) + " …"
	}
	for n, line := range folded {
		if n == 0 {
			fmt.Fprintln(s, strings.TrimRight(head+line, " "))
			continue
		}
		fmt.Fprintln(s, margin+line)
	}
}

// wrap breaks a text at its line breaks, and at spaces where a line would be longer than width. A word
// that is longer stays whole: it is a path or a command to be copied.
func wrap(text string, width int) []string {
	var lines []string
	for paragraph := range strings.Lines(text) {
		line, length := "", 0
		for _, word := range strings.Fields(paragraph) {
			n := utf8.RuneCountInString(word)
			if length > 0 && length+1+n > width {
				lines = append(lines, line)
				line, length = "", 0
			}
			if length > 0 {
				line, length = line+" ", length+1
			}
			line, length = line+word, length+n
		}
		lines = append(lines, line)
	}
	if len(lines) == 0 {
		return []string{""}
	}
	return lines
}
