package sandbox

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// This test program also serves as the program that is run inside, under one
// of these first arguments.
const (
	nestedArg = "sandbox-test-nested" // OPTIONS PROGRAM ARG…: run it in one more sandbox
	listenArg = "sandbox-test-listen" // NETWORK ADDRESS…: listen on all, print each
	holdArg   = "sandbox-test-hold"   // SOCKET PROGRAM ARG…: run it while this unix socket listens
	dialArg   = "sandbox-test-dial"   // NETWORK ADDRESS: print whether it answers
	insideArg = "sandbox-test-inside" // print whether it is in a sandbox
	meetArg   = "sandbox-test-meet"   // SERVER FROM TO: listen inside or outside, dial from the other, print who met
)

func TestMain(m *testing.M) {
	Main()
	if len(os.Args) > 1 {
		switch os.Args[1] {
		case nestedArg:
			os.Exit(runNested(os.Args[2], os.Args[3:]))
		case listenArg:
			os.Exit(runListen(os.Args[2], os.Args[3:]))
		case holdArg:
			os.Exit(runHolding(os.Args[2], os.Args[3:]))
		case dialArg:
			os.Exit(runDial(os.Args[2], os.Args[3]))
		case meetArg:
			os.Exit(runMeet(os.Args[2], os.Args[3], os.Args[4]))
		case insideArg:
			fmt.Println(Inside())
			os.Exit(0)
		}
	}
	os.Exit(m.Run())
}

func runNested(options string, argv []string) int {
	var opts Options
	if err := json.Unmarshal([]byte(options), &opts); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	cmd, err := Command(context.Background(), opts, argv[0], argv[1:]...)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	err = cmd.Run()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return exit.ExitCode()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

func runListen(network string, addresses []string) int {
	for _, a := range addresses {
		l, err := net.Listen(network, a)
		if err != nil {
			fmt.Println(err)
			return 1
		}
		defer l.Close()
		fmt.Println(l.Addr())
	}
	return 0
}

func runHolding(socket string, argv []string) int {
	l, err := net.Listen("unix", socket)
	if err != nil {
		fmt.Println(err)
		return 1
	}
	defer l.Close()
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	if err := cmd.Run(); err != nil {
		fmt.Println(err)
		return 1
	}
	return 0
}

func runDial(network, address string) int {
	c, err := net.Dial(network, address)
	if err != nil {
		fmt.Println(err)
		return 1
	}
	c.Close()
	fmt.Println("connected")
	return 0
}

// runMeet listens at server, in the network outside if that begins with
// "outside ", and dials to from the other one. It prints both ends.
func runMeet(server, from, to string) int {
	address, outside := strings.CutPrefix(server, "outside ")
	here := func(f func() error) error { return f() }
	listenIn, dialIn := here, Outside
	if outside {
		listenIn, dialIn = Outside, here
	}
	var l net.Listener
	err := listenIn(func() (err error) {
		l, err = net.Listen("tcp", address)
		return err
	})
	if err != nil {
		fmt.Println(err)
		return 1
	}
	defer l.Close()
	d := net.Dialer{Timeout: 10 * time.Second}
	if from != "" {
		d.LocalAddr = &net.TCPAddr{IP: net.ParseIP(from)}
	}
	var client net.Conn
	err = dialIn(func() (err error) {
		client, err = d.Dial("tcp", to)
		return err
	})
	if err != nil {
		fmt.Println(err)
		return 1
	}
	defer client.Close()
	c, err := l.Accept()
	if err != nil {
		fmt.Println(err)
		return 1
	}
	defer c.Close()
	peer, _, _ := net.SplitHostPort(c.RemoteAddr().String())
	fmt.Println(peer, "met", c.LocalAddr())
	return 0
}

// child is the shell's word for this program in one of its other roles.
func child(t *testing.T, role string) string {
	t.Helper()
	return exePath(t) + " " + role
}

// nested is the shell's prefix for a program that is to run in one more sandbox.
func nested(t *testing.T, opts Options) string {
	t.Helper()
	text, err := json.Marshal(opts)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%s '%s'", child(t, nestedArg), text)
}

func exePath(t *testing.T) string {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return exe
}

// asNobody copies this program to where another user may execute it.
func asNobody(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "sandbox") //nolint:usetesting // no other user may enter t.TempDir's parent
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	from, err := os.Open(exePath(t))
	if err != nil {
		t.Fatal(err)
	}
	defer from.Close()
	path := filepath.Join(dir, "exe")
	to, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY, 0o755)
	if err != nil {
		t.Fatal(err)
	}
	_, err = io.Copy(to, from)
	if err := errors.Join(err, to.Close()); err != nil {
		t.Fatal(err)
	}
	return path
}
