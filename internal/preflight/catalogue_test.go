package preflight

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"
)

// The answers that the catalogue tells of are those that the code of the check can give.
func TestCatalogueTellsWhatAChecksCodeCanAnswer(t *testing.T) {
	calls := callsOf(t)
	for _, e := range Catalogue() {
		name := runtime.FuncForPC(reflect.ValueOf(e.look).Pointer()).Name()
		reached := make(map[string]bool)
		follow(calls, strings.TrimPrefix(filepath.Ext(name), "."), reached)
		var want []Severity
		for s, answer := range []string{Blocker: "blocker", Warning: "warning", Note: "note", OK: "ok"} {
			// A check that goes by paths is a warning where it cannot be made.
			if reached[answer] || e.files && Severity(s) == Warning {
				want = append(want, Severity(s))
			}
		}
		if !slices.Equal(e.Answers, want) {
			t.Errorf("%s: the catalogue tells of %v, the code of %v", e.ID, e.Answers, want)
		}
	}
}

// callsOf maps the package's functions and methods to what they call, by name alone.
func callsOf(t *testing.T) map[string][]string {
	t.Helper()
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	calls := make(map[string][]string)
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, decl := range file.Decls {
			f, isFunc := decl.(*ast.FuncDecl)
			if !isFunc {
				continue
			}
			ast.Inspect(f, func(n ast.Node) bool {
				if call, isCall := n.(*ast.CallExpr); isCall {
					switch fun := call.Fun.(type) {
					case *ast.Ident:
						calls[f.Name.Name] = append(calls[f.Name.Name], fun.Name)
					case *ast.SelectorExpr:
						calls[f.Name.Name] = append(calls[f.Name.Name], fun.Sel.Name)
					}
				}
				return true
			})
		}
	}
	return calls
}

func follow(calls map[string][]string, from string, reached map[string]bool) {
	for _, to := range calls[from] {
		if !reached[to] {
			reached[to] = true
			follow(calls, to, reached)
		}
	}
}
