package preflight

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// setting is one assignment of a unit file.
type setting struct {
	section, key, value string
	file                string
	line                int
}

func (s setting) where() string { return fmt.Sprintf("%s:%d", s.file, s.line) }

// unitDirs are where systemd looks, the first one wins (systemd.unit(5)).
var unitDirs = []string{"/etc/systemd/system", "/run/systemd/system", "/usr/local/lib/systemd/system", "/lib/systemd/system", "/usr/lib/systemd/system"}

// readUnit reads a unit and its drop-ins, in the order in which systemd applies them. A unit that
// does not exist, or is masked, has no settings.
func readUnit(name string) ([]setting, error) {
	var all []setting
	for _, dir := range unitDirs {
		path := filepath.Join(dir, name)
		text, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("read unit: %w", err)
		}
		all = parseUnit(path, string(text))
		break
	}
	if len(all) == 0 {
		return nil, nil
	}
	// Of drop-ins with one name the first directory's counts; all are applied in order of name.
	dropIns := map[string]string{}
	for _, dir := range slices.Backward(unitDirs) {
		files, err := filepath.Glob(filepath.Join(dir, name+".d", "*.conf"))
		if err != nil {
			return nil, fmt.Errorf("list drop-ins: %w", err)
		}
		for _, f := range files {
			dropIns[filepath.Base(f)] = f
		}
	}
	names := make([]string, 0, len(dropIns))
	for name := range dropIns {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		text, err := os.ReadFile(dropIns[name])
		if err != nil {
			return nil, fmt.Errorf("read drop-in: %w", err)
		}
		all = append(all, parseUnit(dropIns[name], string(text))...)
	}
	return all, nil
}

// parseUnit reads systemd's syntax (systemd.syntax(7)): sections, comments, lines continued by a
// backslash.
func parseUnit(file, text string) []setting {
	var all []setting
	section, pending, start, n := "", "", 0, 0
	for line := range strings.Lines(text) {
		n++
		line = strings.TrimSpace(line)
		comment := strings.HasPrefix(line, "#") || strings.HasPrefix(line, ";")
		if comment || line == "" && pending == "" {
			continue // comments may stand inside a continued line, too
		}
		if pending == "" {
			start = n
		}
		if head, more := strings.CutSuffix(line, `\`); more {
			pending += head + " "
			continue
		}
		line, pending = pending+line, ""
		if name, isSection := strings.CutPrefix(line, "["); isSection {
			section = strings.TrimSuffix(name, "]")
			continue
		}
		if key, value, isSetting := strings.Cut(line, "="); isSetting {
			all = append(all, setting{section, strings.TrimSpace(key), strings.TrimSpace(value), file, start})
		}
	}
	return all
}

// last is the setting that counts: the last one, an empty one taking back those before.
func last(all []setting, section, key string) (setting, bool) {
	for _, s := range slices.Backward(all) {
		if s.section == section && s.key == key {
			return s, s.value != ""
		}
	}
	return setting{}, false
}

// splitExec reads the value of ExecStart= as systemd.service(5) tells: prefixes before the path,
// words with quotes and escapes. Variables and specifiers are left as they stand.
func splitExec(value string) ([]string, error) {
	prefixes := len(value) - len(strings.TrimLeft(value, "@-:+!|"))
	named := strings.Contains(value[:prefixes], "@")
	words, err := splitWords(value[prefixes:])
	if err != nil {
		return nil, err
	}
	if len(words) == 0 || named && len(words) < 2 {
		return nil, errors.New("no command")
	}
	if named { // the second word is argv[0]
		words = slices.Delete(words, 1, 2)
	}
	return words, nil
}

// splitWords splits at white space that is not quoted. A backslash keeps what follows it.
func splitWords(s string) ([]string, error) {
	var (
		words []string
		word  strings.Builder
		quote rune
		open  bool // a word has begun
		keep  bool // the character before was a backslash
	)
	for _, c := range s {
		switch {
		case keep:
			word.WriteRune(c)
			keep = false
		case c == '\\' && quote != '\'':
			keep, open = true, true
		case quote != 0 && c == quote:
			quote = 0
		case quote != 0:
			word.WriteRune(c)
		case c == '\'' || c == '"':
			quote, open = c, true
		case c == ' ' || c == '\t':
			if open {
				words = append(words, word.String())
				word.Reset()
				open = false
			}
		default:
			word.WriteRune(c)
			open = true
		}
	}
	if quote != 0 {
		return nil, fmt.Errorf("the quote %c is not closed", quote)
	}
	if open {
		words = append(words, word.String())
	}
	return words, nil
}
