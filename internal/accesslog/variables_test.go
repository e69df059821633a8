package accesslog

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestVariablesAreThoseBeforeEscaping(t *testing.T) {
	for _, c := range []struct {
		format, escape, line string
		want                 map[string]string
	}{
		{`$host "$request" $status`, "", `a.test "GET /a\x22b\x5C?q=\xC3\xA9 HTTP/1.1" 200`,
			map[string]string{"host": "a.test", "request": "GET /a\"b\\?q=é HTTP/1.1", "status": "200"}},
		{`{"r":"$request_uri","s":$status}`, "json", `{"r":"/a\"b\u001f\\","s":404}`,
			map[string]string{"request_uri": "/a\"b\x1f\\", "status": "404"}},
		{`{"r":"$request","s":$status}`, "json", "{\"r\":\"\\u0016\\n\\/\xfc\",\"s\":400}",
			map[string]string{"request": "\x16\n/\xfc", "status": "400"}}, // no UTF-8
		{`$scheme://$host$request_uri $status`, "none", `https://a.test/x\x22 301`,
			map[string]string{"scheme": "https", "host$request_uri": `a.test/x\x22`, "status": "301"}},
	} {
		f, err := Compile(c.format, c.escape)
		if err != nil {
			t.Fatal(err)
		}
		got, ok := f.Variables([]byte(c.line))
		if diff := cmp.Diff(c.want, got); !ok || diff != "" {
			t.Errorf("%s: %v %s", c.line, ok, diff)
		}
	}
	if _, ok := Combined().Variables([]byte("nothing of it")); ok {
		t.Error("a line of another format was taken")
	}
}
