package conf

import (
	"compress/gzip"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"graft/internal/nginxtest"
)

// notNginx are files that lie among nginx's and are written in other languages.
var notNginx = []string{
	"modsecurity.conf", "modsecurity_includes.conf", "unicode.mapping", // ModSecurity's
	"nginx_modsite", // a script
}

// document is a text of the distribution's packages: a configuration, or prose that may hold some.
type document struct {
	name, text string
	config     bool
}

// documents reads every configuration of the packages and every document, and cuts the examples out
// of the latter.
func documents(t *testing.T, root string) []document {
	t.Helper()
	var all []document
	err := filepath.WalkDir(root, func(name string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() || slices.Contains(notNginx, entry.Name()) {
			return err
		}
		in := func(dir string) bool { return strings.HasPrefix(name, filepath.Join(root, dir)+"/") }
		config := in("etc/nginx") || in("usr/share/doc/nginx/examples") || strings.HasSuffix(name, ".conf")
		if !config && !in("usr/share/doc") && !in("usr/share/nginx/docs") {
			return nil
		}
		if strings.HasPrefix(entry.Name(), "changelog") || entry.Name() == "copyright" {
			return nil
		}
		text, err := readText(name)
		if err != nil {
			return err
		}
		all = append(all, document{name, text, config})
		if !config {
			for i, example := range examples(text) {
				all = append(all, document{fmt.Sprintf("%s, example %d", name, i+1), example, false})
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func readText(name string) (string, error) {
	f, err := os.Open(name)
	if err != nil {
		return "", err
	}
	defer f.Close()
	var in io.Reader = f
	if filepath.Ext(name) == ".gz" {
		if in, err = gzip.NewReader(f); err != nil {
			return "", err
		}
	}
	text, err := io.ReadAll(in)
	return string(text), err
}

var (
	fenced = regexp.MustCompile("(?s)```(?:nginx)?\n(.*?)```")
	blocks = regexp.MustCompile(`(?ms)^[ \t]*(?:http|server|upstream|location|map|events|mail|stream)\b[^\n;]*\{\n.*?^\}`)
)

// examples are the pieces of a document that look like configuration.
func examples(text string) []string {
	var found []string
	for _, m := range fenced.FindAllStringSubmatch(text, -1) {
		found = append(found, m[1])
	}
	return append(found, blocks.FindAllString(text, -1)...)
}

// contexts are where a piece of configuration may belong; %s includes it.
var contexts = []string{
	"%s",
	"events { } %s",
	"events { } http { %s }",
	"events { } http { server { %s } }",
	"events { } http { upstream up { server 127.0.0.1:1; } server { location / { %s } } }",
	"events { } http { types { %s } }",
	"events { } stream { %s }",
	"events { } mail { auth_http 127.0.0.1:1/; %s }",
}

// Every configuration in Debian's packages of nginx, its modules and their documentation parses, and
// in each context in which it may stand nginx takes and refuses what we do, and reads the same files.
func TestEveryConfigurationOfTheDistribution(t *testing.T) {
	root := nginxtest.Packages(t)
	j := newModulesJudge(t)
	// The files name each other by the paths they have on a host, which is this sandbox.
	if err := nginxtest.LayOver(t.Context(), nginxtest.Binary{Root: root}); err != nil {
		t.Fatal(err)
	}
	// Not every module that the packages switch on finds its libraries here.
	if err := os.RemoveAll("/etc/nginx/modules-enabled"); err != nil {
		t.Fatal(err)
	}
	j.dir = "/etc/nginx"
	piece := filepath.Join(t.TempDir(), "piece")
	var parsed, taken, runs int
	for _, doc := range documents(t, root) {
		if doc.config {
			parsed++
			if _, err := Parse(doc.name, []byte(doc.text)); err != nil {
				t.Error(err)
			}
		}
		if err := os.WriteFile(piece, []byte(doc.text), 0o644); err != nil {
			t.Fatal(err)
		}
		somewhere := false
		for _, context := range contexts {
			j.write(t, fmt.Sprintf(context, "include "+piece+";"))
			v := j.test(t)
			runs++
			c, err := Load(Options{File: j.file()})
			if err := j.agree(v, err); err != nil {
				t.Errorf("%s in %s: %v", doc.name, context, err)
			}
			if !v.ok || err != nil {
				continue
			}
			somewhere = true
			if err := c.CompareDump(j.dump(t)); err != nil {
				t.Errorf("%s in %s: %v", doc.name, context, err)
			}
		}
		if somewhere {
			taken++
		} else if doc.config {
			t.Logf("nginx takes %s nowhere", doc.name)
		}
	}
	t.Logf("%d configurations; nginx took %d of them and of the examples, %d runs", parsed, taken, runs)
	if parsed < 50 || taken < 40 {
		t.Errorf("only %d configurations, %d taken by nginx", parsed, taken)
	}
}

// What Debian makes of nginx by default is read as nginx reads it.
func TestDebiansDefault(t *testing.T) {
	root := nginxtest.Debian(t).Root
	c, err := Load(Options{Root: root, File: "/etc/nginx/nginx.conf"})
	if err != nil {
		t.Fatal(err)
	}
	if c.Value("pid") == "" || len(c.Find("types")) == 0 {
		t.Errorf("the default configuration names a pid file and includes the types; read %s", outline(c.Directives))
	}
}
