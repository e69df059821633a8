package main

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"graft/internal/migrate"
	"graft/internal/probe"
)

// Who served is told by nginx itself: the access log names the worker of each request, the error log
// the master that started each worker, and graft's journal the master that runs the new binary.

type master struct {
	pid     int
	workers []int
}

var startedWorker = regexp.MustCompile(`\[notice\] (\d+)#\d+: start worker process (\d+)$`)

// readMasters lists the masters of the error log, in the order in which they started workers.
func readMasters() ([]master, error) {
	text, err := os.ReadFile(errorLog)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	var list []master
	for line := range strings.Lines(string(text)) {
		m := startedWorker.FindStringSubmatch(strings.TrimSpace(line))
		if m == nil {
			continue
		}
		pid, _ := strconv.Atoi(m[1]) // digits
		worker, _ := strconv.Atoi(m[2])
		at := slices.IndexFunc(list, func(have master) bool { return have.pid == pid })
		if at < 0 {
			at, list = len(list), append(list, master{pid: pid})
		}
		list[at].workers = append(list[at].workers, worker)
	}
	return list, nil
}

// served is one answer to the demo's load.
type served struct {
	at     time.Time
	worker int
}

// readServed reads the demo's requests out of the access log: the last two fields are time and pid.
func readServed() ([]served, error) {
	file, err := os.Open(accessLog)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	var list []served
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		_, tail, ok := strings.Cut(lines.Text(), `"`+userAgent+`" `)
		if !ok {
			continue
		}
		msec, pid, _ := strings.Cut(tail, " ")
		seconds, err1 := strconv.ParseFloat(msec, 64)
		worker, err2 := strconv.Atoi(pid)
		if err := errors.Join(err1, err2); err != nil {
			return nil, fmt.Errorf("%s: %w in %q", accessLog, err, lines.Text())
		}
		list = append(list, served{time.UnixMilli(int64(seconds * 1000)), worker})
	}
	return list, lines.Err()
}

// report ends the load and shows what became of it, who served when, and in which phase. It fails if
// anything was lost.
func (s stage) report(h *host, l *load) error {
	sum := l.end()
	state, err := migrate.OpenState(s.state)
	if err != nil {
		return err
	}
	rec, err := state.Current()
	if err != nil {
		return err
	}
	masters, err := readMasters()
	if err != nil {
		return err
	}
	answers, err := readServed()
	if err != nil {
		return err
	}
	young := make(map[int]bool) // the new master's workers
	for _, m := range masters {
		for _, w := range m.workers {
			young[w] = m.pid != h.old
		}
	}
	chart(l.began, answers, young, phases(rec))
	return judge(sum, int64(len(answers)))
}

// phase is when one was first seen on the host.
type phase struct {
	name  string
	began time.Time
}

func phases(rec migrate.Record) []phase {
	var list []phase
	for _, e := range rec.Events {
		if e.Phase != "" && (len(list) == 0 || list[len(list)-1].name != e.Phase) {
			list = append(list, phase{e.Phase, e.Time})
		}
	}
	return list
}

// chart shows a line a second: how many answers each side gave, and the phases.
func chart(began time.Time, answers []served, young map[int]bool, list []phase) {
	type second struct{ old, new int }
	var seconds []second
	most := 1
	for _, a := range answers {
		at := max(0, int(a.at.Sub(began).Seconds()))
		for len(seconds) <= at {
			seconds = append(seconds, second{})
		}
		if young[a.worker] {
			seconds[at].new++
		} else {
			seconds[at].old++
		}
		most = max(most, seconds[at].old+seconds[at].new)
	}
	const width = 40
	fmt.Printf("  %-6s %-*s %7s %7s  %s\n", "second", width, "who served: █ the old binary  ░ the new one", "old", "new", "phase on the host")
	for i, sec := range seconds {
		old, young := (sec.old*width+most-1)/most, sec.new*width/most // a single one still shows
		bar := strings.Repeat("█", old) + strings.Repeat("░", young)
		var names []string
		for _, p := range list {
			if int(p.began.Sub(began).Seconds()) == i {
				names = append(names, fmt.Sprintf("%s (%.2f s)", p.name, p.began.Sub(began).Seconds()))
			}
		}
		fmt.Printf("  %6d %s%s %7d %7d  %s\n", i, bar, strings.Repeat(" ", max(0, width-old-young)), sec.old, sec.new, strings.Join(names, ", "))
	}
	fmt.Println()
}

// judge is the demo's promise.
func judge(t probe.Tally, logged int64) error {
	var err error
	if t.Lost() > 0 {
		err = errors.Join(err, fmt.Errorf("%d requests were lost", t.Lost()))
	}
	if n := t.Fates[probe.OK] - t.Status[200]; n > 0 {
		err = errors.Join(err, fmt.Errorf("%d answers had another status than 200: %v", n, t.Status))
	}
	if answered := t.Fates[probe.OK]; logged != answered {
		err = errors.Join(err, fmt.Errorf("clients got %d answers, nginx logged %d", answered, logged))
	}
	if err == nil {
		fmt.Printf("  %d sent, %d lost; the %d answers that clients got are the %d that nginx logged\n", t.Requests, t.Lost(), t.Fates[probe.OK], logged)
	}
	return err
}
