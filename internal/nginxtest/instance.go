package nginxtest

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"text/template"
	"time"
)

// deadline is how long an nginx may take to start or to end.
const deadline = 20 * time.Second

// Options describe an instance. The zero value is Debian's nginx with the
// [Realistic] configuration.
//
// Config, Args, Env and the contents of Files are text/templates over the
// *Instance: {{.Prefix}}, {{.Exe}}, {{.Conf}}, {{.PidFile}}, {{.ErrorLog}},
// {{.AccessLog}}, {{.User}}, and {{.Port "name"}}, a free port on loopback that
// is the same at each mention of the name.
type Options struct {
	Binary Binary
	Config string

	// Args is the argv, argv[0] included, word for word. What is executed is
	// the instance's own copy of the binary, whatever argv[0] says. If empty:
	// the copy's absolute path, -p and -c.
	Args []string

	// Dir is the working directory; the prefix if empty.
	Dir string

	// Env is the whole environment; the test's own if nil.
	Env []string

	// Files are further files, by their path below the prefix.
	Files map[string]string

	// Conf is where the configuration goes if not to conf/nginx.conf. Without a
	// Config the file is there already, and is used as it is.
	Conf string

	// Where the configuration puts these elsewhere than Realistic does.
	PidFile, ErrorLog, AccessLog string
}

// Instance is a running nginx of its own prefix.
type Instance struct {
	MasterPID int    // the master that Start started
	Prefix    string // short, so that paths of unix sockets below it fit
	Exe       string // sbin/nginx below the prefix: this instance's copy
	Conf      string
	PidFile   string
	ErrorLog  string
	AccessLog string
	Ports     map[string]int // by the names the configuration gave them
	User      string         // whom workers can run as here
	Binary    Binary         // what Exe is a copy of
}

// Start starts an nginx and returns when its pid file holds a live master and
// all workers run. At the end of the test all of the instance's processes are
// ended, masters born by USR2 included.
func Start(t testing.TB, opts Options) *Instance {
	t.Helper()
	inst := Prepare(t, opts)
	if err := inst.start(opts); err != nil {
		t.Fatalf("nginxtest: start nginx: %v\n%s", err, inst.log())
	}
	return inst
}

// Prepare lays out an instance without starting it: binary, configuration,
// content. Its processes are ended with the test, whoever starts them.
func Prepare(t testing.TB, opts Options) *Instance {
	t.Helper()
	if opts.Binary.Path == "" {
		opts.Binary = Debian(t)
	}
	prefix, err := os.MkdirTemp("", "ngx") //nolint:usetesting // t.TempDir holds the test's name: no room for a socket's
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(prefix); err != nil {
			t.Errorf("nginxtest: %v", err)
		}
	})
	inst := &Instance{
		Prefix:    prefix,
		Exe:       filepath.Join(prefix, "sbin/nginx"),
		Conf:      cmp.Or(opts.Conf, filepath.Join(prefix, "conf/nginx.conf")),
		PidFile:   cmp.Or(opts.PidFile, filepath.Join(prefix, "run/nginx.pid")),
		ErrorLog:  cmp.Or(opts.ErrorLog, filepath.Join(prefix, "logs/error.log")),
		AccessLog: cmp.Or(opts.AccessLog, filepath.Join(prefix, "logs/access.log")),
		Ports:     map[string]int{},
		User:      workerUser(),
		Binary:    opts.Binary,
	}
	if err := inst.layOut(opts); err != nil {
		t.Fatalf("nginxtest: lay out nginx: %v", err)
	}
	t.Cleanup(func() {
		if err := inst.end(); err != nil {
			t.Errorf("nginxtest: end nginx: %v\n%s", err, inst.log())
		}
	})
	return inst
}

// layOut writes everything below the prefix.
func (i *Instance) layOut(opts Options) error {
	if err := os.Chmod(i.Prefix, 0o755); err != nil { // workers are another user
		return err
	}
	for _, dir := range []string{"sbin", "conf", "html", "logs", "run", "temp"} {
		if err := os.Mkdir(filepath.Join(i.Prefix, dir), 0o755); err != nil {
			return err
		}
	}
	if err := copyFile(i.Exe, opts.Binary.Path, 0o755); err != nil {
		return err
	}
	if err := writeContent(i.Prefix); err != nil {
		return err
	}
	for name, text := range opts.Files {
		if err := i.render(filepath.Join(i.Prefix, name), text); err != nil {
			return err
		}
	}
	if opts.Config == "" && opts.Conf != "" {
		return nil
	}
	return i.render(i.Conf, cmp.Or(opts.Config, Realistic))
}

