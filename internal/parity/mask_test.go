package parity

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
)

func TestSecretsAreMasked(t *testing.T) {
	for target, want := range map[string]string{
		"/":                                             "/",
		"/a/b.css?v=3&page=12":                          "/a/b.css?v=3&page=12",
		"/a?access_token=x&b=1":                         "/a?access_token=***&b=1",
		"/a?API%5FKEY=x&Password=y":                     "/a?API%5FKEY=***&Password=***",
		"/a?code=1234&sig=&q=nginx+reload":              "/a?code=***&sig=&q=nginx+reload",
		"/a?to=joe%40example.org":                       "/a?to=***",
		"/a?n=4111111111111111&m=4111111111112":         "/a?n=***&m=4111111111112",
		"/a?x=9f86d081884c7d659a2feaa0c55ad015":         "/a?x=***",
		"/a?eyJhbGciOiJIUzI1NiJ9.e30.abc":               "/a?***",
		"/reset/Zx81kQp02LmVw7Yt":                       "/reset/***",
		"/2026/11/24/how-to-reload-nginx-in-production": "/2026/11/24/how-to-reload-nginx-in-production",
	} {
		if got := MaskTarget(target); got != want {
			t.Errorf("%s: %s, want %s", target, got, want)
		}
	}
}

func TestSecretsAreMaskedWhereverTheyComeBack(t *testing.T) {
	r := Request{Target: "/a?token=s3cr%2Ft&code=12&q=word", Referer: "http://a.test/?pass=hunter22"}
	s := newScrubber(&r)
	for _, line := range []string{"Location: /x?a=s3cr%2Ft", `<a href="/?t=s3cr/t">`, "upstream Referer: http://a.test/?pass=hunter22", "upstream GET /?code=12&b=1",
		"Set-Cookie: id=12; Path=/", "upstream Cookie: a=12", "upstream HTTP_COOKIE: a=12", "Authorization: Basic 12",
		"upstream X-Token: Basic", "upstream HTTP_X_API_KEY: Basic", "&amp;code=12"} {
		got := s.scrub(line)
		for _, secret := range []string{"s3cr", "hunter22", "=12", "Basic"} {
			if strings.Contains(got, secret) {
				t.Errorf("%s: %s", line, got)
			}
		}
	}
	for _, line := range []string{"X-Q: word", `WWW-Authenticate: Basic realm="x"`, "Location: http://a.test/?page=2", "upstream Host: a.test"} {
		if got := s.scrub(line); got != line {
			t.Errorf("masked too much: %s", got)
		}
	}
}

func TestShapesOfRoutes(t *testing.T) {
	for target, want := range map[string]string{
		"/users/17/posts/4?page=2&sort=up":                     "/users/{n}/posts/{n}?page&sort",
		"/users/18/posts/5?sort=a&page=":                       "/users/{n}/posts/{n}?page&sort",
		"/img/0c9f4a77be01.png":                                "/img/{hex}.png",
		"/o/0b0c6f3a-4b7e-4c43-9f4e-3f6f1a1a1a1a":              "/o/{uuid}",
		"/blog/a-very-long-title-that-nobody-reads-to-its-end": "/blog/{long}",
		"/page2/index.html":                                    "/page{n}/index.html",
	} {
		if got := ShapeOf(target); got != want {
			t.Errorf("%s: %s, want %s", target, got, want)
		}
	}
}

// Whatever the answers repeat: what a key or its look calls secret is not in the report.
func TestNoSecretOfARequestReachesTheReport(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	word := func(n int) string {
		b := make([]byte, n)
		for i := range b {
			b[i] = "abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789"[random.IntN(56)]
		}
		return string(b)
	}
	for range 300 {
		secret := word(6 + random.IntN(40))
		key := []string{"token", "api_key", "password", "X-Amz-Signature", "code", "session_id"}[random.IntN(6)]
		r := asked()
		r[0].Target = fmt.Sprintf("/a/%s?b=1&%s=%s", word(3), key, secret)
		echo := func(n int) Answer {
			return answer(200, fmt.Sprintf("<a href='/x?%s=%s'>%d</a> %s\n", key, secret, n, secret), fmt.Sprintf("Location: /%d?x=%s", n, secret), fmt.Sprintf("X-%s: %d", secret, n)).
				through("GET", fmt.Sprintf("/%d/%s", n, secret), fmt.Sprintf("X-Orig: %s-%d", secret, n))
		}
		report := Compare(r, []Answer{echo(1)}, []Answer{echo(2)}, nil)
		out, err := json.Marshal(report)
		if err != nil {
			t.Fatal(err)
		}
		if all := string(out) + text(t, report); strings.Contains(all, secret) || report.Breaking != 1 {
			t.Fatalf("%s=%s in\n%s", key, secret, all)
		}
	}
}

// What clients put into one another hides nothing.
func TestSecretsInsideOfValuesAreMasked(t *testing.T) {
	for target, want := range map[string]string{
		"/?next=https%3A%2F%2Fa.test%2F%3Ftoken%3Dhunter2":         "/?next=***",
		"/?next=%252F%253Fpassword%253Dhunter2":                    "/?next=***",
		"/?q=%7B%22password%22%3A%22hunter2%22%7D":                 "/?q=***",
		"/?a=1;token=hunter2":                                      "/?a=***",
		"/?user[pin]=1234":                                         "/?user[pin]=***",
		"/?a?key=hunter2":                                          "/?a?key=***",
		"/shop;jsessionid=hunter2/cart":                            "/***/cart",
		"/?%74oken=hunter2":                                        "/?%74oken=***",
		"/?from=https%3A%2F%2Fa.test%2Fpage&time=10:30&sort=a:asc": "/?from=https%3A%2F%2Fa.test%2Fpage&time=10:30&sort=a:asc",
		"/docs/chapter-1/page?part=2":                              "/docs/chapter-1/page?part=2",
	} {
		if got := MaskTarget(target); got != want {
			t.Errorf("%s: %s, want %s", target, got, want)
		}
	}
}
