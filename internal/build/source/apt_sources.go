package source

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// aptSource is one entry of apt's sources, whichever of the two formats it was written in.
type aptSource struct {
	uris, suites, components []string
	fields                   []aptField // the rest of a deb822 stanza, or the options in brackets
	disabled, binary         bool
}

// aptField is a field as deb822 writes it; value may span lines, each continued one indented.
type aptField struct{ name, value string }

// ofDistribution reduces the entry to what is the distribution's own, for the release that this
// machine runs: component main (on Ubuntu universe too) of the release's suite, its updates and its
// security updates. Nothing of it left: false.
func (s aptSource) ofDistribution(codename string) (aptSource, bool) {
	keep := func(list []string, wanted ...string) []string {
		return slices.DeleteFunc(slices.Clone(list), func(name string) bool { return !slices.Contains(wanted, name) })
	}
	s.suites = keep(s.suites, codename, codename+"-updates", codename+"-security", codename+"/updates")
	s.components = keep(s.components, "main", "universe")
	s.uris = slices.DeleteFunc(slices.Clone(s.uris), func(uri string) bool { return strings.HasPrefix(uri, "cdrom:") })
	ok := !s.disabled && s.binary && len(s.suites) > 0 && len(s.uris) > 0 && len(s.components) > 0
	return s, ok
}

// readAptSources reads sources.list and the files of sources.list.d; either may be missing.
func readAptSources(list, parts string) ([]aptSource, error) {
	files := []string{list}
	for _, pattern := range []string{"*.list", "*.sources"} {
		found, err := filepath.Glob(filepath.Join(parts, pattern))
		if err != nil {
			return nil, err
		}
		files = append(files, found...)
	}
	var sources []aptSource
	for _, file := range files {
		text, err := os.ReadFile(file)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("read apt's sources: %w", err)
		}
		parse := parseOneLine
		if strings.HasSuffix(file, ".sources") {
			parse = parseDeb822
		}
		sources = append(sources, parse(string(text))...)
	}
	return sources, nil
}

// parseOneLine reads lines like "deb [signed-by=/k.gpg arch=amd64] URI suite main contrib".
func parseOneLine(text string) []aptSource {
	var sources []aptSource
	for line := range strings.Lines(text) {
		line, _, _ = strings.Cut(line, "#")
		kind, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		if kind != "deb" {
			continue
		}
		s := aptSource{binary: true}
		rest = strings.TrimSpace(rest)
		if strings.HasPrefix(rest, "[") {
			options, after, _ := strings.Cut(rest[1:], "]")
			rest = after
			for option := range strings.FieldsSeq(options) {
				name, value, _ := strings.Cut(option, "=")
				s.fields = append(s.fields, aptField{deb822Name(name), strings.ReplaceAll(value, ",", " ")})
			}
		}
		words := strings.Fields(rest)
		if len(words) < 2 {
			continue
		}
		s.uris, s.suites, s.components = words[:1], words[1:2], words[2:]
		sources = append(sources, s)
	}
	return sources
}

// deb822Name is the field of a one-line option: sources.list(5) calls "arch" Architectures.
func deb822Name(option string) string {
	switch option {
	case "arch":
		return "Architectures"
	case "lang":
		return "Languages"
	case "target":
		return "Targets"
	}
	parts := strings.Split(option, "-")
	for i, p := range parts {
		if p != "" {
			parts[i] = strings.ToUpper(p[:1]) + p[1:]
		}
	}
	return strings.Join(parts, "-")
}

// parseDeb822 reads stanzas of "Field: value", continued lines indented, apart by empty lines.
func parseDeb822(text string) []aptSource {
	var sources []aptSource
	var stanza []aptField
	finish := func() {
		if len(stanza) > 0 {
			sources = append(sources, fromStanza(stanza))
		}
		stanza = nil
	}
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, " \t\r\n")
		switch {
		case strings.HasPrefix(line, "#"):
		case line == "":
			finish()
		case (line[0] == ' ' || line[0] == '\t') && len(stanza) > 0:
			stanza[len(stanza)-1].value += "\n" + line
		default:
			name, value, _ := strings.Cut(line, ":")
			stanza = append(stanza, aptField{name, strings.TrimSpace(value)})
		}
	}
	finish()
	return sources
}

func fromStanza(stanza []aptField) aptSource {
	var s aptSource
	for _, f := range stanza {
		switch strings.ToLower(f.name) {
		case "types":
			s.binary = slices.Contains(strings.Fields(f.value), "deb")
		case "uris":
			s.uris = strings.Fields(f.value)
		case "suites":
			s.suites = strings.Fields(f.value)
		case "components":
			s.components = strings.Fields(f.value)
		case "enabled":
			s.disabled = slices.Contains([]string{"no", "false", "without", "off", "disable"}, strings.ToLower(f.value))
		default:
			s.fields = append(s.fields, f)
		}
	}
	return s
}

// writeAptSources writes the entries as deb822, for binaries and sources.
func writeAptSources(sources []aptSource) string {
	var text strings.Builder
	for _, s := range sources {
		fmt.Fprintf(&text, "Types: deb deb-src\nURIs: %s\nSuites: %s\nComponents: %s\n",
			strings.Join(s.uris, " "), strings.Join(s.suites, " "), strings.Join(s.components, " "))
		for _, f := range s.fields {
			fmt.Fprintf(&text, "%s: %s\n", f.name, f.value)
		}
		text.WriteString("\n")
	}
	return text.String()
}
