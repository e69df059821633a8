package preflight

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"graft/internal/artifact"
	"graft/internal/nginx"
	"graft/internal/nginxtest"
)

// What nginx does if nobody looks beforehand: another binary lies at its path, and USR2 is sent.

const foreignPrefix = "/usr/local/openresty/nginx"

// swap puts another binary at the instance's path, as mv does.
func swap(t *testing.T, inst *nginxtest.Instance, bin nginxtest.Binary) {
	t.Helper()
	write(t, inst.Exe+".new", read(t, bin.Path))
	if err := os.Chmod(inst.Exe+".new", 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(inst.Exe+".new", inst.Exe); err != nil {
		t.Fatal(err)
	}
}

// pidIn waits until the file names a process.
func pidIn(t *testing.T, file string) (pid int) {
	t.Helper()
	eventually(t, file, func() bool {
		var err error
		pid, err = nginx.ReadPidFile(file)
		return err == nil
	})
	return pid
}

func TestPidPathDiffersSoThatTheFilesLieApart(t *testing.T) {
	removed(t, foreignPrefix)
	write(t, foreignPrefix+"/logs/.keep", "")
	inst := startPackaged(t, packaged, "-c", "/etc/nginx/nginx.conf")
	asked(t, subject(t, inst, nginxtest.Foreign(t)), "pid-path-differs", Blocker, "would lie apart")
	swap(t, inst, nginxtest.Foreign(t))
	inst.Signal(t, inst.MasterPID, syscall.SIGUSR2)
	young := pidIn(t, foreignPrefix+"/logs/nginx.pid")
	if old := pidIn(t, "/run/nginx.pid.oldbin"); old != inst.MasterPID || young == old {
		t.Errorf("old %d, new %d", old, young)
	}
	if _, err := os.Stat("/run/nginx.pid"); err == nil {
		t.Error("whoever reads /run/nginx.pid finds a master")
	}
}

func TestArgvReusedReadsAnotherConfiguration(t *testing.T) {
	removed(t, foreignPrefix)
	inst := startPackaged(t, packaged)
	own, err := inst.Expand(strings.ReplaceAll(packaged, `"http"`, `"own"`))
	if err != nil {
		t.Fatal(err)
	}
	write(t, foreignPrefix+"/conf/nginx.conf", "pid /run/nginx.pid;\n"+own)
	write(t, foreignPrefix+"/html/files/index.html", "Welcome to OpenResty!")
	asked(t, subject(t, inst, nginxtest.Foreign(t)), "argv-reused", Blocker, foreignPrefix+"/conf/nginx.conf")
	swap(t, inst, nginxtest.Foreign(t))
	upgrade(t, inst, 1)
	if got := get(t, inst.Addr("own"), "/files/"); got != "Welcome to OpenResty!" {
		t.Errorf("the new master serves %q", got)
	}
}

// -e came with 1.19.5: to an older binary the old arguments mean nothing.
func TestArgvReusedIsRefusedByAnOlderBinary(t *testing.T) {
	inst := nginxtest.Start(t, nginxtest.Options{
		Args: []string{"{{.Exe}}", "-p", "{{.Prefix}}", "-c", "{{.Conf}}", "-e", "{{.ErrorLog}}"},
	})
	older := nginxtest.Release(t, "1.18.0")
	asked(t, subject(t, inst, older), "argv-reused", Blocker, "-e")
	swap(t, inst, older)
	inst.Signal(t, inst.MasterPID, syscall.SIGUSR2)
	showGivenUp(t, inst)
	if said := inst.ErrorLogText(t); !strings.Contains(said, `invalid option: "e"`) {
		t.Errorf("the new binary said: %s", said)
	}
}

// A library that LD_LIBRARY_PATH finds: nginx starts with it, and USR2 takes the variable away.
func TestEnvStrippedOfTheLibraryPath(t *testing.T) {
	libraries := t.TempDir()
	if err := os.Symlink(pcreFile(t), filepath.Join(libraries, "libnone.so.9")); err != nil {
		t.Fatal(err)
	}
	needing := nginxtest.Binary{Path: patched(t, hardened(t), "libnone.so.9"), Version: hardened(t).Version}
	inst := nginxtest.Start(t, nginxtest.Options{Binary: needing, Env: []string{"LD_LIBRARY_PATH=" + libraries}})
	inst.Signal(t, inst.MasterPID, syscall.SIGUSR2)
	showGivenUp(t, inst)
	if said := inst.ErrorLogText(t); !strings.Contains(said, "libnone.so.9: cannot open shared object file") {
		t.Errorf("the new binary said: %s", said)
	}
}

// showGivenUp waits until the new binary has ended and the old master took its pid file back.
func showGivenUp(t *testing.T, inst *nginxtest.Instance) {
	t.Helper()
	eventually(t, "the new binary gives up", func() bool {
		pid, err := inst.PID()
		return err == nil && pid == inst.MasterPID && strings.Contains(inst.ErrorLogText(t), "start new binary process")
	})
	if body := get(t, inst.Addr("http"), "/page.txt"); body == "" {
		t.Error("the old master does not serve any more")
	}
}

// The last step of a runbook: all went well, and then the machine is started again.
func TestColdStartDiffersFromWhatRan(t *testing.T) {
	removed(t, foreignPrefix, unitFile)
	inst := startPackaged(t, packaged, "-c", "/etc/nginx/nginx.conf", "-g", "pid /run/nginx.pid;")
	write(t, unitFile, "[Service]\nType=forking\nPIDFile=/run/nginx.pid\nExecStart="+inst.Exe+"\n")
	own, err := inst.Expand(strings.ReplaceAll(packaged, `"http"`, `"own"`))
	if err != nil {
		t.Fatal(err)
	}
	write(t, foreignPrefix+"/conf/nginx.conf", "pid /run/nginx.pid;\n"+own)
	asked(t, subject(t, inst, nginxtest.Foreign(t)), "cold-start-differs", Blocker, foreignPrefix+"/conf/nginx.conf instead of /etc/nginx/nginx.conf")
	swap(t, inst, nginxtest.Foreign(t))
	inst.Signal(t, inst.MasterPID, syscall.SIGTERM)
	eventually(t, "nginx is gone", func() bool {
		masters, err := inst.Masters()
		return err == nil && len(masters) == 0
	})
	again, err := inst.Command(nginxtest.Options{Args: []string{inst.Exe}}) // as the unit says
	if err != nil {
		t.Fatal(err)
	}
	if out, err := again.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	pidIn(t, "/run/nginx.pid")
	conn, err := net.Dial("tcp", inst.Addr("own"))
	if err != nil {
		t.Fatal(err)
	}
	conn.Close()
	if conn, err := net.Dial("tcp", inst.Addr("http")); err == nil {
		conn.Close()
		t.Error("what was served before is served again")
	}
}

// A listen that was edited away: the parked old master keeps the socket, and clients hang instead of being refused.
func TestListenChangedLeavesASocketThatNobodyAccepts(t *testing.T) {
	inst := nginxtest.Start(t, nginxtest.Options{})
	edit(t, inst, "listen "+inst.Addr("http")+";", "")
	asked(t, subject(t, inst, hardened(t)), "listen-changed", Warning, inst.Addr("http"), "would hang")
	upgrade(t, inst, 2)
	inst.Signal(t, inst.MasterPID, syscall.SIGWINCH)
	eventually(t, "the old workers are gone", func() bool {
		workers, err := inst.Workers(inst.MasterPID)
		return err == nil && len(workers) == 0
	})
	conn, err := net.Dial("tcp", inst.Addr("http"))
	if err != nil {
		t.Fatalf("refused, as it should be: %v", err)
	}
	conn.Close()
	if body := get(t, inst.Addr("http"), "/page.txt"); body != "" {
		t.Errorf("somebody answered: %.40q", body)
	}
}

func TestStagingConflict(t *testing.T) {
	inst := nginxtest.Start(t, nginxtest.Options{})
	s := subject(t, inst, hardened(t))
	asked(t, s, "staging-conflict", OK, "binary alone")

	const prefix, library = "/opt/runtime", "/opt/runtime/lualib/cjson.so"
	removed(t, prefix)
	tree := t.TempDir()
	write(t, filepath.Join(tree, "sbin/nginx"), read(t, hardened(t).Path))
	if err := os.Chmod(filepath.Join(tree, "sbin/nginx"), 0o755); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(tree, library), "of the target")
	b := s.Target.Manifest.Build
	store, err := artifact.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	s.Target, err = store.Put(t.Context(), tree, artifact.Manifest{
		Name: "with a runtime", Flavor: b.Flavor, Version: b.Version, Build: b, Binary: "sbin/nginx", Prefix: prefix,
		Source: artifact.Source{Kind: "tree", Location: tree},
	})
	if err != nil {
		t.Fatal(err)
	}
	asked(t, s, "staging-conflict", OK, prefix)
	write(t, library, "of the target") // the same content, from a run before
	asked(t, s, "staging-conflict", OK)
	write(t, library, "of somebody else")
	asked(t, s, "staging-conflict", Blocker, library)
}
