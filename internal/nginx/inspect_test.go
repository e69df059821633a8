package nginx

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"graft/internal/nginxtest"
	"graft/internal/procfs"
)

// small is a configuration for instances that need not do much. More goes into the main context.
func small(more string) string {
	return "worker_processes 2;\nerror_log {{.ErrorLog}} notice;\n" + more +
		"events {}\nhttp { access_log {{.AccessLog}}; server { listen 127.0.0.1:{{.Port \"http\"}}; return 200; } }\n"
}

const pidDirective = "pid {{.PidFile}};\n"

func inspected(t *testing.T, pid int) Instance {
	t.Helper()
	i, err := Inspect(t.Context(), proc, pid)
	if err != nil {
		t.Fatal(err)
	}
	return i
}

func TestInspectTellsWhatRuns(t *testing.T) {
	bin := nginxtest.Debian(t)
	inst := nginxtest.Start(t, nginxtest.Options{Binary: bin})
	i := inspected(t, inst.MasterPID)
	if i.ConfigError != nil || i.ArgvDoubt != "" || !i.PidFileOK() || !i.Daemonized || !i.MasterProcess || !i.MountNamespace {
		t.Errorf("config error %v, doubt %q, pid file %+v, daemonized %v, master process %v, our files %v",
			i.ConfigError, i.ArgvDoubt, i.PidFile, i.Daemonized, i.MasterProcess, i.MountNamespace)
	}
	if sum, err := procfs.SHA256(bin.Path); err != nil || i.Exe.SHA256 != sum || i.Exe.Path != inst.Exe || i.Exe.Deleted {
		t.Errorf("exe %+v, want %s of %s", i.Exe, inst.Exe, sum)
	}
	if i.Build.Version != bin.Version || i.Build.Flavor != FlavorNginx || len(i.Build.Configure) == 0 {
		t.Errorf("build %+v, want nginx %s", i.Build, bin.Version)
	}
	if diff := cmp.Diff([]string{inst.Exe, "-p", inst.Prefix + "/", "-c", inst.Conf}, i.Argv); diff != "" {
		t.Errorf("argv (-want +got)\n%s", diff)
	}
	want := Paths{Prefix: inst.Prefix + "/", Conf: inst.Conf, ConfPrefix: filepath.Dir(inst.Conf) + "/", Pid: inst.PidFile, ErrorLog: "stderr"}
	if diff := cmp.Diff(want, i.Paths); diff != "" {
		t.Errorf("paths (-want +got)\n%s", diff)
	}
	if diff := cmp.Diff(Logs{Access: []string{inst.AccessLog}, Error: []string{inst.ErrorLog}}, i.Logs); diff != "" {
		t.Errorf("logs (-want +got)\n%s", diff)
	}
	if i.Accepting() != 2 || i.WorkersToCome(proc) != 2 || len(i.Workers) != 2 {
		t.Errorf("workers %+v, want two", i.Workers)
	}
	addrs := []string{}
	for _, l := range i.Listen {
		addrs = append(addrs, l.Addr)
	}
	slices.Sort(addrs)
	wantAddrs := []string{inst.Addr("http"), inst.Addr("https"), inst.Addr("app"), "unix:" + inst.Prefix + "/run/http.sock"}
	slices.Sort(wantAddrs)
	if diff := cmp.Diff(wantAddrs, addrs); diff != "" {
		t.Errorf("listening on (-want +got)\n%s", diff)
	}
	if file, ok := i.Executable(); !ok || file != inst.Exe {
		t.Errorf("USR2 would execute %q, %v, want %s", file, ok, inst.Exe)
	}
}