// render writes a template to a file.
func (i *Instance) render(path, text string) error {
	out, err := i.Expand(text)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return os.WriteFile(path, []byte(out), 0o644)
}

// Expand fills in a template as [Options] tells.
func (i *Instance) Expand(text string) (string, error) {
	tmpl, err := template.New("nginxtest").Option("missingkey=error").Parse(text)
	if err != nil {
		return "", err
	}
	var out strings.Builder
	err = tmpl.Execute(&out, i)
	return out.String(), err
}

func (i *Instance) expandAll(texts []string) ([]string, error) {
	var out []string
	for _, text := range texts {
		s, err := i.Expand(text)
		if err != nil {
			return nil, err
		}
		out = append(out, s)
	}
	return out, nil
}

// Port is a free port on loopback, the same for each call with that name.
func (i *Instance) Port(name string) (int, error) {
	if port, ok := i.Ports[name]; ok {
		return port, nil
	}
	port, err := freePort()
	if err != nil {
		return 0, err
	}
	i.Ports[name] = port
	return port, nil
}

// Addr is "127.0.0.1:PORT" of a named port.
func (i *Instance) Addr(name string) string {
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(i.Ports[name]))
}

// lastPort was handed out last. Ports are given once in a test program, and
// from below the range the kernel takes for outgoing connections: under load
// one of those would sit on a port that nginx is about to bind.
var lastPort atomic.Int32

func freePort() (int, error) {
	for {
		port := 10000 + int(lastPort.Add(1))
		if port >= 32768 {
			return 0, errors.New("no free port is left below the ephemeral range")
		}
		l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		if errors.Is(err, syscall.EADDRINUSE) {
			continue
		}
		if err != nil {
			return 0, err
		}
		return port, l.Close()
	}
}

// Command is the command line that [Start] executes, not yet started.
func (i *Instance) Command(opts Options) (*exec.Cmd, error) {
	args, err := i.expandAll(opts.Args)
	if err != nil {
		return nil, err
	}
	if len(args) == 0 {
		args = []string{i.Exe, "-p", i.Prefix + "/", "-c", i.Conf}
	}
	env, err := i.expandAll(opts.Env)
	if err != nil {
		return nil, err
	}
	if opts.Env != nil && env == nil {
		env = []string{}
	}
	return &exec.Cmd{Path: i.Exe, Args: args, Env: env, Dir: cmp.Or(opts.Dir, i.Prefix)}, nil
}

func (i *Instance) start(opts Options) error {
	// nginx keeps its standard error open for good: a file, for a pipe would
	// never end.
	stderr, err := os.Create(filepath.Join(i.Prefix, "logs/stderr"))
	if err != nil {
		return err
	}
	defer stderr.Close()
	cmd, err := i.execute(opts, stderr)
	if err != nil {
		return err
	}
	exit := make(chan error, 1)
	go func() { exit <- cmd.Wait() }() // at once when it daemonizes, else with the master
	conf, err := os.ReadFile(i.Conf)
	if err != nil {
		return err
	}
	want := workerProcesses(string(conf))
	return poll(func() (bool, error) {
		select {
		case err := <-exit:
			if err != nil {
				return false, err
			}
		default:
		}
		pid, err := i.PID()
		if err != nil {
			return false, nil // not written yet
		}
		workers, err := i.Workers(pid)
		if err != nil || len(workers) < want {
			return false, err
		}
		i.MasterPID = pid
		return true, nil
	})
}

// execute starts the command. While another test forks, its child holds a copy of the descriptor
// that this binary was written through, until its exec: the kernel then says "text file busy".
func (i *Instance) execute(opts Options, stderr *os.File) (*exec.Cmd, error) {
	var cmd *exec.Cmd
	err := poll(func() (bool, error) {
		var err error
		if cmd, err = i.Command(opts); err != nil {
			return false, err
		}
		cmd.Stdout, cmd.Stderr = stderr, stderr
		err = cmd.Start()
		if errors.Is(err, syscall.ETXTBSY) {
			return false, nil
		}
		return err == nil, err
	})
	return cmd, err
}

