// Package docs_test holds what the documents say against the code that they speak of.
package docs_test

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"graft/internal/policy"
	"graft/internal/preflight"
)

const root = ".."

// files reads the repository's files with that ending, by path.
func files(t *testing.T, ending string) map[string]string {
	t.Helper()
	found := make(map[string]string)
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && strings.HasPrefix(d.Name(), ".") && path != root:
			return fs.SkipDir
		case d.IsDir() || !strings.HasSuffix(path, ending):
			return nil
		}
		text, err := os.ReadFile(path)
		found[path] = string(text)
		return err
	})
	if err != nil || len(found) == 0 {
		t.Fatalf("%d files *%s: %v", len(found), ending, err)
	}
	return found
}

func text(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(root, path))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func TestEveryTestThatADocumentNamesIsThere(t *testing.T) {
	there := make(map[string]bool)
	function := regexp.MustCompile(`(?m)^func ((?:Test|Fuzz|Benchmark)[A-Z0-9]\w*)\(`)
	for _, code := range files(t, "_test.go") {
		for _, m := range function.FindAllStringSubmatch(code, -1) {
			there[m[1]] = true
		}
	}
	named := 0
	for path, words := range files(t, ".md") {
		for _, name := range regexp.MustCompile(`\b(?:Test|Fuzz|Benchmark)[A-Z]\w+`).FindAllString(words, -1) {
			named++
			if !there[name] {
				t.Errorf("%s names %s, which is nowhere", path, name)
			}
		}
	}
	if named == 0 {
		t.Error("no document names a test")
	}
}

func TestEveryLinkLeadsToAFile(t *testing.T) {
	for path, words := range files(t, ".md") {
		for _, m := range regexp.MustCompile(`\]\(([^)#]+)(?:#[^)]*)?\)`).FindAllStringSubmatch(words, -1) {
			if strings.Contains(m[1], "://") {
				continue
			}
			if _, err := os.Stat(filepath.Join(filepath.Dir(path), m[1])); err != nil {
				t.Errorf("%s: %v", path, err)
			}
		}
	}
}

// The first column of docs/architecture.md's table has all packages, and no other.
func TestThePackagesAreThoseOfTheTable(t *testing.T) {
	var have []string
	for path := range files(t, ".go") {
		dir, err := filepath.Rel(filepath.Join(root, "internal"), filepath.Dir(path))
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasPrefix(dir, "..") && !strings.Contains(dir, "testdata") && !slices.Contains(have, dir) {
			have = append(have, dir)
		}
	}
	var told []string
	_, table, _ := strings.Cut(text(t, "docs/architecture.md"), "## Packages\n")
	for line := range strings.Lines(table) {
		if cells := strings.Split(line, "|"); len(cells) > 2 {
			for _, m := range regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(cells[1], -1) {
				if !strings.HasPrefix(m[1], "docs/") {
					told = append(told, m[1])
				}
			}
		}
	}
	slices.Sort(have)
	slices.Sort(told)
	if diff := cmp.Diff(have, told); diff != "" {
		t.Errorf("packages (-code +table)\n%s", diff)
	}
}

// What is no prose is the same in both languages: how many sections, the recorded session, the links.
func TestBothLanguagesTellTheSame(t *testing.T) {
	for english, chinese := range map[string]string{"README.md": "README.zh-CN.md", "docs/runbook.md": "docs/runbook.zh-CN.md"} {
		a, b := outline(text(t, english)), outline(text(t, chinese))
		if diff := cmp.Diff(a, b); diff != "" {
			t.Errorf("%s and %s differ (-english +chinese)\n%s", english, chinese, diff)
		}
	}
	checks := len(preflight.Catalogue())
	for path, want := range map[string]string{
		"README.md": fmt.Sprintf("(%d checks:", checks), "README.zh-CN.md": fmt.Sprintf("（%d 项检查：", checks), "CHANGELOG.md": fmt.Sprintf("checks %d traps", checks),
	} {
		if !strings.Contains(text(t, path), want) {
			t.Errorf("%s does not say %q", path, want)
		}
	}
}

// outline is a text's form: its sections, rows of tables and points of lists, the commands of graft that its
// examples run, and where its links lead.
func outline(text string) []string {
	var list []string
	code := false
	for line := range strings.Lines(strings.ReplaceAll(text, ".zh-CN.md", ".md")) {
		switch {
		case strings.HasPrefix(line, "```"):
			code = !code
		case strings.HasPrefix(line, "## "):
			list = append(list, "section")
		case strings.HasPrefix(line, "| "):
			list = append(list, "row")
		case strings.HasPrefix(line, "- "):
			list = append(list, "point")
		case code && (strings.HasPrefix(line, "graft ") || strings.HasPrefix(line, "make ")):
			words := strings.Fields(line)
			list = append(list, words[0]+" "+words[1])
		}
		for _, m := range regexp.MustCompile(`\]\(([^)]+)\)`).FindAllStringSubmatch(line, -1) {
			list = append(list, "→ "+m[1])
		}
	}
	return list
}

// The page's first file has all that holds by default, its others are policies too, and no key is missing.
func TestThePolicysPageIsTrue(t *testing.T) {
	page := text(t, "docs/policy.md")
	blocks := regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllStringSubmatch(page, -1)
	if len(blocks) < 2 {
		t.Fatalf("%d files", len(blocks))
	}
	told := ""
	for i, block := range blocks {
		p, err := policy.Parse(fmt.Sprintf("example %d", i+1), []byte(block[1]))
		if err != nil {
			t.Error(err)
		}
		if diff := cmp.Diff(policy.Defaults().Effective(), p); i == 0 && diff != "" {
			t.Errorf("the defaults (-code +page)\n%s", diff)
		}
		told += block[1]
	}
	for _, key := range policy.Keys() {
		if !regexp.MustCompile(`(?m)(^|[ {,"-])` + regexp.QuoteMeta(key) + `"?:`).MatchString(told) {
			t.Errorf("no example has the key %s", key)
		}
	}
}
