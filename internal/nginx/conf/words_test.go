package conf

import (
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"

	"graft/internal/nginxtest"
)

// -t tells whether nginx takes a word, a running nginx what it makes of it: a map gives it back.
func TestWordsAreWhatNginxMakesOfThem(t *testing.T) {
	const count = 400
	g := generator{rand.New(rand.NewPCG(1, 1)), map[string]string{}}
	var lines strings.Builder
	for i := 0; i < count; {
		line := fmt.Sprintf("%d%s%s%s;\n", i, g.space(), g.plainWord(), g.space())
		if _, err := Parse("words", []byte(line+strings.Repeat("#", confBuffer))); err == nil { // not too long
			lines.WriteString(line)
			i++
		}
	}
	inst := nginxtest.Start(t, nginxtest.Options{
		Config: `events { } pid run/nginx.pid; error_log logs/error.log; http { access_log off; map_hash_bucket_size 128;
			client_body_temp_path temp/b; proxy_temp_path temp/p; fastcgi_temp_path temp/f; uwsgi_temp_path temp/u; scgi_temp_path temp/s;
			map $arg_i $word { include words; }
			server { listen 127.0.0.1:{{.Port "http"}}; location / { return 200 $word; } } }`,
		Files: map[string]string{"conf/words": lines.String()},
	})
	c, err := Load(Options{File: inst.Conf})
	if err != nil {
		t.Fatal(err)
	}
	words := c.Find("map")[0].Block[1:] // after the include
	if len(words) != count {
		t.Fatalf("%d lines, want %d", len(words), count)
	}
	for i, d := range words {
		resp := get(t, inst.Addr("http"), "GET", fmt.Sprintf("/?i=%d", i))
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		if d.Name != fmt.Sprint(i) || d.Arg(0) != string(body) {
			t.Errorf("%s: nginx reads %.200q, we %.200q", d.Pos(), body, d.Arg(0))
		}
	}
}
