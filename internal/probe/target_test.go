package probe_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"graft/internal/probe"
)

func TestParseURL(t *testing.T) {
	for url, want := range map[string]probe.Target{
		"http://127.0.0.1:8080/a?b=c": {Network: "tcp", Address: "127.0.0.1:8080", Host: "127.0.0.1:8080", ServerName: "127.0.0.1", Path: "/a?b=c"},
		"http://localhost":            {Network: "tcp", Address: "localhost:80", Host: "localhost", ServerName: "localhost", Path: "/"},
		"https://www.example/x#part":  {Network: "tcp", Address: "www.example:443", TLS: true, Host: "www.example", ServerName: "www.example", Path: "/x"},
		"https://[::1]:8443/":         {Network: "tcp", Address: "[::1]:8443", TLS: true, Host: "[::1]:8443", ServerName: "::1", Path: "/"},
		"http://unix:/run/n.sock":     {Network: "unix", Address: "/run/n.sock", Host: "localhost", ServerName: "localhost", Path: "/"},
		"http://unix:/run/n.sock:/u?": {Network: "unix", Address: "/run/n.sock", Host: "localhost", ServerName: "localhost", Path: "/u?"},
		"https://unix:/n.sock:/a:b":   {Network: "unix", Address: "/n.sock", TLS: true, Host: "localhost", ServerName: "localhost", Path: "/a:b"},
	} {
		got, err := probe.ParseURL(url)
		if err != nil {
			t.Errorf("%s: %v", url, err)
			continue
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", url, diff)
		}
		again, err := probe.ParseURL(got.String())
		if err != nil || again.Address != got.Address || again.Path != got.Path {
			t.Errorf("%s becomes %s, which reads as %+v, %v", url, got, again, err)
		}
	}
}

func TestParseURLSaysWhatIsWrong(t *testing.T) {
	for url, want := range map[string]string{
		"127.0.0.1:80":            "must begin with http://, https://",
		"ftp://127.0.0.1/":        "must begin with http://, https://",
		"http:///x":               "no host",
		"http://unix:run/n.sock":  "must be absolute",
		"http://unix:/n.sock:uri": "must begin with a slash",
		"http://u:p@host/":        "user name",
		"http://host:port/":       "invalid port",
		"http://host:65536/":      "port 65536: want 1 to 65535",
		"tcp://host:0":            "port 0: want 1 to 65535",
		"http://host/\r\nX: y":    "invalid control character",
	} {
		if _, err := probe.ParseURL(url); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "parse URL") {
			t.Errorf("%q: %v; want %q", url, err, want)
		}
	}
}
