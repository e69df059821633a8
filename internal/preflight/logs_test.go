package preflight

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"graft/internal/nginxtest"
)

const logrotateSection = "/etc/logrotate.d/graft-test"

// rotateBy writes a section of logrotate for the instance's logs.
func rotateBy(t *testing.T, inst *nginxtest.Instance, directives string) {
	t.Helper()
	write(t, logrotateSection, fmt.Sprintf("# the instance's own\n%s/logs/*.log {\n\trotate 3\n%s\n}\n", inst.Prefix, directives))
}

func postrotate(command string) string {
	return "\tsharedscripts\n\tpostrotate\n\t\t" + command + "\n\tendscript"
}

// rotate has the real logrotate do it.
func rotate(t *testing.T) {
	t.Helper()
	state := filepath.Join(t.TempDir(), "state")
	if out, err := exec.CommandContext(t.Context(), "logrotate", "--force", "--state", state, logrotateSection).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
}

// rotationCheck makes this one check, on a master as it is now.
func rotationCheck(t *testing.T, inst *nginxtest.Instance) Check {
	t.Helper()
	return logRotation(&examination{Subject: subject(t, inst, inst.Binary)})
}

func TestLogRotation(t *testing.T) {
	removed(t, logrotateSection)
	inst := nginxtest.Start(t, nginxtest.Options{})
	found(t, run(t, subject(t, inst, hardened(t))), "log-rotation", OK, inst.AccessLog, logrotateConf)

	kill := postrotate(fmt.Sprintf("[ ! -f %[1]s ] || kill -USR1 `cat %[1]s`", inst.PidFile))
	for _, tt := range []struct {
		name, directives string
		want             Severity
		words            []string
	}{
		{"kill", kill, Note, []string{logrotateSection + ":2", logrotateSection + ":5", "reaches only the master that " + inst.PidFile + " names"}},
		{"nginx -s reopen", postrotate("/usr/sbin/nginx -s reopen"), Note, []string{"only the master"}},
		{"Debian's own", postrotate("invoke-rc.d nginx rotate >/dev/null 2>&1"), Note, []string{"only the master"}},
		{"every nginx", postrotate("pkill -USR1 -x nginx"), OK, []string{"both masters"}},
		{"the unit's processes", postrotate("systemctl kill -s USR1 nginx.service"), OK, []string{"both masters"}},
		{"the unit's main process", postrotate("systemctl kill --kill-who=main -s USR1 nginx.service"), Note, []string{"only the master"}},
		{"copytruncate", "\tcopytruncate", OK, []string{"copytruncate"}},
		{"a reload", postrotate("systemctl reload nginx"), Warning, []string{"reloads nginx"}},
		{"another's pid", postrotate("kill -USR1 $(cat /run/other/nginx.pid)"), Warning, []string{"another pid file", inst.PidFile}},
		{"nothing", "\tcompress", Warning, []string{"nothing in that tells nginx"}},
		{"a hook before, only", "\tprerotate\n\t\tkill -USR1 1\n\tendscript", Warning, []string{"nothing in that tells nginx"}},
	} {
		rotateBy(t, inst, tt.directives)
		t.Log(tt.name)
		asked(t, subject(t, inst, inst.Binary), "log-rotation", tt.want, tt.words...)
	}
}

// A rotation during an overlap: logrotate tells the new master alone.
func TestLogRotationLeavesTheOldWorkersBehind(t *testing.T) {
	removed(t, logrotateSection)
	inst := nginxtest.Start(t, nginxtest.Options{})
	old := dialOld(t, inst.Addr("http"))
	old.get(t, "/page.txt?before")
	upgrade(t, inst, 2)
	rotateBy(t, inst, postrotate(fmt.Sprintf("kill -USR1 `cat %s`", inst.PidFile)))
	rotate(t)
	young, err := inst.PID()
	if err != nil {
		t.Fatal(err)
	}
	next := *inst
	next.MasterPID = young
	eventually(t, "the new master's workers write the new file", func() bool {
		return rotationCheck(t, &next).Severity == Note
	})
	old.get(t, "/page.txt?after")
	if got := read(t, inst.AccessLog+".1"); !strings.Contains(got, "?after") {
		t.Errorf("the old worker's request is not in the rotated file:\n%s", got)
	}
	asked(t, subject(t, inst, inst.Binary), "log-rotation", Warning, "rotated, and never reopened", fmt.Sprintf("process %d writes %s.1", inst.MasterPID, inst.AccessLog))

	// Those that a rollback starts get the old master's descriptors.
	inst.Signal(t, inst.MasterPID, syscall.SIGWINCH)
	workers := func(want int) {
		eventually(t, "the old master's workers", func() bool {
			list, err := inst.Workers(inst.MasterPID)
			return err == nil && len(list) == want
		})
	}
	workers(0)
	inst.Signal(t, inst.MasterPID, syscall.SIGHUP)
	workers(2)
	again, err := inst.Workers(inst.MasterPID)
	if err != nil {
		t.Fatal(err)
	}
	asked(t, subject(t, inst, inst.Binary), "log-rotation", Warning, fmt.Sprintf("process %d writes %s.1", again[0], inst.AccessLog))

	inst.Signal(t, inst.MasterPID, syscall.SIGUSR1)
	eventually(t, "the old master's processes write the new file", func() bool {
		return rotationCheck(t, inst).Severity == Note
	})
}

