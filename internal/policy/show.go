package policy

import (
	"fmt"

	"github.com/goccy/go-yaml"
)

// YAML is the policy as a file that Parse reads back to the same.
func (p Policy) YAML() (string, error) {
	text, err := yaml.MarshalWithOptions(p, yaml.IndentSequence(true))
	if err != nil {
		return "", fmt.Errorf("write the policy: %w", err)
	}
	return string(text), nil
}
