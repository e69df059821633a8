// Package traps holds the pages that explain the traps, so that the program shows them on a host without
// a network.
package traps

import (
	"embed"
	"fmt"
)

//go:embed *.md
var pages embed.FS

// Page is the page of the trap in Markdown.
func Page(id string) (string, error) {
	text, err := pages.ReadFile(id + ".md")
	if err != nil {
		return "", fmt.Errorf("page of %s: %w", id, err)
	}
	return string(text), nil
}
