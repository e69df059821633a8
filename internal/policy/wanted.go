package policy

import (
	"errors"
	"reflect"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/token"
)

// wanted says what a key wants whose value is of another kind; empty for an error of another sort. The decoder's own
// words speak of Go.
func wanted(err error, body ast.Node) string {
	var kind string
	var other *yaml.TypeError
	var node *yaml.UnexpectedNodeTypeError
	var large *yaml.OverflowError
	var at *token.Token
	switch {
	case errors.As(err, &other):
		kind, at = kindWords(other.DstType.Kind()), other.Token
	case errors.As(err, &node) && node.Expected == ast.SequenceType:
		kind, at = "a list", node.Token
	case errors.As(err, &node) && node.Expected == ast.MappingType:
		kind, at = "keys with values", node.Token
	case errors.As(err, &large):
		kind, at = "a smaller number", large.Token
	}
	if kind == "" {
		return ""
	}
	keys, _ := keysTo(body, at)
	text := "want " + kind
	if len(keys) > 0 {
		text = strings.Join(keys, ".") + ": " + text
	}
	return text + ", as " + exampleOf(keys)
}

func kindWords(k reflect.Kind) string {
	switch k {
	case reflect.Float64:
		return "a number"
	case reflect.Int, reflect.Int64:
		return "a whole number"
	case reflect.Bool:
		return "true or false"
	case reflect.Slice:
		return "a list"
	case reflect.Map, reflect.Struct:
		return "keys with values"
	}
	return "one word or text"
}

// exampleOf is a value for the innermost key that has one.
func exampleOf(keys []string) string {
	examples := map[string]string{
		"gates": "{overlap: 5m, park: 24h}", "alpha": "0.01", "margin": "1.5", "minimum": "{requests: 100}", "requests": "100",
		"undetermined": "hold", "degraded": "hold", "signals": "{5xx: {action: rollback}}", "action": "warn", "required": "true",
		"blackout": "[{days: [sat], from: 22:00, to: 24:00}]", "finish_only": "[{days: [sun], from: 02:00, to: 05:00}]", "days": "[mon, tue]",
		"name": "nightly batch", "zone": "Europe/Berlin", "probes": "{rate: 5}", "rate": "5", "urls": "[{url: http://localhost/}]",
		"url": "http://localhost/", "method": "HEAD", "headers": "{Accept: text/html}", "expect": "{status: [200]}", "status": "[200]", "ignore_headers": "[ETag]",
	}
	for n := len(keys) - 1; n >= 0; n-- {
		if example, ok := examples[keys[n]]; ok {
			return keys[n] + ": " + example
		}
	}
	return "alpha: 0.01"
}

// keysTo are the keys that lead to the value at a token.
func keysTo(n ast.Node, at *token.Token) (keys []string, found bool) {
	if n == nil || n.GetToken() == at {
		return nil, n != nil
	}
	switch n := n.(type) {
	case *ast.MappingNode:
		for _, pair := range n.Values {
			if keys, found = keysTo(pair, at); found {
				return keys, true
			}
		}
	case *ast.MappingValueNode:
		if keys, found = keysTo(n.Value, at); found {
			return append([]string{n.Key.GetToken().Value}, keys...), true
		}
	case *ast.SequenceNode:
		for _, value := range n.Values {
			if keys, found = keysTo(value, at); found {
				return keys, true
			}
		}
	}
	return nil, false
}
