package preflight

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"graft/internal/nginxtest"
)

func TestPidGap(t *testing.T) {
	inst := nginxtest.Start(t, nginxtest.Options{})
	s := subject(t, inst, hardened(t))
	asked(t, s, "pid-gap", OK)

	for file, tt := range map[string]struct {
		text string
		want Severity
		line int
	}{
		"/etc/cron.d/web":                           {"SHELL=/bin/sh\n17 3 * * * root nginx -c /etc/nginx/nginx.conf\n", Warning, 2},
		"/etc/cron.daily/certificates":              {"#!/bin/sh\nset -e\nsystemctl restart nginx\n", Warning, 3},
		"/var/spool/cron/crontabs/root":             {"@daily systemctl reload nginx\n", Note, 1},
		"/etc/letsencrypt/renewal/example.org.conf": {"[renewalparams]\ninstaller = nginx\n", Warning, 2},
		"/etc/letsencrypt/renewal-hooks/deploy/web": {"#!/bin/sh\nkill -HUP $(cat " + inst.PidFile + ")\n", Note, 2},
		"/etc/letsencrypt/renewal-hooks/post/start": {"#!/bin/sh\nservice nginx start\n", Warning, 2},
		"/etc/monit/conf.d/nginx":                   {"check process nginx with pidfile /run/nginx.pid\n  start program = \"/etc/init.d/nginx start\"\n", Warning, 2},
		"/etc/logrotate.d/web":                      {"/var/log/nginx/*.log {\n  postrotate\n    nginx -s reload\n  endscript\n}\n", Note, 3},
	} {
		t.Run(filepath.Base(file), func(t *testing.T) {
			removed(t, file)
			write(t, file, tt.text)
			asked(t, s, "pid-gap", tt.want, fmt.Sprintf("%s:%d", file, tt.line))
		})
	}
	t.Run("what distributions ship", func(t *testing.T) {
		removed(t, "/etc/logrotate.d/nginx", "/etc/cron.d/certbot")
		write(t, "/etc/logrotate.d/nginx", "/var/log/nginx/*.log {\n  postrotate\n    invoke-rc.d nginx rotate >/dev/null 2>&1\n  endscript\n}\n")
		write(t, "/etc/cron.d/certbot", "0 */12 * * * root test -x /usr/bin/certbot && certbot -q renew\n")
		asked(t, s, "pid-gap", OK)
	})
	t.Run("a timer", func(t *testing.T) {
		const timer, service, link = "/etc/systemd/system/web-certs.timer", "/etc/systemd/system/certs.service", "/etc/systemd/system/timers.target.wants/web-certs.timer"
		removed(t, timer, service, link)
		write(t, timer, "[Timer]\nOnCalendar=daily\nUnit=certs.service\n")
		write(t, service, "[Service]\nType=oneshot\nExecStart=/usr/bin/certs\nExecStartPost=-/bin/sh -c 'systemctl restart nginx'\n")
		asked(t, s, "pid-gap", OK) // it is not enabled
		write(t, link, "")
		asked(t, s, "pid-gap", Warning, "web-certs.timer", service+":4")
	})
	t.Run("init_by_lua", func(t *testing.T) {
		s := s
		edit(t, inst, "http {", "http {\n    init_by_lua_block { require 'warm' }\n")
		s.Instance = subject(t, inst, hardened(t)).Instance
		asked(t, s, "pid-gap", Note, "init_by_lua_block", inst.Conf+":")
		asked(t, s, "quit-too-early", Note, "init_by_lua_block", inst.Conf+":")
	})
}

