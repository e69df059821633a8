package elffile

import (
	"fmt"
	"slices"
	"strings"
)

// Answer is what a file tells of a property. The zero value claims nothing. In JSON it is its name.
type Answer int

// The answers.
const (
	Unknown Answer = iota // the file cannot show it, or its machine has no such thing
	No
	Yes
)

var answerNames = [...]string{Unknown: "unknown", No: "no", Yes: "yes"}

func answer(yes bool) Answer {
	if yes {
		return Yes
	}
	return No
}

func (a Answer) String() string { return nameOf(int(a), answerNames[:], "answer") }

// MarshalText writes the answer's name.
func (a Answer) MarshalText() ([]byte, error) { return []byte(a.String()), nil }

// UnmarshalText reads an answer's name; any other word is an error.
func (a *Answer) UnmarshalText(text []byte) error {
	i, err := parseName(text, answerNames[:], "answer")
	*a = Answer(i)
	return err
}

// RELRO is how much of the linker's tables is read-only once the program runs. In JSON it is its name.
type RELRO int

// The degrees of RELRO.
const (
	RELRONone    RELRO = iota
	RELROPartial       // not the table of the functions' addresses, which is filled as they are called
	RELROFull          // all of it, because every function is found before the program starts
)

var relroNames = [...]string{RELRONone: "none", RELROPartial: "partial", RELROFull: "full"}

func (r RELRO) String() string { return nameOf(int(r), relroNames[:], "RELRO") }

// MarshalText writes the degree's name.
func (r RELRO) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// UnmarshalText reads a degree's name; any other word is an error.
func (r *RELRO) UnmarshalText(text []byte) error {
	i, err := parseName(text, relroNames[:], "RELRO")
	*r = RELRO(i)
	return err
}

func nameOf(i int, names []string, what string) string {
	if i < 0 || i >= len(names) {
		return fmt.Sprintf("%s %d", what, i)
	}
	return names[i]
}

func parseName(text []byte, names []string, what string) (int, error) {
	i := slices.Index(names, string(text))
	if i < 0 {
		return 0, fmt.Errorf("%s %q: want one of %s", what, text, strings.Join(names, ", "))
	}
	return i, nil
}
