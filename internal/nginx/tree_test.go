package nginx

import (
	"os/exec"
	"syscall"
	"testing"
	"time"

	"graft/internal/procfs"
)

// A module or a script may start programs as children of the master. They are none of nginx's, and
// no fork of it that is about to become something.
func TestAForeignChildOfAMasterIsNoFork(t *testing.T) {
	master := exec.CommandContext(t.Context(), "/bin/sh", "-c", "sleep 30 & echo started; wait")
	master.Args[0] = "nginx: master process /sbin/nginx"
	out, err := master.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := master.Start(); err != nil {
		t.Fatal(err)
	}
	fs := procfs.New("/proc")
	var children []int
	t.Cleanup(func() {
		_ = master.Process.Kill()
		for _, child := range children {
			_ = syscall.Kill(child, syscall.SIGKILL)
		}
		_ = master.Wait()
	})
	if _, err := out.Read(make([]byte, 8)); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
		if children, err = fs.Children(master.Process.Pid); err != nil {
			t.Fatal(err)
		}
		tree, err := ReadTree(fs, master.Process.Pid)
		if err != nil {
			t.Fatal(err)
		}
		if len(tree.Forking) == 0 && len(tree.Others) == 1 && len(tree.Workers)+len(tree.Masters) == 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("seen as %+v", tree)
		}
	}
}