func TestLogRotationOfALogThatWasRemoved(t *testing.T) {
	inst := nginxtest.Start(t, nginxtest.Options{})
	if err := os.Remove(inst.AccessLog); err != nil {
		t.Fatal(err)
	}
	asked(t, subject(t, inst, inst.Binary), "log-rotation", Warning, inst.AccessLog+", which was removed")
}

func TestLogRotationByOthers(t *testing.T) {
	const crontab = "/etc/cron.d/graft-test"
	removed(t, crontab)
	inst := nginxtest.Start(t, nginxtest.Options{})
	for _, line := range []string{
		"0 0 * * * root mv " + inst.AccessLog + " /backup/ && kill -HUP 1",
		"0 0 * * * root /opt/nginx/sbin/nginx -s reopen",
	} {
		write(t, crontab, "# nginx -s reopen\nPATH=/usr/bin\n"+line+"\n")
		asked(t, subject(t, inst, inst.Binary), "log-rotation", Note, crontab+":3")
	}
	if err := os.Remove(crontab); err != nil {
		t.Fatal(err)
	}

	pipe := filepath.Join(inst.Prefix, "logs/piped.log")
	if err := unix.Mkfifo(pipe, 0o644); err != nil {
		t.Fatal(err)
	}
	reader, err := os.OpenFile(pipe, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	edit(t, inst, "access_log "+inst.AccessLog, "access_log "+pipe)
	asked(t, subject(t, inst, inst.Binary), "log-rotation", Note, pipe)
}

func TestLogrotateIsReadAsLogrotateDoes(t *testing.T) {
	removed(t, "/etc/graft-logrotate")
	write(t, "/etc/graft-logrotate/main", `weekly
copytruncate
include /etc/graft-logrotate/d
"/var/log/with space.log" /var/log/b/*.log
/var/log/c.log
{
	nocopytruncate # of this section
	lastaction
		# nginx -s reopen
		pkill -USR1 nginx
	endscript
}
/var/log/d.log { daily
}
nocopytruncate
/var/log/e.log { copytruncate }
/var/log/f.log {}
`)
	write(t, "/etc/graft-logrotate/d/one", "/var/log/one.log {\n}\n")
	write(t, "/etc/graft-logrotate/d/one.dpkg-old", "/var/log/old.log {\n}\n")
	sections, err := readLogrotate("/etc/graft-logrotate/main")
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		"/var/log/one.log": "/etc/graft-logrotate/d/one:1 4", "/var/log/old.log": "", "/var/log/with space.log": "/etc/graft-logrotate/main:4 2",
		"/var/log/b/x.log": "/etc/graft-logrotate/main:4 2", "/var/log/b/x/y.log": "", "/var/log/c.log": "/etc/graft-logrotate/main:4 2",
		"/var/log/d.log": "/etc/graft-logrotate/main:13 4",
		"/var/log/e.log": "/etc/graft-logrotate/main:16 4", "/var/log/f.log": "/etc/graft-logrotate/main:17 0",
	} {
		got := ""
		for _, r := range sections {
			if r.rotates(path) {
				got = fmt.Sprint(r.where, " ", int(r.reaches()))
			}
		}
		if got != want {
			t.Errorf("%s: %q, want %q", path, got, want)
		}
	}
	if list, err := readLogrotate("/etc/graft-logrotate/none"); err != nil || list != nil {
		t.Errorf("a host without logrotate: %v %v", list, err)
	}
}

// keptOpen is a connection that stays with the worker that took it.
type keptOpen struct {
	conn net.Conn
	in   *bufio.Reader
}

func dialOld(t *testing.T, addr string) keptOpen {
	t.Helper()
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return keptOpen{conn, bufio.NewReader(conn)}
}

func (k keptOpen) get(t *testing.T, path string) {
	t.Helper()
	if _, err := fmt.Fprintf(k.conn, "GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n", path); err != nil {
		t.Fatal(err)
	}
	resp, err := http.ReadResponse(k.in, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		t.Fatal(err)
	}
}
