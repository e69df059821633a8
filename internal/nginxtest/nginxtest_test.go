package nginxtest

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"graft/internal/procfs"
	"graft/internal/sandbox"
)

// hostsWord is what the test program saw before it entered the sandbox.
const hostsWord = "GRAFT_NGINXTEST_HOST"

func TestMain(m *testing.M) {
	Main(m, func(context.Context) error {
		// Prepare functions run on the host, once, before the sandbox is entered.
		// Never closed: the host's port is taken as long as the tests run.
		boundPort, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return err
		}
		ns, err := os.Readlink("/proc/self/ns/net")
		if err != nil {
			return err
		}
		run, err := procfs.Identify("/run")
		if err != nil {
			return err
		}
		return os.Setenv(hostsWord, fmt.Sprintf("%s %s %v", boundPort.Addr(), ns, run))
	}, FetchRoot)
}

func TestTheMachineIsOutOfReach(t *testing.T) {
	addr, rest, _ := strings.Cut(os.Getenv(hostsWord), " ")
	netns, run, _ := strings.Cut(rest, " ")
	if !sandbox.Inside() {
		t.Error("not in a sandbox")
	}
	if own, err := os.Readlink("/proc/self/ns/net"); err != nil || own == netns {
		t.Errorf("network namespace %q, the host's is %q: %v", own, netns, err)
	}
	if c, err := net.Dial("tcp", addr); err == nil {
		c.Close()
		t.Errorf("the host's port %s answers", addr)
	}
	if l, err := net.Listen("tcp", addr); err != nil {
		t.Errorf("the host's port is not free here: %v", err)
	} else {
		l.Close()
	}
	// Not by what lies in it: systemd-nspawn, which other tests run, makes /run/systemd here.
	if own, err := procfs.Identify("/run"); err != nil || fmt.Sprint(own) == run {
		t.Errorf("/run is %v, the host's is %s: %v", own, run, err)
	}
}

func TestRealisticServesOnEveryRelease(t *testing.T) {
	for name, binary := range map[string]func(testing.TB) Binary{
		"Debian": Debian,
		"1.18.0": func(t testing.TB) Binary { return Release(t, "1.18.0") },
		"1.26.3": func(t testing.TB) Binary { return Release(t, "1.26.3") },
	} {
		t.Run(name, func(t *testing.T) {
			inst := Start(t, Options{Binary: binary(t)})

			index := get(t, http.DefaultClient, "http://"+inst.Addr("http")+"/")
			if want := "nginx/" + inst.Binary.Version; index.server != want {
				t.Errorf("Server: %q, want %q", index.server, want)
			}
			if !strings.Contains(index.body, "nginxtest") {
				t.Errorf("static file: %q", index.body)
			}
			if app := get(t, http.DefaultClient, "http://"+inst.Addr("http")+"/app/x?y=1"); app.body != "app GET /app/x?y=1\n" {
				t.Errorf("upstream: %q", app.body)
			}
			if big := get(t, http.DefaultClient, "http://"+inst.Addr("http")+"/big"); len(big.body) != BigFileSize {
				t.Errorf("big file: %d bytes", len(big.body))
			}
			if got := get(t, tlsClient(t, inst), "https://"+inst.Addr("https")+"/"); got.proto != "HTTP/2.0" || got.body != index.body {
				t.Errorf("TLS: %s %q", got.proto, got.body)
			}
			if got := get(t, unixClient(inst.Prefix+"/run/http.sock"), "http://localhost/"); got.body != index.body {
				t.Errorf("unix socket: %q", got.body)
			}
			if log := inst.ErrorLogText(t); strings.Contains(log, "[emerg]") || strings.Contains(log, "[warn]") {
				t.Errorf("error log:\n%s", log)
			}
		})
	}
}

func TestArgvIsWordForWord(t *testing.T) {
	for name, args := range map[string][]string{
		"absolute": {"{{.Exe}}", "-c", "{{.Conf}}", "-p", "{{.Prefix}}"},
		"relative": {"./sbin/nginx", "-p", "{{.Prefix}}", "-c", "conf/nginx.conf"},
		"PATH":     {"nginx", "-p", "{{.Prefix}}", "-c", "conf/nginx.conf", "-g", "daemon on; timer_resolution 100ms;"},
	} {
		t.Run(name, func(t *testing.T) {
			inst := Start(t, Options{Args: args})
			master, err := readProcess(inst.MasterPID)
			if err != nil {
				t.Fatal(err)
			}
			want, err := inst.expandAll(args)
			if err != nil {
				t.Fatal(err)
			}
			title := strings.TrimRight(master.title, "\x00")
			if title != "nginx: master process "+strings.Join(want, " ") {
				t.Errorf("title %q, want argv %q", title, want)
			}
		})
	}
}