// Guarantee 5: looking changes nothing.
func TestInspectChangesNothing(t *testing.T) {
	inst := nginxtest.Start(t, nginxtest.Options{})
	state := func() map[string]string {
		files := map[string]string{}
		err := filepath.Walk(inst.Prefix, func(path string, info os.FileInfo, err error) error {
			if err == nil {
				files[path] = fmt.Sprint(info.Mode(), info.Size(), info.ModTime())
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		files["workers"] = fmt.Sprint(accepting(t, inst.MasterPID))
		return files
	}
	before := state()
	inspected(t, inst.MasterPID)
	if diff := cmp.Diff(before, state()); diff != "" {
		t.Errorf("(-before +after)\n%s", diff)
	}
}

// The trap text-file-busy: the file on disk is not what runs.
func TestInspectReadsTheBinaryThatRuns(t *testing.T) {
	old, young := nginxtest.Release(t, "1.18.0"), nginxtest.Release(t, "1.26.3")
	for _, tt := range []struct {
		name    string
		change  func(exe string) error
		at      string
		deleted bool
	}{
		{"renamed", func(exe string) error { return os.Rename(exe, exe+".old") }, ".old", false},
		{"removed", os.Remove, "", true},
		{"replaced", func(exe string) error {
			data, err := os.ReadFile(young.Path)
			return errors.Join(err, os.WriteFile(exe+".new", data, 0o755), os.Rename(exe+".new", exe))
		}, "", true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inst := nginxtest.Start(t, nginxtest.Options{Binary: old, Config: small(pidDirective)})
			before := inspected(t, inst.MasterPID)
			if err := tt.change(inst.Exe); err != nil {
				t.Fatal(err)
			}
			after := inspected(t, inst.MasterPID)
			want := before.Exe
			want.Path, want.Deleted = inst.Exe+tt.at, tt.deleted
			if after.Exe != want || after.Build.Version != "1.18.0" {
				t.Errorf("exe %+v of version %s, want %+v of 1.18.0", after.Exe, after.Build.Version, want)
			}
		})
	}
}

func TestDiscoverFindsSeveralInstances(t *testing.T) {
	first := nginxtest.Start(t, nginxtest.Options{Config: small(pidDirective)})
	second := nginxtest.Start(t, nginxtest.Options{Binary: nginxtest.Release(t, "1.26.3"), Config: small(pidDirective)})
	all, err := Discover(t.Context(), proc)
	if err != nil {
		t.Fatal(err)
	}
	got := map[int]string{}
	for _, i := range all {
		got[i.Master.PID] = i.Build.Version + " " + i.Paths.Conf
	}
	want := map[int]string{first.MasterPID: first.Binary.Version + " " + first.Conf, second.MasterPID: "1.26.3 " + second.Conf}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// The trap upgrade-under-way: an upgrade that somebody began by hand.
func TestInspectSeesAnUpgradeUnderWay(t *testing.T) {
	inst := nginxtest.Start(t, nginxtest.Options{Config: small(pidDirective)})
	sockets := inspected(t, inst.MasterPID).Listen
	inst.Signal(t, inst.MasterPID, syscall.SIGUSR2)
	young := 0
	eventually(t, "a new master with its workers", func() bool {
		masters, err := inst.Masters()
		if err != nil || len(masters) != 2 {
			return false
		}
		young = masters[1]
		workers, err := inst.Workers(young)
		return err == nil && len(workers) == 2
	})
	a, b := inspected(t, inst.MasterPID), inspected(t, young)
	if a.NewMaster != young || a.OldMaster != 0 || a.PidFileOK() {
		t.Errorf("the old one: new master %d, old master %d, pid file %+v", a.NewMaster, a.OldMaster, a.PidFile)
	}
	if b.OldMaster != inst.MasterPID || b.NewMaster != 0 || !b.PidFileOK() || b.PidFile.OldBin != inst.MasterPID {
		t.Errorf("the new one: old master %d, new master %d, pid file %+v", b.OldMaster, b.NewMaster, b.PidFile)
	}
	if inodes(sockets) != inodes(b.Listen) {
		t.Errorf("the new master's sockets are %s, the old one's were %s", inodes(b.Listen), inodes(sockets))
	}
	if all, err := Discover(t.Context(), proc); err != nil || len(all) != 2 {
		t.Errorf("discovered %d masters, %v, want both", len(all), err)
	}
}

func inodes(listeners []procfs.Listener) string {
	var list []uint64
	for _, l := range listeners {
		list = append(list, l.Inode)
	}
	slices.Sort(list)
	return fmt.Sprint(list)
}

// The trap drain-unbounded: a slow client keeps its worker.
func TestWorkersThatShutDownAreToldApart(t *testing.T) {
	inst := nginxtest.Start(t, nginxtest.Options{})
	before := inspected(t, inst.MasterPID)
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", inst.Addr("http"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.Write([]byte("GET /big HTTP/1.1\r\nHost: localhost\r\n\r\n")); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(conn).ReadString('\n'); err != nil || !strings.Contains(line, "200") {
		t.Fatalf("%q, %v", line, err)
	}
	inst.Signal(t, inst.MasterPID, syscall.SIGHUP)
	var now Instance
	eventually(t, "two new workers, and the one that the client keeps", func() bool {
		now = inspected(t, inst.MasterPID)
		return len(now.Workers) == 3 && now.Accepting() == 2
	})
	at := slices.IndexFunc(now.Workers, func(w Worker) bool { return w.ShuttingDown })
	if at < 0 || !slices.ContainsFunc(before.Workers, func(w Worker) bool { return w.Process == now.Workers[at].Process }) {
		t.Errorf("workers %+v, want one of %+v shutting down", now.Workers, before.Workers)
	}
	// The trap unix-socket-unlinked, the other way round: a reload keeps every socket.
	if inodes(before.Listen) != inodes(now.Listen) {
		t.Errorf("sockets %s, were %s", inodes(now.Listen), inodes(before.Listen))
	}
	conn.Close()
	eventually(t, "it goes with its client", func() bool { return len(inspected(t, inst.MasterPID).Workers) == 2 })
}

func TestThePidFileMayNameAnotherOrNobody(t *testing.T) {
	inst := nginxtest.Start(t, nginxtest.Options{Config: small(pidDirective)})
	for _, tt := range []struct {
		name, content string
		holds         int
		told          string
	}{
		{"another process", fmt.Sprintln(os.Getpid()), os.Getpid(), ""},
		{"what nginx -t leaves", "", 0, "nginx -t"},
		{"no number", "nginx\n", 0, `"nginx"`},
	} {
		write(t, inst.PidFile, tt.content)
		got := inspected(t, inst.MasterPID)
		if got.PidFileOK() || got.PidFile.Holds != tt.holds || !strings.Contains(got.PidFile.Error, tt.told) {
			t.Errorf("%s: %+v", tt.name, got.PidFile)
		}
	}
	if err := os.Remove(inst.PidFile); err != nil {
		t.Fatal(err)
	}
	if got := inspected(t, inst.MasterPID); got.PidFileOK() || got.PidFile.Error == "" {
		t.Errorf("no file: %+v", got.PidFile)
	}
}

// The trap usr2-ignored.
func TestAForegroundMasterIsNotDaemonized(t *testing.T) {
	for name, opts := range map[string]nginxtest.Options{
		"by -g":         {Config: small(pidDirective), Args: []string{"{{.Exe}}", "-p", "{{.Prefix}}", "-c", "{{.Conf}}", "-g", "daemon off;"}},
		"by the config": {Config: small(pidDirective + "daemon off;\n")},
	} {
		inst := nginxtest.Start(t, opts)
		i := inspected(t, inst.MasterPID)
		tree, err := ReadTree(proc, inst.MasterPID)
		if err != nil || i.Daemonized || i.ConfigError != nil || tree.PPID != os.Getpid() {
			t.Errorf("%s: daemonized %v, config error %v, parent %d, %v, want this test as its parent", name, i.Daemonized, i.ConfigError, tree.PPID, err)
		}
	}
}

// The trap argv-reused: without -c the conf path is the binary's own.
func TestWithoutAConfOptionTheBinarysOwnPathCounts(t *testing.T) {
	inst := nginxtest.Start(t, nginxtest.Options{
		Conf: "/etc/nginx/nginx.conf", PidFile: "/run/nginx.pid", Config: small(""),
		Args: []string{"{{.Exe}}", "-g", "daemon on; master_process on;"},
	})
	i := inspected(t, inst.MasterPID)
	if diff := cmp.Diff([]string{inst.Exe, "-g", "daemon on; master_process on;"}, i.Argv); diff != "" || i.ArgvDoubt != "" {
		t.Errorf("doubt %q, argv (-want +got)\n%s", i.ArgvDoubt, diff)
	}
	if i.Paths.Conf != "/etc/nginx/nginx.conf" || i.Paths.Pid != "/run/nginx.pid" || i.Paths.Prefix != "/usr/share/nginx/" || !i.PidFileOK() {
		t.Errorf("paths %+v, pid file %+v", i.Paths, i.PidFile)
	}
}

// The trap argv0-relative.
func TestARelativeArgv0CountsFromTheWorkingDirectory(t *testing.T) {
	for argv0, viable := range map[string]bool{"sbin/nginx": true, "./sbin/nginx": true, "nginx": false} {
		inst := nginxtest.Start(t, nginxtest.Options{Config: small(pidDirective), Args: []string{argv0, "-p", ".", "-c", "conf/nginx.conf"}})
		i := inspected(t, inst.MasterPID)
		if i.Argv[0] != argv0 || i.Cwd != inst.Prefix || i.Paths.Conf != inst.Conf || i.Paths.Prefix != inst.Prefix+"/" {
			t.Errorf("%s: argv %q in %s, paths %+v", argv0, i.Argv, i.Cwd, i.Paths)
		}
		file, ok := i.Executable()
		if ok != viable || viable && file != inst.Exe {
			t.Errorf("%s: USR2 would execute %q, %v, want %v", argv0, file, ok, viable)
		}
	}
}

// nginx writes its title over its arguments and environment, and cuts what does not fit.
func TestATitleThatMayBeCutIsDoubted(t *testing.T) {
	inst := nginxtest.Start(t, nginxtest.Options{Config: small(pidDirective), Env: []string{}})
	title, err := proc.Title(inst.MasterPID)
	if err != nil {
		t.Fatal(err)
	}
	if strings.HasSuffix(title, inst.Conf) {
		t.Fatalf("the title %q is whole: this shows nothing", title)
	}
	i, err := Inspect(t.Context(), proc, inst.MasterPID)
	if err != nil || !strings.Contains(i.ArgvDoubt, "cut") {
		t.Errorf("doubt %q, %v, argv %q, want one that says it may be cut", i.ArgvDoubt, err, i.Argv)
	}
}

// The trap reuseport-blackhole: one socket for each worker.
func TestReuseportListenersAreToldApart(t *testing.T) {
	inst := nginxtest.Start(t, nginxtest.Options{Config: `worker_processes 2; pid {{.PidFile}}; error_log {{.ErrorLog}}; events {}
		http { access_log off; server { listen 127.0.0.1:{{.Port "many"}} reuseport; listen 127.0.0.1:{{.Port "one"}}; return 200; } }`})
	got := map[string]int{}
	i := inspected(t, inst.MasterPID)
	for _, l := range i.Listen {
		got[fmt.Sprintf("%s reuseport %v", l.Addr, l.Reuseport)]++
	}
	want := map[string]int{inst.Addr("many") + " reuseport true": 2, inst.Addr("one") + " reuseport false": 1}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	// Each worker accepts on its own one of them, and on the common one.
	for _, w := range i.Workers {
		waits, err := proc.Accepting(w.PID)
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		for _, l := range i.Listen {
			if waits[l.Inode] {
				n++
			}
		}
		if n != 2 {
			t.Errorf("worker %d accepts on %d of %+v, want 2", w.PID, n, i.Listen)
		}
	}
}

func TestABrokenConfigurationOnDiskLeavesTheRest(t *testing.T) {
	inst := nginxtest.Start(t, nginxtest.Options{
		Config: small(""), Args: []string{"{{.Exe}}", "-p", "{{.Prefix}}", "-c", "{{.Conf}}", "-g", "daemon off; pid {{.PidFile}};"},
	})
	write(t, inst.Conf, "http {\n")
	i := inspected(t, inst.MasterPID)
	if i.ConfigError == nil || !strings.Contains(i.ConfigError.Error(), inst.Conf) {
		t.Errorf("config error %v, want one that names %s", i.ConfigError, inst.Conf)
	}
	if i.Daemonized || !i.PidFileOK() || len(i.Listen) != 1 || i.Accepting() != 2 {
		t.Errorf("daemonized %v, pid file %+v, %d listeners, %d workers: -g and the processes still tell", i.Daemonized, i.PidFile, len(i.Listen), i.Accepting())
	}
}

// The keys that other programs rely on.
func TestTheJSONOfAnInstance(t *testing.T) {
	inst := nginxtest.Start(t, nginxtest.Options{Config: small(pidDirective)})
	data, err := json.Marshal(inspected(t, inst.MasterPID))
	if err != nil {
		t.Fatal(err)
	}
	var got map[string]any
	if err := json.Unmarshal(data, &got); err != nil {
		t.Fatal(err)
	}
	keys := slices.Collect(maps.Keys(got))
	for _, want := range []string{"master", "workers", "exe", "argv", "cwd", "flavor", "version", "configure", "prefix", "conf", "pid_file", "daemonized", "supervisor", "listen", "logs", "modules"} {
		if !slices.Contains(keys, want) || got[want] == nil {
			t.Errorf("no %q in %s", want, data)
		}
	}
}
