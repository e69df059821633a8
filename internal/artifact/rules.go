package artifact

import (
	"fmt"
	"path"
	"slices"
	"strings"
)

// Rule names one of the rules that every artifact keeps, whether it was built here or imported. They
// are checked before a file is placed in the store, and again whenever an artifact is read from it:
// root runs what an artifact holds, and Place writes on the host where its manifest says.
type Rule string

// The rules. docs/artifacts.md tells them to users.
const (
	RuleArchive    Rule = "archive"    // one zstd frame with one tar in it: nothing cut, nothing after
	RuleManifest   Rule = "manifest"   // the first entry, in the one form that graft writes
	RuleID         Rule = "id"         // the manifest's own hash
	RuleExpect     Rule = "expect"     // the ID that the user asked for
	RuleText       Rule = "text"       // nothing that a terminal would obey
	RuleName       Rule = "name"       // a clean relative path in printable UTF-8
	RuleListed     Rule = "listed"     // what the manifest lists, each once, in its order, nothing else
	RuleParent     Rule = "parent"     // what a file lies in is a directory, not a link or a file
	RuleType       Rule = "type"       // files, directories, symbolic links
	RuleMode       Rule = "mode"       // no set-user-ID and the like; nobody but the owner may write
	RuleAttributes Rule = "attributes" // no owners, times, extended attributes
	RuleLink       Rule = "link"       // it leads to something in the tree, whatever links are on the way
	RuleSize       Rule = "size"       // what a host can hold
	RuleContent    Rule = "content"    // what the manifest says it is
	RuleBinary     Rule = "binary"     // an executable of the tree
	RulePrefix     Rule = "prefix"     // a directory of its own, none of the system's
	RuleConfig     Rule = "config"     // the configuration is the host's own
)

// What an artifact may be at most. OpenResty 1.27 with its documentation and debug symbols has 1,100
// files, 70 MiB and a manifest of 300 KB.
const (
	maxFiles          = 10_000
	maxFile     int64 = 512 << 20 // bytes; the way back stores the old binary, with whatever is linked into it
	maxTree     int64 = 1 << 30   // bytes, all files
	maxManifest int64 = 4 << 20   // bytes of JSON
	maxName           = 1024      // bytes of a path or of a link's target
	maxPart           = 255       // bytes between two slashes, NAME_MAX of Linux's file systems
	maxHops           = 40        // links on the way to what one leads to, as the kernel counts (MAXSYMLINKS)
	maxSteps          = 512       // names on that way
)

// RefusedError says which entry breaks which rule.
type RefusedError struct {
	Entry string // a path in the tree, a field of the manifest, or "archive"
	Rule  Rule
	Why   string
	Err   error // what was found while reading; may be nil
}

func (e *RefusedError) Error() string {
	text := fmt.Sprintf("%s is refused by the rule %q: %s", printable(e.Entry), e.Rule, e.Why)
	if e.Err != nil {
		text += ": " + e.Err.Error()
	}
	return text
}

func (e *RefusedError) Unwrap() error { return e.Err }

func refuse(entry string, rule Rule, why string, args ...any) *RefusedError {
	return &RefusedError{Entry: entry, Rule: rule, Why: fmt.Sprintf(why, args...)}
}

// check applies every rule that the manifest alone decides.
func (m Manifest) check() error {
	if m.Schema != schema {
		return refuse("schema", RuleManifest, "it is %d, this graft reads and writes %d", m.Schema, schema)
	}
	if err := m.checkText(); err != nil {
		return err
	}
	if err := m.checkFields(); err != nil {
		return err
	}
	if m.Prefix != "" {
		if err := checkPrefix(m.Prefix); err != nil {
			return err
		}
	}
	l, err := newListing(m.Files)
	if err != nil {
		return err
	}
	if err := m.checkBinary(l); err != nil {
		return err
	}
	if err := m.checkConfig(); err != nil {
		return err
	}
	return l.checkLinks(strings.TrimPrefix(m.Prefix, "/"))
}

// checkFields checks what programs decide by.
func (m Manifest) checkFields() error {
	for i, f := range m.Flags {
		if !slices.Contains([]Action{Keep, Drop, Rewrite, Add}, f.Action) {
			return refuse(fmt.Sprintf("flags[%d].action", i), RuleManifest, "%q is none of keep, drop, rewrite, add", f.Action)
		}
	}
	if s := m.Source.Signature; s != nil && !slices.Contains([]SignatureStatus{SignatureGood, SignatureNone, SignatureSkipped}, s.Status) {
		return refuse("source.signature.status", RuleManifest, "%q is none of good, none, skipped", s.Status)
	}
	return nil
}

// checkBinary: the binary and the other files that the manifest names are among those it lists.
func (m Manifest) checkBinary(l listing) error {
	if err := checkName(m.Binary, m.Binary); err != nil {
		return refuse("binary", RuleBinary, "%s", err.Why)
	}
	f, ok := l.files[m.Binary]
	switch {
	case !ok || f.SHA256 == "":
		return refuse("binary", RuleBinary, "no file %s in the tree", printable(m.Binary))
	case f.Mode&0o111 == 0:
		return refuse(m.Binary, RuleBinary, "the binary is not executable (mode %v)", f.Mode)
	}
	if m.Debug != "" && l.files[m.Debug].SHA256 == "" {
		return refuse("debug", RuleListed, "no file %s in the tree", printable(m.Debug))
	}
	for i, module := range m.Modules {
		if module.File != "" && l.files[module.File].SHA256 == "" {
			return refuse(fmt.Sprintf("modules[%d].file", i), RuleListed, "no file %s in the tree", printable(module.File))
		}
	}
	return nil
}

// checkConfig refuses a runtime with configuration in it. An include with a wildcard would take up
// a file that was not there before, at the next reload of whatever runs.
func (m Manifest) checkConfig() error {
	closed := []string{m.Prefix + "/conf", m.Prefix + "/nginx/conf"}
	conf := m.Build.Conf
	if !path.IsAbs(conf) {
		conf = path.Join(m.Build.Prefix, conf)
	}
	// A configuration file in the prefix itself closes no more than its own place.
	if conf = path.Clean(conf); path.Dir(conf) != m.Prefix {
		conf = path.Dir(conf)
	}
	closed = append(closed, conf)
	for _, f := range m.runtime() {
		for _, dir := range closed {
			if within("/"+f.Path, dir) {
				return refuse(f.Path, RuleConfig, "it would lie in %s on the host, where configuration is", dir)
			}
		}
	}
	return nil
}

// runtime lists the files under the prefix.
func (m Manifest) runtime() []File {
	if m.Prefix == "" {
		return nil
	}
	var files []File
	for _, f := range m.Files {
		if strings.HasPrefix("/"+f.Path, m.Prefix+"/") {
			files = append(files, f)
		}
	}
	return files
}

// within tells whether the clean path is dir or lies below it.
func within(p, dir string) bool {
	return p == dir || strings.HasPrefix(p, strings.TrimSuffix(dir, "/")+"/")
}
