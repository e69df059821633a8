package artifact

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"graft/internal/durable"
)

// Lookup returns the ID that was remembered for the build inputs key, or an error that is ErrNotFound.
func (s *Store) Lookup(key string) (string, error) {
	if err := checkKey(key); err != nil {
		return "", err
	}
	text, err := os.ReadFile(filepath.Join(s.builds, key))
	if errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("build %s: %w", key, ErrNotFound)
	}
	if err != nil {
		return "", fmt.Errorf("look up build: %w", err)
	}
	return strings.TrimSpace(string(text)), nil
}

// Remember records that the build inputs key gave the artifact id. A later call replaces it.
func (s *Store) Remember(key, id string) error {
	if err := checkKey(key); err != nil {
		return err
	}
	if err := durable.MkdirAll(s.builds, 0o755); err != nil {
		return fmt.Errorf("remember build: %w", err)
	}
	if err := durable.Replace("remember", filepath.Join(s.builds, key), strings.NewReader(id+"\n"), durable.Private(0o644)); err != nil {
		return fmt.Errorf("remember build: %w", err)
	}
	return nil
}

// checkKey keeps a key from being a path: keys are hexadecimal hashes.
func checkKey(key string) error {
	if !idPrefix.MatchString(key) {
		return fmt.Errorf("build key %q: not a hexadecimal hash", key)
	}
	return nil
}

// leadingNowhere lists the remembered builds whose artifact is not there, or is among those that go.
func (s *Store) leadingNowhere(going []Pruned) ([]string, error) {
	keys := []string{}
	entries, err := os.ReadDir(s.builds)
	if errors.Is(err, fs.ErrNotExist) {
		return keys, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list remembered builds: %w", err)
	}
	for _, e := range entries {
		if !idPrefix.MatchString(e.Name()) || !e.Type().IsRegular() {
			continue
		}
		nowhere, err := s.leadsNowhere(e.Name(), going)
		if err != nil {
			return nil, err
		}
		if nowhere {
			keys = append(keys, e.Name())
		}
	}
	return keys, nil
}

func (s *Store) leadsNowhere(key string, going []Pruned) (bool, error) {
	id, err := s.Lookup(key)
	if errors.Is(err, ErrNotFound) {
		return false, nil // forgotten since the directory was read
	}
	if err != nil {
		return false, err
	}
	goes := slices.ContainsFunc(going, func(p Pruned) bool { return p.ID == id })
	return goes || !IsID(id) || !exists(filepath.Join(s.artifacts, id)), nil
}

// forget removes remembered builds that lead nowhere now. One that was remembered anew since stays; in
// the instant between that look and the removal, it would cost a build and nothing else.
func (s *Store) forget(keys []string, gone []Pruned) error {
	for _, key := range keys {
		nowhere, err := s.leadsNowhere(key, gone)
		if err != nil {
			return err
		}
		if !nowhere {
			continue
		}
		if err := os.Remove(filepath.Join(s.builds, key)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("forget build: %w", err)
		}
	}
	return nil
}