func TestForegroundNginxStartsToo(t *testing.T) {
	inst := Start(t, Options{Args: []string{"{{.Exe}}", "-p", "{{.Prefix}}", "-c", "{{.Conf}}", "-g", "daemon off;"}})
	if p, err := readProcess(inst.MasterPID); err != nil || p.parent != os.Getpid() {
		t.Errorf("parent %d, want this test program: %v", p.parent, err)
	}
}

func TestAnInstanceEndsWithItsTest(t *testing.T) {
	var inst *Instance
	var prefixes []string
	t.Run("overlap", func(t *testing.T) {
		inst = Start(t, Options{})
		prefixes = append(prefixes, inst.Prefix)
		// Two masters, as in the middle of a migration, with the binary swapped.
		swap(t, inst, Release(t, "1.26.3"))
		inst.Signal(t, inst.MasterPID, syscall.SIGUSR2)
		await(t, "two masters with two workers each", func() bool {
			masters, err := inst.Masters()
			if err != nil || len(masters) != 2 || masters[0] != inst.MasterPID {
				return false
			}
			workers, err := inst.Workers(masters[1])
			return err == nil && len(workers) == 2
		})
	})
	t.Run("orphans", func(t *testing.T) {
		orphaned := Start(t, Options{})
		prefixes = append(prefixes, orphaned.Prefix)
		orphaned.Signal(t, orphaned.MasterPID, syscall.SIGKILL)
		await(t, "the master's end", func() bool {
			masters, err := orphaned.Masters()
			return err == nil && len(masters) == 0
		})
		if left, err := orphaned.processes(isWorker); err != nil || len(left) != 2 {
			t.Errorf("orphaned workers: %v, %v", left, err)
		}
	})
	if left, err := inst.processes(func(process) bool { return true }); err != nil || len(left) != 0 {
		t.Errorf("processes left: %v, %v", left, err)
	}
	for _, prefix := range prefixes {
		if _, err := os.Stat(prefix); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("prefix left: %v", err)
		}
	}
}

func TestNoZombiesAreLeft(t *testing.T) {
	t.Run("", func(t *testing.T) { Start(t, Options{}) })
	await(t, "all processes to be reaped", func() bool {
		stats, err := filepath.Glob("/proc/[0-9]*/stat")
		return err == nil && !slices.ContainsFunc(stats, func(path string) bool {
			stat, err := os.ReadFile(path)
			return err == nil && strings.Contains(string(stat), "(nginx) Z")
		})
	})
}

func TestTwoInstancesDoNotMeet(t *testing.T) {
	one, two := Start(t, Options{}), Start(t, Options{Binary: Release(t, "1.18.0")})
	for _, inst := range []*Instance{one, two} {
		if got, want := get(t, http.DefaultClient, "http://"+inst.Addr("http")+"/").server, "nginx/"+inst.Binary.Version; got != want {
			t.Errorf("Server: %q, want %q", got, want)
		}
		if masters, err := inst.Masters(); err != nil || !slices.Equal(masters, []int{inst.MasterPID}) {
			t.Errorf("masters: %v, want only %d: %v", masters, inst.MasterPID, err)
		}
	}
	if err := one.signal(two.MasterPID, syscall.SIGHUP); err == nil {
		t.Error("one instance signalled the other's master")
	}
	swap(t, one, Release(t, "1.26.3"))
	out, err := exec.Command(two.Exe, "-v").CombinedOutput()
	if err != nil || !strings.Contains(string(out), "1.18.0") {
		t.Errorf("the other's binary after a swap: %q, %v", out, err)
	}
}

