package preflight

import (
	"strings"
	"syscall"
	"testing"

	"graft/internal/nginxtest"
)

func TestWinchIgnored(t *testing.T) {
	t.Run("daemon off", func(t *testing.T) {
		inst := nginxtest.Start(t, nginxtest.Options{Config: "daemon off;\n" + nginxtest.Realistic})
		asked(t, subject(t, inst, hardened(t)), "winch-ignored", Blocker, "daemon off", inst.Conf+":1", "old workers would stay")

		edit(t, inst, "daemon off;\n", "")
		s := subject(t, inst, hardened(t))
		asked(t, s, "winch-ignored", Blocker, "the files do not say so any more", "/fd/1")
		asked(t, s, "usr2-ignored", Blocker, "the files do not say so any more", "/fd/1")

		// nginx logs the signal and does nothing: the workers stay and answer.
		before, err := inst.Workers(inst.MasterPID)
		if err != nil {
			t.Fatal(err)
		}
		inst.Signal(t, inst.MasterPID, syscall.SIGWINCH)
		eventually(t, "nginx logs WINCH", func() bool { return strings.Contains(inst.ErrorLogText(t), "(SIGWINCH) received") })
		if strings.Contains(inst.ErrorLogText(t), "stop accepting connections") {
			t.Error("nginx obeyed")
		}
		after, err := inst.Workers(inst.MasterPID)
		if err != nil || len(after) != len(before) || get(t, inst.Addr("http"), "/page.txt") == "" {
			t.Errorf("workers %v before, %v after: %v", before, after, err)
		}
	})
	t.Run("daemonized", func(t *testing.T) {
		inst := nginxtest.Start(t, nginxtest.Options{})
		s := subject(t, inst, hardened(t))
		asked(t, s, "winch-ignored", OK, "/dev/null")
		asked(t, s, "usr2-ignored", OK)
		young := upgrade(t, inst, 2)
		inst.Signal(t, inst.MasterPID, syscall.SIGWINCH)
		eventually(t, "the old workers are gone", func() bool {
			left, err := inst.Workers(inst.MasterPID)
			return err == nil && len(left) == 0
		})
		inst.MasterPID = young
		asked(t, subject(t, inst, hardened(t)), "winch-ignored", OK, "born by USR2")
	})
	t.Run("without a master", func(t *testing.T) {
		s := subject(t, nginxtest.Start(t, nginxtest.Options{}), hardened(t))
		s.Instance.MasterProcess = false
		asked(t, s, "winch-ignored", Blocker, "no workers to end")
	})
}