// A new master that takes long to start: its configuration names a log that nobody reads yet.
func TestPidGapLetsARogueStart(t *testing.T) {
	config := strings.Replace(nginxtest.Realistic, `listen 127.0.0.1:{{.Port "http"}};`, `listen 127.0.0.1:{{.Port "http"}} reuseport;`, 1)
	for _, listen := range []string{`listen 127.0.0.1:{{.Port "https"}} ssl http2;`, `listen unix:{{.Prefix}}/run/http.sock;`} {
		config = strings.Replace(config, listen, "", 1)
	}
	config = strings.Replace(config, `listen 127.0.0.1:{{.Port "app"}};`, `listen 127.0.0.1:{{.Port "app"}} reuseport;`, 1)
	inst := nginxtest.Start(t, nginxtest.Options{Config: config})
	slow := filepath.Join(inst.Prefix, "logs/slow.log")
	if err := syscall.Mkfifo(slow, 0o666); err != nil {
		t.Fatal(err)
	}
	var reader *os.File
	release := func() { // the open for writing, in which the new master waits, ends
		if reader == nil {
			reader, _ = os.OpenFile(slow, os.O_RDONLY|syscall.O_NONBLOCK, 0)
		}
	}
	t.Cleanup(func() { release(); reader.Close() })
	edit(t, inst, "access_log off;", "access_log "+slow+";")

	inst.Signal(t, inst.MasterPID, syscall.SIGUSR2)
	eventually(t, "the new master has begun", func() bool {
		return strings.Contains(inst.ErrorLogText(t), "using inherited sockets")
	})
	if text, err := os.ReadFile(inst.PidFile); err == nil {
		t.Fatalf("there is a pid file: %s", text)
	}
	edit(t, inst, slow, filepath.Join(inst.Prefix, "logs/quick.log")) // nobody else need wait
	// What cron or certbot would do now: reload, and start where that fails.
	command := []string{"-p", inst.Prefix, "-c", inst.Conf}
	out, err := exec.CommandContext(t.Context(), inst.Exe, append(command, "-s", "reload")...).CombinedOutput()
	if err == nil || !strings.Contains(string(out), inst.PidFile) {
		t.Errorf("reload: %v: %s", err, out)
	}
	if out, err := exec.CommandContext(t.Context(), inst.Exe, command...).CombinedOutput(); err != nil {
		t.Fatalf("start: %v: %s", err, out)
	}
	eventually(t, "the rogue has its workers", func() bool {
		pid, err := inst.PID()
		if err != nil {
			return false
		}
		workers, err := inst.Workers(pid)
		return err == nil && len(workers) == 2 && pid != inst.MasterPID
	})
	release()
	eventually(t, "three masters", func() bool {
		masters, err := inst.Masters()
		return err == nil && len(masters) == 3
	})
}

func TestHupOldDoubles(t *testing.T) {
	inst := nginxtest.Start(t, nginxtest.Options{})
	s := subject(t, inst, hardened(t))
	asked(t, s, "hup-old-doubles", OK, "nginx.service")

	const unit = "[Service]\nType=forking\nPIDFile=/run/nginx.pid\nExecStart=/usr/sbin/nginx\nExecReload=%s\n"
	removed(t, unitFile, "/etc/cron.d/web")
	write(t, unitFile, fmt.Sprintf(unit, "/usr/sbin/nginx -s reload"))
	asked(t, s, "hup-old-doubles", OK, unitFile)
	write(t, "/etc/cron.d/web", "17 3 * * * root systemctl reload nginx\n")
	asked(t, s, "hup-old-doubles", OK, unitFile) // it finds the new master by the pid file

	write(t, unitFile, fmt.Sprintf(unit, "/bin/kill -s HUP $MAINPID"))
	asked(t, s, "hup-old-doubles", Warning, "/etc/cron.d/web:1")
	write(t, "/etc/cron.d/web", "17 3 * * * root kill -HUP $(cat "+inst.PidFile+")\n")
	asked(t, s, "hup-old-doubles", Note, "$MAINPID", unitFile)
	write(t, "/etc/cron.d/web", "17 3 * * * root pkill -HUP nginx\n")
	asked(t, s, "hup-old-doubles", Warning, "/etc/cron.d/web:1")

	// HUP to the old master of two: it doubles its workers, and reads no configuration.
	upgrade(t, inst, 2)
	edit(t, inst, "worker_processes 2;", "worker_processes 3;")
	inst.Signal(t, inst.MasterPID, syscall.SIGHUP)
	eventually(t, "the old master has 4 workers", func() bool {
		workers, err := inst.Workers(inst.MasterPID)
		return err == nil && len(workers) == 4
	})
}
