package gate

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"graft/internal/analysis"
	"graft/internal/nginx"
	"graft/internal/procfs"
)

// workersTree lays out two workers of each generation.
type workersTree struct {
	t    *testing.T
	root string
	pids *generations
	r    *resources
	now  time.Time
}

func newWorkersTree(t *testing.T) *workersTree {
	w := &workersTree{t: t, root: t.TempDir(), now: time.Unix(1_790_000_000, 0)}
	fs := procfs.New(w.root)
	w.pids = newGenerations(fs, nginx.Process{PID: oldMaster}, nginx.Process{PID: newMaster})
	w.pids.accepting[oldGeneration] = []nginx.Process{{PID: oldWorker}, {PID: oldWorker + 1}}
	w.pids.accepting[newGeneration] = []nginx.Process{{PID: newWorker}, {PID: newWorker + 1}}
	w.r = newResources(fs, slog.New(slog.DiscardHandler), nil)
	w.refuse(1000)
	return w
}

func (w *workersTree) write(name, text string) {
	path := filepath.Join(w.root, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		w.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		w.t.Fatal(err)
	}
}

func (w *workersTree) hold(worker, megabytes int) {
	for i := range 2 {
		w.write(fmt.Sprintf("%d/status", worker+i), fmt.Sprintf("Name:\tnginx\nRssAnon:\t%d kB\n", megabytes<<10))
		w.write(fmt.Sprintf("%d/fd/0", worker+i), "")
	}
}

func (w *workersTree) refuse(n int) {
	w.write(fmt.Sprintf("%d/net/netstat", newMaster), fmt.Sprintf("TcpExt: ListenOverflows ListenDrops\nTcpExt: %d %d\n", n, n))
}

func (w *workersTree) finding(signal analysis.Signal) analysis.Finding {
	for _, f := range w.r.findings() {
		if f.Signal == signal {
			return f
		}
	}
	w.t.Fatalf("nothing of %s", signal)
	return analysis.Finding{}
}

func TestALeakingWorkerIsFound(t *testing.T) {
	w := newWorkersTree(t)
	served := int64(0)
	for i := range 60 {
		w.hold(oldWorker, 40)
		w.hold(newWorker, 10+2*i)
		served += 20
		w.r.look(w.now, w.pids, served)
		w.now = w.now.Add(usageEvery)
	}
	if f := w.finding(analysis.Memory); f.State != analysis.Alarm {
		t.Errorf("%+v", f)
	}
	if f := w.finding(analysis.Connections); f.State != analysis.Quiet {
		t.Errorf("%+v", f)
	}
}

// Days of samples are kept in few, and tell the same.
func TestSamplesAreThinnedOut(t *testing.T) {
	w := newWorkersTree(t)
	w.hold(oldWorker, 40)
	w.hold(newWorker, 30)
	for range 24 * 60 * 30 {
		w.r.look(w.now, w.pids, 1)
		w.now = w.now.Add(usageEvery)
	}
	if n := len(w.r.New); n > maxUsage || n < maxUsage/3 {
		t.Errorf("%d samples", n)
	}
	if first := w.r.New[0].Memory.At; w.now.Sub(first) < 23*time.Hour {
		t.Errorf("the first is of %v", w.now.Sub(first))
	}
	if f := w.finding(analysis.Memory); f.State != analysis.Quiet {
		t.Errorf("%+v", f)
	}
}

func TestAnAcceptQueueThatOverflowsAgainAndAgain(t *testing.T) {
	w := newWorkersTree(t)
	w.hold(newWorker, 30)
	refused := 1000 // of the time before, whenever that was
	for range 10 {
		w.refuse(refused)
		for range 30 {
			w.r.look(w.now, w.pids, 1)
			w.now = w.now.Add(usageEvery)
		}
		if f := w.finding(analysis.AcceptQueue); f.State == analysis.Alarm {
			t.Fatalf("%d refused: %+v", refused, f)
		}
		if refused == 1000 {
			refused += 3
		}
	}
	for range 4 {
		refused += 50
		w.refuse(refused)
		for range 30 {
			w.r.look(w.now, w.pids, 1)
			w.now = w.now.Add(usageEvery)
		}
	}
	if f := w.finding(analysis.AcceptQueue); f.State != analysis.Alarm {
		t.Errorf("%+v", f)
	}
}

func workers(accepting, leaving []int) nginx.Tree {
	var tree nginx.Tree
	for _, pid := range accepting {
		tree.Workers = append(tree.Workers, nginx.Worker{Process: nginx.Process{PID: pid}, Role: nginx.RoleWorker})
	}
	for _, pid := range leaving {
		tree.Workers = append(tree.Workers, nginx.Worker{Process: nginx.Process{PID: pid}, Role: nginx.RoleWorker, ShuttingDown: true})
	}
	return tree
}

func TestRestartsAreToldFromReloadsAndCrashes(t *testing.T) {
	type sight struct{ accepting, leaving []int }
	for name, c := range map[string]struct {
		sights []sight
		killed map[int]bool
		want   int
	}{
		"one is gone, another comes":            {[]sight{{accepting: []int{1, 2}}, {accepting: []int{2, 3}}}, nil, 1},
		"one was killed":                        {[]sight{{accepting: []int{1, 2}}, {accepting: []int{2, 3}}}, map[int]bool{1: true}, 0},
		"a reload":                              {[]sight{{accepting: []int{1, 2}}, {[]int{3, 4}, []int{1, 2}}, {accepting: []int{3, 4}}}, nil, 0},
		"a reload between two looks":            {[]sight{{accepting: []int{1, 2}}, {accepting: []int{3, 4}}}, nil, 0},
		"a reload that was half seen":           {[]sight{{accepting: []int{1, 2}}, {accepting: []int{1, 2, 3, 4}}, {accepting: []int{3, 4}}}, nil, 0},
		"one after the other":                   {[]sight{{accepting: []int{1, 2}}, {accepting: []int{2, 3}}, {accepting: []int{3, 4}}, {accepting: []int{4, 5}}}, nil, 3},
		"all leave, as after WINCH to this one": {[]sight{{accepting: []int{1, 2}}, {leaving: []int{1, 2}}, {}}, nil, 0},
	} {
		var r restarts
		now := time.Unix(1_790_000_000, 0)
		for _, s := range c.sights {
			r.look(workers(s.accepting, s.leaving), now)
			r.settle(now, c.killed)
			now = now.Add(250 * time.Millisecond)
		}
		r.settle(now.Add(tellTime), c.killed)
		if len(r.At) != c.want {
			t.Errorf("%s: %d", name, len(r.At))
		}
	}
}
