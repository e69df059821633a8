package gate

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"graft/internal/nginx"
	"graft/internal/nginx/conf"
	"graft/internal/procfs"
)

// configured is an instance of that configuration.
func configured(t *testing.T, config string) nginx.Instance {
	t.Helper()
	directives, err := conf.Parse("nginx.conf", []byte(config))
	if err != nil {
		t.Fatal(err)
	}
	return nginx.Instance{Config: &conf.Config{Directives: directives}, Paths: nginx.Paths{Prefix: "/prefix/"}}
}

func TestTargets(t *testing.T) {
	for name, c := range map[string]struct {
		config string
		listen []procfs.Listener
		want   []string
	}{
		"the same address in many spellings": {
			config: `http { server { listen 80; server_name a; } server { listen *:80; } server { listen 0.0.0.0:80; } server { listen *; } }`,
			want:   []string{"0.0.0.0:80 answered: tcp http://127.0.0.1:80/ as a"},
		},
		"the default server names the host": {
			config: `http { server { listen 80; server_name a; } server { listen 80 default_server; server_name _ ~^x $hostname *.b.c; } }`,
			want:   []string{"0.0.0.0:80 answered: tcp http://127.0.0.1:80/ as www.b.c"},
		},
		"no name at all": {
			config: `http { server { listen 127.0.0.1:81; } server { listen localhost:82; server_name .d.e; } }`,
			want: []string{
				"127.0.0.1:81 answered: tcp http://127.0.0.1:81/ as localhost",
				"127.0.0.1:82 answered: tcp http://127.0.0.1:82/ as d.e",
			},
		},
		"ssl and proxy_protocol hold for the address": {
			config: `http { server { listen 443 proxy_protocol; server_name a; } server { listen 443 ssl; } }`,
			want:   []string{"0.0.0.0:443 answered: tcp https://127.0.0.1:443/ as a, PROXY protocol"},
		},
		"IPv6 and unix sockets": {
			config: `http { server { listen [::]:80; listen [fd00:0::1]:81; listen unix:/run/x.sock; server_name a; } }`,
			want: []string{
				"[::]:80 answered: tcp http://[::1]:80/ as a",
				"[fd00::1]:81 answered: tcp http://[fd00::1]:81/ as a",
				"unix:/run/x.sock answered: unix http://unix:/run/x.sock:/ as a",
			},
		},
		"what is not HTTP": {
			config: `stream { server { listen 53 udp; } server { listen 8000-8001; } } mail { server { listen 25; } } http { server { listen 443 quic; server_name a; } }`,
			want: []string{
				"0.0.0.0:53 : udp http://127.0.0.1:53/ as ",
				"0.0.0.0:8000 accepts: tcp http://127.0.0.1:8000/ as ",
				"0.0.0.0:8001 accepts: tcp http://127.0.0.1:8001/ as ",
				"0.0.0.0:25 accepts: tcp http://127.0.0.1:25/ as ",
				"0.0.0.0:443 : udp http://127.0.0.1:443/ as a",
			},
		},
		"loopback has a socket of its own": {
			config: `http { server { listen 80; server_name a; } server { listen 127.0.0.1:80; server_name b; } }`,
			want: []string{
				"0.0.0.0:80 answered: tcp http://127.0.0.2:80/ as a",
				"127.0.0.1:80 answered: tcp http://127.0.0.1:80/ as b",
			},
		},
		"no listen, not root": {
			config: `http { server { server_name a; } }`,
			listen: []procfs.Listener{{Network: "tcp", Addr: "0.0.0.0:8000"}},
			want:   []string{"0.0.0.0:8000 answered: tcp http://127.0.0.1:8000/ as a"},
		},
		"sockets that the configuration on disk does not tell": {
			config: `http { server { listen 80; server_name a; } }`,
			listen: []procfs.Listener{
				{Network: "tcp", Addr: "0.0.0.0:80"}, {Network: "tcp", Addr: "[::]:99"}, {Network: "tcp", Addr: "[::]:99"},
				{Network: "unix", Addr: "unix:/run/y.sock"}, {Network: "udp", Addr: "0.0.0.0:80"},
			},
			want: []string{
				"0.0.0.0:80 answered: tcp http://127.0.0.1:80/ as a",
				"[::]:99 accepts: tcp http://[::1]:99 as ",
				"unix:/run/y.sock accepts: unix http://unix:/run/y.sock as ",
				"0.0.0.0:80 : udp http://127.0.0.1:80 as ",
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			i := configured(t, c.config)
			i.Listen = c.listen
			var got []string
			for _, target := range Targets(i) {
				s := fmt.Sprintf("%s %s: %s %s as %s", target.Listen, target.Proof, target.Network, target.Target, target.Host)
				if target.ProxyProtocol {
					s += ", PROXY protocol"
				}
				got = append(got, s)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestInstanceLogs(t *testing.T) {
	i := configured(t, `
error_log logs/error.log;
error_log syslog:server=localhost;
http {
	log_format timed '$status $request_time';
	log_format mute '$request';
	access_log logs/access.log;
	server {
		error_log /var/log/site.log emerg;
		error_log logs/error.log crit;
		access_log logs/access.log timed;
		access_log /var/log/$host.log;
		access_log /var/log/z.gz combined gzip=4;
		access_log /var/log/mute.log mute;
		access_log /var/log/what.log nowhere;
		location /x { access_log off; }
	}
}
stream {
	log_format timed '$status $session_time';
	access_log logs/stream.log timed;
}`)
	logs := InstanceLogs(i, "/root")
	formats := map[string]int{}
	for _, l := range logs.Access {
		formats[l.Path] = len(l.Formats)
	}
	want := map[string]int{"/root/prefix/logs/access.log": 2, "/root/prefix/logs/stream.log": 1}
	if diff := cmp.Diff(want, formats); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"/root/prefix/logs/error.log"}, logs.Error); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{
		"access_log /var/log/$host.log (nginx.conf:12): its name has variables",
		"access_log /var/log/z.gz (nginx.conf:13): it is written compressed",
		"access_log /var/log/mute.log (nginx.conf:14): compile log_format \"$request\": unobservable: it has no $status",
		"access_log /var/log/what.log (nginx.conf:15): there is no log_format \"nowhere\"",
		"error_log syslog:server=localhost (nginx.conf:3): it goes to syslog",
		"error_log /var/log/site.log (nginx.conf:9): its level emerg hides crashes",
	}, logs.Unobserved); diff != "" {
		t.Error(diff)
	}
}

func TestWhatAGateWillNotSeeIsForetold(t *testing.T) {
	for name, c := range map[string]struct{ config, unseen, means string }{
		"stderr":      {"error_log stderr;\nhttp { access_log /tmp/a.log; }", "error_log stderr", "no gate can pass"},
		"a device":    {"error_log /dev/null;\nhttp { access_log /tmp/a.log; }", "/dev/null", "no gate can pass"},
		"no requests": {"error_log /tmp/e.log;\nhttp { access_log off; }", "", "probes alone"},
		"syslog":      {"error_log /tmp/e.log;\nhttp { access_log /tmp/a.log; access_log syslog:server=localhost; }", "syslog", ""},
	} {
		b := BlindTo(configured(t, c.config))
		if b == nil {
			t.Errorf("%s: nothing is said", name)
			continue
		}
		if !strings.Contains(strings.Join(b.Unobserved, "\n"), c.unseen) || !strings.Contains(strings.Join(b.Means, "\n"), c.means) || (c.means == "") != (len(b.Means) == 0) {
			t.Errorf("%s: %+v", name, b)
		}
	}
	if b := BlindTo(configured(t, "error_log /tmp/e.log;\nhttp { access_log /tmp/a.log; server { access_log off; } }")); b != nil {
		t.Errorf("where all is well: %+v", b)
	}
}

func TestTheCompiledInLogs(t *testing.T) {
	i := configured(t, `http { }`)
	i.Logs = nginx.Logs{Access: []string{"/var/log/a.log"}, Error: []string{"/var/log/e.log"}}
	logs := InstanceLogs(i, "/")
	if len(logs.Access) != 1 || logs.Access[0].Path != "/var/log/a.log" || len(logs.Error) != 1 || logs.Error[0] != "/var/log/e.log" {
		t.Errorf("%+v", logs)
	}
}