// PID is the content of the pid file, if that is a live process of the
// instance.
func (i *Instance) PID() (int, error) {
	text, err := os.ReadFile(i.PidFile)
	if err != nil {
		return 0, err
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		return 0, fmt.Errorf("%s: %w", i.PidFile, err)
	}
	p, err := readProcess(pid)
	if err != nil {
		return 0, fmt.Errorf("%s: %w", i.PidFile, err)
	}
	if !i.owns(p) {
		return 0, fmt.Errorf("%s: process %d is not of this instance: it runs %s", i.PidFile, pid, p.exe)
	}
	return pid, nil
}

// Masters lists the instance's live masters, oldest first.
func (i *Instance) Masters() ([]int, error) { return i.processes(isMaster) }

// Workers lists the live workers of a master, those that shut down included.
func (i *Instance) Workers(master int) ([]int, error) {
	return i.processes(func(p process) bool { return p.parent == master && isWorker(p) })
}

// Signal sends a signal to one of the instance's processes, and to no other.
func (i *Instance) Signal(t testing.TB, pid int, sig syscall.Signal) {
	t.Helper()
	if err := i.signal(pid, sig); err != nil {
		t.Fatalf("nginxtest: %v", err)
	}
}

// ErrorLogText is the error log so far; "" if there is none.
func (i *Instance) ErrorLogText(t testing.TB) string {
	t.Helper()
	text, err := os.ReadFile(i.ErrorLog)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("nginxtest: %v", err)
	}
	return string(text)
}

// log is what nginx said, for a failed test's message.
func (i *Instance) log() string {
	stderr, _ := os.ReadFile(filepath.Join(i.Prefix, "logs/stderr"))
	log, _ := os.ReadFile(i.ErrorLog)
	return string(stderr) + lastLines(string(log), 30)
}

// end ends all processes of the instance: its masters, whose workers go with
// them, then workers that have no master any more.
func (i *Instance) end() error {
	anyone := func(process) bool { return true }
	gone := func(whom func(process) bool) func() (bool, error) {
		return func() (bool, error) {
			left, err := i.processes(whom)
			return len(left) == 0, err
		}
	}
	for _, whom := range []func(process) bool{isMaster, anyone} {
		if err := i.signalAll(whom, syscall.SIGTERM); err != nil {
			return err
		}
		if err := poll(gone(whom)); err != nil {
			// Nothing may outlive the test, but that it came to this is a failure.
			return errors.Join(err, i.signalAll(anyone, syscall.SIGKILL), poll(gone(anyone)))
		}
	}
	return nil
}

// signalAll signals all processes that whom chooses and that are still there.
func (i *Instance) signalAll(whom func(process) bool, sig syscall.Signal) error {
	pids, err := i.processes(whom)
	for _, pid := range pids {
		sent := i.signal(pid, sig)
		if errors.Is(sent, fs.ErrNotExist) || errors.Is(sent, syscall.ESRCH) {
			continue
		}
		err = errors.Join(err, sent)
	}
	return err
}

var errDeadline = fmt.Errorf("not done within %v", deadline)

// poll asks done, at growing intervals, until it is true, fails, or the
// deadline passes.
func poll(done func() (bool, error)) error {
	wait := time.Millisecond
	for end := time.Now().Add(deadline); time.Now().Before(end); time.Sleep(wait) {
		if ok, err := done(); ok || err != nil {
			return err
		}
		wait = min(wait*3/2, 50*time.Millisecond)
	}
	return errDeadline
}

var workerDirective = regexp.MustCompile(`(?m)^\s*worker_processes\s+(\w+)\s*;`)

// workerProcesses is how many workers a configuration asks for.
func workerProcesses(conf string) int {
	m := workerDirective.FindStringSubmatch(conf)
	switch {
	case strings.Contains(conf, "master_process off"):
		return 0
	case m == nil:
		return 1
	case m[1] == "auto":
		return runtime.NumCPU()
	}
	n, err := strconv.Atoi(m[1])
	if err != nil {
		return 1
	}
	return n
}

// workerUser is Debian's user for web servers, where this process may become
// another user; a user namespace may have only the one.
func workerUser() string {
	ids, err := os.ReadFile("/proc/self/uid_map")
	if fields := strings.Fields(string(ids)); err == nil && len(fields) == 3 && fields[2] == "1" {
		return "root"
	}
	return "www-data"
}

func copyFile(to, from string, mode fs.FileMode) error {
	src, err := os.Open(from)
	if err != nil {
		return err
	}
	defer src.Close()
	dst, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, mode)
	if err != nil {
		return err
	}
	_, err = io.Copy(dst, src)
	return errors.Join(err, dst.Close())
}
