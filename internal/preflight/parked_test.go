package preflight

import (
	"slices"
	"strings"
	"testing"

	"graft/internal/nginx"
	"graft/internal/nginxtest"
	"graft/internal/procfs"
)

func TestLosesNamesWhatALaterReloadWouldLetGoOf(t *testing.T) {
	config := strings.Replace(nginxtest.Realistic, `listen 127.0.0.1:{{.Port "http"}};`, `listen 127.0.0.1:{{.Port "http"}} reuseport;`, 1)
	inst := nginxtest.Start(t, nginxtest.Options{Config: config})
	loses := func() []string {
		t.Helper()
		i := subject(t, inst, hardened(t)).Instance
		return Loses(procfs.New("/proc"), i.Config, i.Listen, inst.MasterPID)
	}
	if lost := loses(); len(lost) > 0 {
		t.Errorf("of a configuration that did not change: %q", lost)
	}
	edit(t, inst, "worker_processes 2;", "worker_processes 3;")
	if lost := loses(); len(lost) > 0 {
		t.Errorf("with more workers: %q", lost)
	}
	edit(t, inst, "worker_processes 3;", "worker_processes 1;")
	edit(t, inst, "listen unix:", "#listen unix:")
	lost := loses()
	for _, want := range []string{"1 of the 2 reuseport sockets on tcp " + inst.Addr("http"), "run/http.sock", "removes its path"} {
		if !slices.ContainsFunc(lost, func(told string) bool { return strings.Contains(told, want) }) {
			t.Errorf("%q is not told: %q", want, lost)
		}
	}
	if len(lost) != 2 {
		t.Errorf("%q, want two", lost)
	}
}

func TestTakesAsksTheRunningBinary(t *testing.T) {
	inst := nginxtest.Start(t, nginxtest.Options{})
	takes := func() (bool, string) {
		t.Helper()
		fs := procfs.New("/proc")
		i, err := nginx.Inspect(t.Context(), fs, inst.MasterPID)
		if err != nil {
			t.Fatal(err)
		}
		took, said, err := Takes(t.Context(), fs, i, inst.MasterPID)
		if err != nil {
			t.Fatal(err)
		}
		return took, said
	}
	if took, said := takes(); !took || said != "" {
		t.Errorf("what it runs: %v, %q", took, said)
	}
	edit(t, inst, "sendfile on;", "sendfile on; sendfiles on;")
	if took, said := takes(); took || !strings.Contains(said, `unknown directive "sendfiles"`) {
		t.Errorf("an unknown directive: %v, %q", took, said)
	}
}

func TestReloadCommandIsTheUnits(t *testing.T) {
	if command, _, err := ReloadCommand("nginx.service"); err != nil || command != "" {
		t.Errorf("without a unit: %q, %v", command, err)
	}
	removed(t, unitFile)
	write(t, unitFile, "[Service]\nExecStart=/usr/sbin/nginx\nExecReload=/bin/kill -s HUP $MAINPID\n")
	command, where, err := ReloadCommand("nginx.service")
	if err != nil || command != "/bin/kill -s HUP $MAINPID" || where != unitFile+":3" {
		t.Errorf("%q at %q, %v", command, where, err)
	}
}
