package artifact

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"path/filepath"
)

// maxObjects bounds what a small hostile manifest may unfold to in memory: "[{},{},…" takes twenty
// times its length.
const maxObjects = 3 * maxFiles

// encode is the one form in which a manifest is written.
func (m Manifest) encode() ([]byte, error) {
	text, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("write manifest: %w", err)
	}
	return append(text, '\n'), nil
}

// decodeManifest reads what encode wrote and checks it: form, hash, and every rule that needs no tree.
// Other JSON is refused even if it means the same: unknown, double or differently spelled keys would
// not be part of the ID.
func decodeManifest(text []byte) (Manifest, error) {
	if int64(len(text)) > maxManifest || bytes.Count(text, []byte("{")) > maxObjects {
		return Manifest{}, refuse(manifestName, RuleSize, "it has %d bytes, %d are allowed, or too many parts", len(text), maxManifest)
	}
	var m Manifest
	if err := json.Unmarshal(text, &m); err != nil {
		return Manifest{}, &RefusedError{Entry: manifestName, Rule: RuleManifest, Why: "it is not a manifest", Err: err}
	}
	if m.Schema != schema {
		return Manifest{}, refuse(manifestName, RuleManifest, "it is of schema %d, this graft reads schema %d: use the graft that wrote it", m.Schema, schema)
	}
	canonical, err := m.encode()
	if err != nil {
		return Manifest{}, err
	}
	if !bytes.Equal(text, canonical) {
		return Manifest{}, refuse(manifestName, RuleManifest, "it is not written as graft writes it: edited, or from another version of graft")
	}
	sum, err := m.sum()
	if err != nil {
		return Manifest{}, err
	}
	if m.ID != sum {
		return Manifest{}, refuse(manifestName, RuleID, "it says %s, and its own hash is %s", printable(m.ID), sum)
	}
	return m, m.check()
}

// sum is the manifest's ID as Manifest defines it.
func (m Manifest) sum() (string, error) {
	m.ID, m.Built = "", ""
	text, err := json.Marshal(m)
	if err != nil {
		return "", fmt.Errorf("hash manifest: %w", err)
	}
	hash := sha256.Sum256(text)
	return hex.EncodeToString(hash[:]), nil
}

// describe fills in what follows from the tree: Files, Libraries and ID. It fails if a rule is broken.
func (m *Manifest) describe(tree string) error {
	files, err := scanTree(tree, hashFile)
	if err != nil {
		return err
	}
	m.Schema, m.Files = schema, files
	if m.Flags == nil {
		m.Flags = []Flag{}
	}
	if m.Build.Configure == nil {
		m.Build.Configure = []string{}
	}
	m.cleanText()
	if err := m.check(); err != nil {
		return err
	}
	if m.Libraries, err = neededLibraries(filepath.Join(tree, filepath.FromSlash(m.Binary))); err != nil {
		return &RefusedError{Entry: m.Binary, Rule: RuleBinary, Why: "it is no program that nginx could be", Err: err}
	}
	m.cleanText()
	if m.ID, err = m.sum(); err != nil {
		return err
	}
	// What import would refuse is not stored either.
	text, err := m.encode()
	if err != nil {
		return err
	}
	_, err = decodeManifest(text)
	return err
}
