package preflight

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// rotation is one section of logrotate's configuration (logrotate(8)).
type rotation struct {
	where        string // file:line
	patterns     []string
	copytruncate bool
	script       string // postrotate and lastaction
	scriptAt     string // file:line of it
}

// rotates tells whether the section is for that file.
func (r rotation) rotates(path string) bool {
	return slices.ContainsFunc(r.patterns, func(p string) bool {
		match, err := filepath.Match(p, path)
		return err == nil && match || p == path
	})
}

// maxIncludes bounds how deep logrotate's files may include one another; it has no such bound itself.
const maxIncludes = 8

// readLogrotate reads logrotate's configuration and what it includes. A host without logrotate has none.
func readLogrotate(file string) ([]rotation, error) {
	r := logrotateReader{}
	err := r.read(file, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read logrotate's configuration: %w", err)
	}
	return r.sections, nil
}

type logrotateReader struct {
	sections     []rotation
	copytruncate bool // the default from here on
}

func (r *logrotateReader) read(file string, depth int) error {
	if depth > maxIncludes {
		return fmt.Errorf("%s: includes too deep", file)
	}
	info, err := os.Stat(file)
	if err != nil {
		return err
	}
	if info.IsDir() {
		entries, err := os.ReadDir(file) // sorted, as logrotate reads them
		if err != nil {
			return err
		}
		for _, entry := range entries {
			path := filepath.Join(file, entry.Name())
			if info, err := os.Stat(path); err != nil || !info.Mode().IsRegular() || taboo(entry.Name()) {
				continue
			}
			if err := r.read(path, depth+1); err != nil {
				return err
			}
		}
		return nil
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	return r.parse(file, string(text), depth)
}

// taboo are the endings of file names that logrotate passes over in directories, by default.
func taboo(name string) bool {
	for _, ending := range []string{".bak", ".cfsaved", ".disabled", ".dpkg-bak", ".dpkg-del", ".dpkg-dist", ".dpkg-new", ".dpkg-old", ".dpkg-tmp", ".rhn-cfg-tmp-", ".rpmnew", ".rpmorig", ".rpmsave", ".swp", ".ucf-dist", ".ucf-new", ".ucf-old", ",v", "~"} {
		if strings.HasSuffix(name, ending) {
			return true
		}
	}
	return strings.HasPrefix(name, ".")
}

// parse reads one file line by line: patterns up to a brace, directives, scripts up to endscript.
func (r *logrotateReader) parse(file, text string, depth int) error {
	var section *rotation // the open one
	var patterns []string // of the section to come
	var script, counts bool
	n, first := 0, 0
	for line := range strings.Lines(text) {
		n++
		line = strings.TrimSpace(line)
		word, rest, _ := strings.Cut(line, " ")
		if tab := strings.IndexByte(word, '\t'); tab >= 0 {
			word, rest = line[:tab], line[tab+1:]
		}
		switch {
		case script:
			if line == "endscript" {
				script = false
			} else if counts && section != nil && !strings.HasPrefix(line, "#") {
				section.script += line + "\n"
			}
		case line == "" || strings.HasPrefix(line, "#"):
		case slices.Contains(scripts, word):
			script, counts = true, word == "postrotate" || word == "lastaction"
			if counts && section != nil {
				section.scriptAt = fmt.Sprintf("%s:%d", file, n)
			}
		case word == "copytruncate" || word == "nocopytruncate":
			if section != nil {
				section.copytruncate = word == "copytruncate"
			} else {
				r.copytruncate = word == "copytruncate"
			}
		case section != nil && strings.HasPrefix(line, "}"):
			r.sections = append(r.sections, *section)
			section = nil
		case section != nil: // any other directive
		case word == "include":
			if err := r.read(strings.TrimSpace(rest), depth+1); err != nil {
				return err
			}
		case strings.HasPrefix(line, "/") || strings.HasPrefix(line, `"`) || strings.HasPrefix(line, "'") || strings.HasPrefix(line, "{"):
			if len(patterns) == 0 {
				first = n
			}
			names, rest, opens := strings.Cut(line, "{")
			more, err := splitWords(names)
			if err != nil {
				return fmt.Errorf("%s:%d: %w", file, n, err)
			}
			patterns = append(patterns, more...)
			if opens {
				section = &rotation{where: fmt.Sprintf("%s:%d", file, first), patterns: patterns, copytruncate: r.copytruncate}
				patterns = nil
				inside, closes := strings.CutSuffix(strings.TrimSpace(rest), "}")
				section.copytruncate = section.copytruncate || slices.Contains(strings.Fields(inside), "copytruncate")
				if closes {
					r.sections = append(r.sections, *section)
					section = nil
				}
			}
		}
	}
	return nil
}

var scripts = []string{"postrotate", "prerotate", "firstaction", "lastaction", "preremove"}

// reach is whom a rotation tells that the logs have moved.
type reach int

const (
	nobody     reach = iota // nobody that is known
	onePid                  // the process that the pid file names
	everybody               // every master
	reloading               // HUP to one: the logs are opened anew with the configuration
	truncating              // no need: the file stays the same
)

// What the scripts of distributions and of the manuals do. The first that fits tells.
var signals = []struct {
	reach reach
	text  *regexp.Regexp
}{
	{onePid, regexp.MustCompile(`systemctl\s+kill\b.*--kill-whom?[= ]main`)},
	{everybody, regexp.MustCompile(`systemctl\s+kill\b|\b(?:pkill|killall)\b.*USR1`)},
	{onePid, regexp.MustCompile(`-s\s*reopen\b|(?:invoke-rc\.d|service)\s+\S+\s+(?:rotate|reopen)|/init\.d/\S+\s+(?:rotate|reopen)`)},
	{onePid, regexp.MustCompile(`\bkill\b.*\bUSR1|start-stop-daemon\b.*\bUSR1|\bkill\s+-10\b`)},
	{reloading, regexp.MustCompile(`systemctl\s+(?:try-)?(?:reload|restart)|(?:invoke-rc\.d|service)\s+\S+\s+(?:force-)?(?:reload|restart)|/init\.d/\S+\s+(?:force-)?(?:reload|restart)|-s\s*reload\b|\bkill\b.*\bHUP`)},
}

// reaches reads the script.
func (r rotation) reaches() reach {
	if r.copytruncate {
		return truncating
	}
	for _, s := range signals {
		if s.text.MatchString(r.script) {
			return s.reach
		}
	}
	return nobody
}

// pidFiles lists the absolute paths that the script names and that look like pid files.
func (r rotation) pidFiles() []string {
	return pidFileName.FindAllString(r.script, -1)
}

var pidFileName = regexp.MustCompile(`/[\w./-]*\.pid\b|/[\w./-]*/pid\b`)
