package artifact

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
)

// Imported is what an import came to.
type Imported struct {
	Artifact Artifact
	Already  bool // it was in the store before
}

// Import takes an archive that Export wrote into the store. Nothing appears under its ID before all of
// it was read and checked: every rule (a *RefusedError names the entry and the rule), every byte. expect
// is the whole ID that it must have; if empty, it may be any: an ID says what is in an artifact, not who
// made it. An artifact that is in the store already is fine.
//
// A read of r that blocks is not interrupted by ctx.
func (s *Store) Import(ctx context.Context, r io.Reader, expect string) (Imported, error) {
	if expect != "" && !IsID(expect) {
		return Imported{}, fmt.Errorf("import artifact: expected ID %q: it takes all 64 hexadecimal digits; of a part of them, another artifact can be made", expect)
	}
	i, err := s.importArchive(ctx, r, expect)
	if err != nil {
		return Imported{}, fmt.Errorf("import artifact: %w", err)
	}
	return i, nil
}

func (s *Store) importArchive(ctx context.Context, r io.Reader, expect string) (i Imported, err error) {
	d, err := s.draft(ctx)
	if err != nil {
		return Imported{}, err
	}
	defer func() { err = errors.Join(err, d.discard()) }()
	m, err := unpackArchive(ctx, r, d, expect)
	if err != nil {
		return Imported{}, err
	}
	// What lies there now decides, not what was meant to be written.
	found := m
	found.Built = now()
	if err := found.describe(d.tree()); err != nil {
		return Imported{}, err
	}
	if found.ID != m.ID {
		return Imported{}, m.difference(found)
	}
	if i.Artifact, i.Already, err = s.place(d, found); err != nil {
		return Imported{}, err
	}
	return i, nil
}

// difference says in what a tree differs from the manifest that came with it.
func (m Manifest) difference(found Manifest) error {
	if what := firstDifference(m.Files, found.Files); what != "" {
		return refuse("archive", RuleContent, "%s", what)
	}
	return refuse(manifestName, RuleContent, "what it says of the binary is not true: its ID would be %s", found.ID)
}

// unpackArchive checks the archive and unpacks it into the draft. It returns the archive's manifest.
func unpackArchive(ctx context.Context, r io.Reader, d *draft, expect string) (Manifest, error) {
	o, err := openArchive(reader{ctx, r})
	if err != nil {
		return Manifest{}, o.explain(err)
	}
	defer o.decoder.Close()
	m, err := o.readManifest(expect)
	if err != nil {
		return Manifest{}, o.explain(err)
	}
	o.allow(m)
	if err := o.unpack(ctx, m, d.dir); err != nil {
		return Manifest{}, o.explain(err)
	}
	return m, o.explain(o.checkEnd())
}

// readManifest reads the first entry.
func (o *opened) readManifest(expect string) (Manifest, error) {
	h, err := o.tar.Next()
	if err != nil {
		return Manifest{}, err
	}
	if err := checkHeader(h); err != nil {
		return Manifest{}, err
	}
	if h.Name != manifestName || h.Typeflag != tar.TypeReg || h.Mode != 0o644 {
		return Manifest{}, refuse(h.Name, RuleManifest, "the first entry has to be %s, a file of mode 0644", manifestName)
	}
	if h.Size > maxManifest {
		return Manifest{}, refuse(manifestName, RuleSize, "it has %d bytes, %d are allowed", h.Size, maxManifest)
	}
	text, err := io.ReadAll(o.tar)
	if err != nil {
		return Manifest{}, err
	}
	m, err := decodeManifest(text)
	if err != nil {
		return Manifest{}, err
	}
	if m.Built != "" {
		return Manifest{}, refuse(manifestName, RuleManifest, "it says when it was built, which its ID does not vouch for")
	}
	if expect != "" && m.ID != expect {
		return Manifest{}, refuse(manifestName, RuleExpect, "this is artifact %s, not the expected %s", m.ID, expect)
	}
	return m, nil
}