func TestDebiansOwnConfigurationRunsWhereItBelongs(t *testing.T) {
	bin := Debian(t)
	Install(t, bin)
	// The unit's own command line. The prefix lends only the binary's copy.
	Start(t, Options{
		Binary:    bin,
		Args:      []string{"/usr/sbin/nginx", "-g", "daemon on; master_process on;"},
		Conf:      "/etc/nginx/nginx.conf",
		PidFile:   "/run/nginx.pid",
		ErrorLog:  "/var/log/nginx/error.log",
		AccessLog: "/var/log/nginx/access.log",
	})
	if got := get(t, http.DefaultClient, "http://127.0.0.1:80/"); !strings.Contains(got.body, "Welcome to nginx!") {
		t.Errorf("default page: %q", got.body)
	}
}

func TestDynamicModulesOfTheDistributionLoad(t *testing.T) {
	bin := Debian(t)
	inst := Start(t, Options{
		Binary: bin,
		Config: "load_module " + bin.Modules + "/ngx_http_echo_module.so;\n" +
			strings.Replace(Realistic, "location / {\n            index", "location = /echo { echo loaded; }\n        location / {\n            index", 1),
	})
	if got := get(t, http.DefaultClient, "http://"+inst.Addr("http")+"/echo"); got.body != "loaded\n" {
		t.Errorf("echo: %q", got.body)
	}
}

func TestBuildsAreDoneOnce(t *testing.T) {
	tree := Source(t, "1.26.3")
	first := Build(t, tree, Flags()...)
	before, err := os.Stat(first.Path)
	if err != nil {
		t.Fatal(err)
	}
	again := Build(t, tree, Flags()...)
	after, err := os.Stat(again.Path)
	if err != nil {
		t.Fatal(err)
	}
	if again != first || !os.SameFile(before, after) {
		t.Errorf("built again: %+v, %+v", first, again)
	}
	key := func(tree string, flags ...string) string {
		k, err := buildKey(tree, flags)
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	if key(tree, "--with-stream", "--with-mail") == key(tree, "--with-stream --with-mail") {
		t.Error("other flags have the same key")
	}
	if key(tree) == key(Source(t, "1.18.0")) {
		t.Error("other sources have the same key")
	}
}

func TestABuildThatFailsSaysWhy(t *testing.T) {
	_, err := build(t.Context(), Source(t, "1.26.3"), []string{"--with-no-such-module"})
	if err == nil || !strings.Contains(err.Error(), "with-no-such-module") {
		t.Errorf("error: %v", err)
	}
	if _, err := build(t.Context(), t.TempDir(), nil); err == nil || !strings.Contains(err.Error(), "not a source tree") {
		t.Errorf("error: %v", err)
	}
}

func TestANginxThatDoesNotStartSaysWhy(t *testing.T) {
	inst := Prepare(t, Options{Config: "no_such_directive;"})
	if err := inst.start(Options{}); err == nil {
		t.Error("started")
	}
	if log := inst.log(); !strings.Contains(log, "no_such_directive") {
		t.Errorf("log: %q", log)
	}
}

// swap replaces the instance's binary as an operator does: by a rename.
func swap(t *testing.T, inst *Instance, bin Binary) {
	t.Helper()
	beside := inst.Exe + ".new"
	if err := copyFile(beside, bin.Path, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(beside, inst.Exe); err != nil {
		t.Fatal(err)
	}
}

func await(t *testing.T, what string, done func() bool) {
	t.Helper()
	if err := poll(func() (bool, error) { return done(), nil }); err != nil {
		t.Fatalf("waiting for %s: %v", what, err)
	}
}

type answer struct{ proto, server, body string }

func get(t *testing.T, client *http.Client, url string) answer {
	t.Helper()
	resp, err := client.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(bufio.NewReader(resp.Body))
	if err != nil {
		t.Fatal(err)
	}
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s\n%s", url, resp.Status, body)
	}
	return answer{resp.Proto, resp.Header.Get("Server"), string(body)}
}

func tlsClient(t *testing.T, inst *Instance) *http.Client {
	t.Helper()
	cert, err := os.ReadFile(filepath.Join(inst.Prefix, "conf/cert.pem"))
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(cert)
	return &http.Client{Transport: &http.Transport{
		TLSClientConfig:   &tls.Config{RootCAs: roots},
		ForceAttemptHTTP2: true,
		DisableKeepAlives: true,
	}}
}

func unixClient(path string) *http.Client {
	return &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", path)
		},
	}}
}
