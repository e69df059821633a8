package conf

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// dump is what nginx -T prints for these files.
func dump(files ...string) string {
	var b strings.Builder
	for i := 0; i < len(files); i += 2 {
		fmt.Fprintf(&b, "# configuration file %s:\n%s\n", files[i], files[i+1])
	}
	return b.String()
}

func TestADumpOfOtherFilesIsTold(t *testing.T) {
	c := load(t, map[string]string{
		"etc/nginx/nginx.conf": "include a; include b;", "etc/nginx/a": "a 1;\n", "etc/nginx/b": "# configuration file /etc/nginx/c:\n",
	})
	const conf = "include a; include b;"
	const b = "# configuration file /etc/nginx/c:\n" // a file's content may look like a header
	for _, tt := range []struct{ dump, want string }{
		{dump("/etc/nginx/nginx.conf", conf, "/etc/nginx/a", "a 1;\n", "/etc/nginx/b", b), ""},
		{dump("/etc/nginx/nginx.conf", conf, "/etc/nginx/a", "a 2;\n", "/etc/nginx/b", b), "another content of /etc/nginx/a "},
		{dump("/etc/nginx/nginx.conf", conf, "/etc/nginx/a", "a 1;\n\n\n", "/etc/nginx/b", b), "another content of /etc/nginx/a "},
		{dump("/etc/nginx/nginx.conf", conf, "/etc/nginx/a", "", "/etc/nginx/b", b), "another content of /etc/nginx/a "},
		{dump("/etc/nginx/nginx.conf", conf, "/etc/nginx/b", b, "/etc/nginx/a", "a 1;\n"), "nginx reads /etc/nginx/b where graft reads /etc/nginx/a"},
		{dump("/etc/nginx/nginx.conf", conf, "/etc/nginx/a", "a 1;\n"), "graft reads /etc/nginx/b, which nginx does not"},
		{dump("/etc/nginx/nginx.conf", conf, "/etc/nginx/a", "a 1;\n", "/etc/nginx/b", b, "/etc/nginx/d", ""), "nginx reads /etc/nginx/d, which graft does not"},
		{dump("/etc/nginx/nginx.conf", conf, "/etc/nginx/a", "a 1;\n", "/etc/nginx/b", b) + "x", "another content of /etc/nginx/b "},
		{dump("/nginx.conf", conf), "nginx reads /nginx.conf where graft reads /etc/nginx/nginx.conf"},
		{"", "graft reads /etc/nginx/nginx.conf, which nginx does not"},
		{"nginx: [emerg] no", "begins with no file"},
		{dump("/etc/nginx/nginx.conf", conf, "/etc/nginx/a", "a 1;\n", "/etc/nginx/b", b)[:60], "another content of /etc/nginx/nginx.conf "},
	} {
		err := c.CompareDump([]byte(tt.dump))
		if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
			t.Errorf("%q\ngot  %v\nwant %s", tt.dump, err, tt.want)
		}
	}
}

// The configurations of this test are nginx's own to judge: what it reads is compared with what we do.
func TestWhatNginxDumpsIsWhatIsRead(t *testing.T) {
	j := newJudge(t)
	for name, text := range map[string]string{
		"sub/b":      "include sub/deep/*; include s; include sub/deep/2;",
		"sub/a":      "# c\r\n# no line feed at the end",
		"sub/.h":     "no such directive;",
		"sub/deep/2": "map $uri $m2 { include data; }\n",
		"sub/deep/1": "",
		"data":       "a b;\n",
		"s":          "\n# configuration file /etc/passwd:\n\n",
		"bytes":      "# \x00\xff\xfe\n",
	} {
		name = filepath.Join(j.dir, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("sub/a", filepath.Join(j.dir, "link")); err != nil {
		t.Fatal(err)
	}
	j.body(t, "include sub/[^d]*; include bytes; include ./bytes; types { include data; } include link; include s;")
	out := j.dump(t)
	c, err := Load(Options{File: j.file()})
	if err != nil {
		t.Fatal(err)
	}
	if len(c.Files) != 11 {
		t.Errorf("read %d files: %q", len(c.Files), paths(c))
	}
	if err := c.CompareDump(out); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	if err := os.WriteFile(filepath.Join(j.dir, "sub/c"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := c.CompareDump(j.dump(t)); err == nil || !strings.Contains(err.Error(), filepath.Join(j.dir, "sub/c")+" where") {
		t.Errorf("a file that came later: %v", err)
	}
}
