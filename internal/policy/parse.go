package policy

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/printer"
	"github.com/goccy/go-yaml/token"
)

// Error is a mistake in a policy file. Its text shows the place.
type Error struct {
	File    string
	Line    int // 0: the file as a whole
	Column  int
	Problem string
	Excerpt string // the lines around it, and a caret
}

func (e *Error) Error() string {
	if e.Line == 0 {
		return fmt.Sprintf("policy %s: %s", e.File, e.Problem)
	}
	return fmt.Sprintf("policy %s:%d:%d: %s\n%s", e.File, e.Line, e.Column, e.Problem, e.Excerpt)
}

// Load reads a policy file.
func Load(path string) (Policy, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return Policy{}, fmt.Errorf("read the policy: %w", err)
	}
	return Parse(path, data)
}

// Parse reads a policy: what it leaves out is as in Defaults. An unknown key is a mistake, and so is a
// value that means nothing; both are an *Error.
func Parse(name string, data []byte) (Policy, error) {
	file, err := parser.ParseBytes(data, 0)
	if err != nil {
		return Policy{}, located(name, err, nil)
	}
	if len(file.Docs) > 1 {
		return Policy{}, &Error{File: name, Problem: "it holds a second document (after ---), which would say nothing: want one"}
	}
	p := Defaults()
	if len(file.Docs) == 0 || file.Docs[0].Body == nil || file.Docs[0].Body.Type() == ast.NullType || file.Docs[0].Body.Type() == ast.CommentType {
		return p, nil // an empty file says nothing, and that is fine
	}
	body := file.Docs[0].Body
	if nothing := ast.Filter(ast.NullType, body); len(nothing) > 0 {
		return Policy{}, placed(name, nothing[0].GetToken(), "a key without a value: give it one, or leave it out for what is usual")
	}
	if err := yaml.NewDecoder(bytes.NewReader(nil), yaml.Strict()).DecodeFromNode(body, &p); err != nil {
		return Policy{}, located(name, err, body)
	}
	for _, windows := range [][]Window{p.Blackout, p.FinishOnly} {
		for i, w := range windows {
			if w.From == 0 && w.To == 0 { // without times: whole days
				windows[i].To = dayEnd
			}
		}
	}
	wrong := p.problem()
	if wrong == nil {
		wrong = p.never(time.Now())
	}
	if wrong != nil {
		return Policy{}, pointed(name, body, wrong)
	}
	return p, nil
}

// located is the decoder's error with its place, and for an unknown key the one that may have been meant.
func located(name string, err error, body ast.Node) error {
	var told yaml.Error
	if !errors.As(err, &told) || told.GetToken() == nil {
		return &Error{File: name, Problem: err.Error()}
	}
	at, text := told.GetToken(), told.GetMessage()
	var unknown *yaml.UnknownFieldError
	if errors.As(err, &unknown) {
		key := at.Value
		text = fmt.Sprintf("unknown key %q%s", key, meant(key, Keys()))
	}
	if kind := wanted(err, body); kind != "" {
		text = kind
	}
	return placed(name, at, text)
}

func placed(name string, at *token.Token, text string) *Error {
	excerpt := new(printer.Printer).PrintErrorToken(at, false)
	return &Error{File: name, Line: at.Position.Line, Column: at.Position.Column, Problem: text, Excerpt: strings.TrimRight(excerpt, "\n")}
}

// pointed finds the place of what p.problem told of.
func pointed(name string, body ast.Node, wrong *mistake) error {
	if at := place(body, wrong.path); at != nil {
		return placed(name, at, wrong.text)
	}
	return &Error{File: name, Problem: strings.Join(wrong.path, ".") + ": " + wrong.text}
}

// place is the token at the path, or of the last part of it that is there: a key that is missing is looked
// for where it should be.
func place(n ast.Node, path []string) *token.Token {
	if len(path) == 0 {
		return n.GetToken()
	}
	switch n := n.(type) {
	case *ast.MappingNode:
		for _, pair := range n.Values {
			if pair.Key.GetToken().Value == path[0] {
				return inside(pair, path[1:])
			}
		}
	case *ast.MappingValueNode: // a mapping of one key
		if n.Key.GetToken().Value == path[0] {
			return inside(n, path[1:])
		}
	case *ast.SequenceNode:
		for i, value := range n.Values {
			if fmt.Sprint(i) == path[0] {
				if at := place(value, path[1:]); at != nil {
					return at
				}
				return value.GetToken()
			}
		}
	}
	return nil
}

func inside(pair *ast.MappingValueNode, path []string) *token.Token {
	if at := place(pair.Value, path); at != nil {
		return at
	}
	return pair.Key.GetToken()
}

// scalar hands a value's text to its type. An error points at the value.
func scalar(n ast.Node, read func([]byte) error) error {
	value, ok := n.(ast.ScalarNode)
	if !ok {
		return &yaml.SyntaxError{Message: "want one value here, not a list or a mapping", Token: n.GetToken()}
	}
	if err := read([]byte(value.GetToken().Value)); err != nil {
		return &yaml.SyntaxError{Message: err.Error(), Token: n.GetToken()}
	}
	return nil
}

// UnmarshalYAML reads it.
func (d *Duration) UnmarshalYAML(n ast.Node) error { return scalar(n, d.UnmarshalText) }

// UnmarshalYAML reads it.
func (d *Day) UnmarshalYAML(n ast.Node) error { return scalar(n, d.UnmarshalText) }

// UnmarshalYAML reads it.
func (d *Date) UnmarshalYAML(n ast.Node) error { return scalar(n, d.UnmarshalText) }

// UnmarshalYAML reads it.
func (t *TimeOfDay) UnmarshalYAML(n ast.Node) error { return scalar(n, t.UnmarshalText) }
