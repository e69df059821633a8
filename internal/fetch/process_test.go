package fetch_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"graft/internal/fetch"
)

const childVariable = "GRAFT_FETCH_TEST"

// child is what this test binary does instead of tests when it is started by one.
type child struct {
	URL, Dir, SHA256 string

	// In a mount namespace of its own:
	Tmpfs    bool   // a small file system lies on Dir
	Nsswitch string // lies on /etc/nsswitch.conf
}

func TestMain(m *testing.M) {
	if order := os.Getenv(childVariable); order != "" {
		if err := obey(order); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func obey(order string) error {
	var c child
	if err := json.Unmarshal([]byte(order), &c); err != nil {
		return err
	}
	if c.Tmpfs || c.Nsswitch != "" {
		if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
			return err
		}
	}
	if c.Nsswitch != "" {
		if err := unix.Mount(c.Nsswitch, "/etc/nsswitch.conf", "", unix.MS_BIND, ""); err != nil {
			return err
		}
	}
	if c.Tmpfs {
		if err := unix.Mount("tmpfs", c.Dir, "tmpfs", 0, "size=256k"); err != nil {
			return err
		}
	}
	r := fetch.Request{URL: c.URL, Dir: c.Dir, SHA256: c.SHA256, Progress: func(done, _ int64) { fmt.Println(done) }}
	if c.Nsswitch == "" {
		r.Attempts = 1
	}
	path, err := fetch.File(context.Background(), r)
	if err != nil && c.Tmpfs {
		if info, statErr := os.Stat(filepath.Join(c.Dir, "openresty-1.2.3.4.tar.gz.part")); statErr == nil {
			err = fmt.Errorf("%w; the part has %d bytes", err, info.Size())
		}
	}
	fmt.Println(path)
	return err
}

// start runs c in a process of its own, which is gone when the test ends.
func start(t *testing.T, c child, env ...string) (cmd *exec.Cmd, said *bytes.Buffer) {
	t.Helper()
	order, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	cmd = exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(append(os.Environ(), childVariable+"="+string(order)), env...)
	said = new(bytes.Buffer)
	cmd.Stdout, cmd.Stderr = said, said
	if c.Tmpfs || c.Nsswitch != "" {
		cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS}
	}
	err = cmd.Start()
	if cmd.SysProcAttr != nil && errors.Is(err, syscall.EINVAL) {
		t.Skip("this root is no mount point (a chroot): mounts in it could not be kept private")
	}
	if err != nil {
		t.Fatal(err)
	}
	return cmd, said
}

func TestAKilledDownloadIsGoneOnWith(t *testing.T) {
	o := newOrigin(t, overHTTP)
	o.answers(o.hang(300_000))
	r := o.request(t)
	cmd, said := start(t, child{URL: r.URL, Dir: r.Dir})
	part := filepath.Join(r.Dir, "openresty-1.2.3.4.tar.gz.part")
	deadline := time.Now().Add(20 * time.Second)
	for {
		if info, err := os.Stat(part); err == nil && info.Size() == 300_000 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("no part after 20 s: %s", said)
		}
		time.Sleep(5 * time.Millisecond)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	mustFetch(t, r, o.content)
	if got := o.ranges(); !slices.Equal(got, []string{"", "bytes=300000-"}) {
		t.Errorf("asked for %q", got)
	}
}

func TestProcessesThatWantTheSameFileDownloadItOnce(t *testing.T) {
	for name, given := range map[string]bool{"SHA-256 given": true, "the server is asked": false} {
		t.Run(name, func(t *testing.T) {
			o := newOrigin(t, overHTTP)
			r := o.request(t)
			c := child{URL: r.URL, Dir: r.Dir}
			if given {
				c.SHA256 = sum(o.content)
			}
			for range 3 {
				cmd, said := start(t, c)
				defer func() {
					if err := cmd.Wait(); err != nil {
						t.Errorf("%v: %s", err, said)
					}
					holds(t, filepath.Join(r.Dir, "openresty-1.2.3.4.tar.gz"), o.content)
					if o.bytesSent() != len(o.content) {
						t.Errorf("%d bytes sent for %d", o.bytesSent(), len(o.content))
					}
				}()
			}
		})
	}
}

func TestAFullDiskIsNamedAndWhatIsThereStays(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("mounting a small file system needs root")
	}
	o := newOrigin(t, overHTTP)
	r := o.request(t)
	cmd, said := start(t, child{URL: r.URL, Dir: r.Dir, Tmpfs: true})
	if err := cmd.Wait(); err == nil {
		t.Fatalf("1 MiB fits into 256 KiB: %s", said)
	}
	for _, want := range []string{r.Dir, "no space left on device", "make room", "the part has 2"} {
		if !strings.Contains(said.String(), want) {
			t.Errorf("it does not say %q: %s", want, said)
		}
	}
	if n := len(o.requests()); n != 1 {
		t.Errorf("asked %d times", n)
	}
}

func TestAHostThatDoesNotExistIsFinal(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("a resolver that knows no names needs root")
	}
	if _, err := os.Stat("/etc/nsswitch.conf"); err != nil {
		t.Skip(err)
	}
	began := time.Now()
	cmd, said := start(t, child{
		URL: "http://mirror.invalid/openresty-1.2.3.4.tar.gz", Dir: t.TempDir(),
		Nsswitch: written(t, "nsswitch.conf", []byte("hosts: files\n")),
	}, "http_proxy=")
	if err := cmd.Wait(); err == nil {
		t.Fatalf("%s", said)
	}
	for _, want := range []string{"mirror.invalid", "no such host", "--mirror", "--source FILE"} {
		if !strings.Contains(said.String(), want) {
			t.Errorf("it does not say %q: %s", want, said)
		}
	}
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("it took %s: it was tried again", took)
	}
}

func TestAProxyOfTheEnvironmentIsUsed(t *testing.T) {
	var asked string
	content := noise(100)
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = r.RequestURI
		_, _ = w.Write(content)
	}))
	defer proxy.Close()
	c := child{URL: "http://mirror.invalid/openresty-1.2.3.4.tar.gz", Dir: t.TempDir()}
	cmd, said := start(t, c, "http_proxy="+proxy.URL, "no_proxy=")
	if err := cmd.Wait(); err != nil {
		t.Fatalf("%v: %s", err, said)
	}
	if asked != c.URL {
		t.Errorf("the proxy was asked for %q", asked)
	}
	holds(t, filepath.Join(c.Dir, "openresty-1.2.3.4.tar.gz"), content)
}
