package preflight

import (
	"fmt"
	"net"
	"slices"
	"strings"
	"syscall"
	"testing"

	"graft/internal/nginxtest"
)

// download asks for a large file and reads nothing of it: its worker is busy until somebody ends it.
func download(t *testing.T, inst *nginxtest.Instance) net.Conn {
	t.Helper()
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", inst.Addr("http"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if _, err := fmt.Fprintf(conn, "GET /big HTTP/1.1\r\nHost: localhost\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	return conn
}

func drain(t *testing.T, inst *nginxtest.Instance) Check {
	t.Helper()
	return drainUnbounded(&examination{Subject: subject(t, inst, inst.Binary)})
}

func TestDrainUnbounded(t *testing.T) {
	inst := nginxtest.Start(t, nginxtest.Options{})
	found(t, run(t, subject(t, inst, hardened(t))), "drain-unbounded", Note, "no worker_shutdown_timeout in "+inst.Conf, "clients now: 0")

	conn := download(t, inst)
	asked(t, subject(t, inst, inst.Binary), "drain-unbounded", Note, "clients now: 1", "the longest silent one, of worker", "none is older than its worker")

	// The download keeps its worker, and would keep the old master.
	before, err := inst.Workers(inst.MasterPID)
	if err != nil {
		t.Fatal(err)
	}
	inst.Signal(t, inst.MasterPID, syscall.SIGHUP)
	var left int
	eventually(t, "one old worker is left beside the new ones", func() bool {
		now, err := inst.Workers(inst.MasterPID)
		if err != nil || len(now) != 3 {
			return false
		}
		still := slices.DeleteFunc(slices.Clone(before), func(pid int) bool { return !slices.Contains(now, pid) })
		if len(still) != 1 { // two of them, while the new ones come up
			return false
		}
		left = still[0]
		return true
	})
	eventually(t, "it shuts down", func() bool {
		return strings.Contains(drain(t, inst).Evidence, fmt.Sprintf("Worker %d has been shutting down since a reload", left))
	})
	asked(t, subject(t, inst, inst.Binary), "drain-unbounded", Note, "clients now: 0", "and still holds 1")

	inst.Signal(t, inst.MasterPID, quit)
	if masters, err := inst.Masters(); err != nil || len(masters) != 1 {
		t.Errorf("the master did not wait for its worker: %v %v", masters, err)
	}
	conn.Close()
	eventually(t, "the master leaves when the client has", func() bool {
		masters, err := inst.Masters()
		return err == nil && len(masters) == 0
	})
}

func TestDrainUnboundedUntilTheTimeout(t *testing.T) {
	inst := nginxtest.Start(t, nginxtest.Options{Config: "worker_shutdown_timeout 1s;\n" + nginxtest.Realistic})
	download(t, inst)
	asked(t, subject(t, inst, inst.Binary), "drain-unbounded", OK, "worker_shutdown_timeout 1s ("+inst.Conf+":1): old workers are gone by then at the latest", "clients now: 1")
	inst.Signal(t, inst.MasterPID, quit)
	eventually(t, "the master leaves though the client reads nothing", func() bool {
		masters, err := inst.Masters()
		return err == nil && len(masters) == 0
	})
}

func TestDrainUnboundedCountsTheWorkersOwnEnds(t *testing.T) {
	inst := nginxtest.Start(t, nginxtest.Options{})
	old := dialOld(t, inst.Addr("http"))
	old.get(t, "/app/")                                                                // the upstream's connection is kept alive, too, and its worker takes it
	asked(t, subject(t, inst, inst.Binary), "drain-unbounded", Note, "clients now: 2") // ours, and the upstream's own end: it is the same nginx
}
