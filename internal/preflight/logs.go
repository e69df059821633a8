package preflight

import (
	"cmp"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"graft/internal/nginx"
	"graft/internal/procfs"
)

const logrotateConf = "/etc/logrotate.conf"

// logRotation looks at who rotates the instance's logs and whom that tells, and whether the processes that
// run write the files that their paths lead to. USR1 reaches the workers of one master
// (ngx_reopen_files): the other's go on writing the rotated file.
func logRotation(e *examination) Check {
	logs := e.logFiles()
	strayed, err := e.strayed(logs)
	if err != nil {
		return warning("run graft as root", "which files nginx writes cannot be read: %v", err)
	}
	if len(strayed) > 0 {
		return warning(fmt.Sprintf("kill -USR1 %d, and see that whatever rotated them does that", e.Instance.Master.PID),
			"rotated, and never reopened: %s", strings.Join(strayed, "; "))
	}
	sections, err := readLogrotate(logrotateConf)
	if err != nil {
		return warning("let graft read it", "not checked: %v", err)
	}
	answer := ok("no section of %s and what it includes rotates the logs (%s), and nginx writes the files at their paths", logrotateConf, cmp.Or(firstFew(logs), "none in files"))
	for _, path := range logs {
		for _, r := range sections {
			if !r.rotates(path) {
				continue
			}
			if c := e.rotated(path, r); c.Severity < answer.Severity || answer.Severity == OK {
				answer = c
			}
		}
	}
	if answer.Severity < OK {
		return answer
	}
	if lines := cronRotations(logs); len(lines) > 0 {
		return note("see that it sends USR1 to both masters while two live", "cron rotates logs of nginx: %s. %s", firstFew(lines), answer.Evidence)
	}
	if pipes := pipes(logs); len(pipes) > 0 {
		return note("", "these logs are pipes, whose reader rotates them: %s. %s", firstFew(pipes), answer.Evidence)
	}
	return answer
}

func pipes(logs []string) []string {
	var list []string
	for _, path := range logs {
		if info, err := os.Stat(path); err == nil && info.Mode()&fs.ModeNamedPipe != 0 {
			list = append(list, path)
		}
	}
	return list
}

// rotated answers for one log and the section that rotates it.
func (e *examination) rotated(path string, r rotation) Check {
	pid := e.Instance.Paths.Pid
	usr1 := fmt.Sprintf("write into the section, as postrotate: for p in %s %s; do [ ! -s $p ] || kill -USR1 $(cat $p); done", pid, nginx.OldBin(pid))
	at := fmt.Sprintf("%s is rotated by %s", path, r.where)
	if r.script != "" {
		at += fmt.Sprintf(", which then runs %q (%s)", oneLine(r.script), r.scriptAt)
	}
	switch r.reaches() {
	case truncating:
		return ok("%s is rotated by %s with copytruncate: it stays the same file for both masters", path, r.where)
	case everybody:
		return ok("%s: that reaches both masters", at)
	case reloading:
		return warning(usr1, "%s: that reloads nginx. While the old master is parked it starts the old master's workers again if it is the one that is told", at)
	case onePid:
		for _, named := range r.pidFiles() {
			if !sameFile(named, pid) {
				return warning(usr1, "%s: that is another pid file than this instance's %s: its logs are not reopened", at, pid)
			}
		}
		return note("while graft watches it sends USR1 to both masters after a rotation; without it: "+usr1,
			"%s: that reaches only the master that %s names. While two live, the old workers, and those that a rollback starts, go on writing the rotated file", at, pid)
	}
	return warning(usr1, "%s: nothing in that tells nginx, which goes on writing the rotated file", at)
}

func oneLine(script string) string { return strings.Join(strings.Fields(script), " ") }

// logFiles are the logs that are files with one name.
func (e *examination) logFiles() []string {
	var files []string
	for _, path := range append(append([]string{}, e.Instance.Logs.Access...), e.Instance.Logs.Error...) {
		if filepath.IsAbs(path) && !strings.Contains(path, "$") {
			files = append(files, path)
		}
	}
	return files
}

// strayed lists what the master and its workers write that was one of the logs: a file of another inode
// that was renamed beside it, or removed.
func (e *examination) strayed(logs []string) ([]string, error) {
	pids := []int{e.Instance.Master.PID}
	for _, w := range e.Instance.Workers {
		if w.Role == nginx.RoleWorker {
			pids = append(pids, w.PID)
		}
	}
	var list []string
	for _, pid := range pids {
		files, err := e.FS.Files(pid)
		if procfs.Gone(err) {
			continue
		}
		if err != nil {
			return nil, err
		}
		for _, log := range logs {
			list = append(list, strayedFrom(log, pid, files)...)
		}
	}
	return list, nil
}

func strayedFrom(log string, pid int, files []procfs.File) []string {
	id, idErr := procfs.Identify(log)
	var list []string
	for _, f := range files {
		if idErr == nil && f.FileID == id {
			return nil
		}
		// access.log.1, access.log-20261124, access.log-20261124.gz …; a log of its own may be called
		// access.log.json, and is one of those that are asked for, too.
		rest, beside := strings.CutPrefix(f.Path, log)
		if f.Writing && beside && (f.Deleted || rotatedName.MatchString(rest)) {
			list = append(list, fmt.Sprintf("process %d writes %s (inode %d), %s is another file", pid, cmp.Or(deletedFile(f), f.Path), f.Inode, log))
		}
	}
	return list
}

func deletedFile(f procfs.File) string {
	if f.Deleted {
		return f.Path + ", which was removed"
	}
	return ""
}

// rotatedName is what a rotation adds to a log's name.
var rotatedName = regexp.MustCompile(`^[.-]\d+(?:[.-].*)?$`)

// reopens fits commands that make nginx open its logs anew.
var reopens = regexp.MustCompile(`nginx.*(?:\bUSR1\b|\breopen\b|\brotate\b)|\bUSR1\b.*nginx`)

// cronRotations lists the lines of cron's and monit's files that move one of the logs or tell nginx to reopen them.
func cronRotations(logs []string) []string {
	var list []string
	for _, pattern := range errandFiles {
		if strings.HasPrefix(pattern, "/etc/logrotate") {
			continue // its sections were looked at
		}
		files, err := filepath.Glob(pattern)
		if err != nil {
			continue // the patterns are ours
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				continue // a directory, or not ours to read
			}
			n := 0
			for line := range strings.Lines(string(text)) {
				n++
				line = strings.TrimSpace(line)
				if strings.HasPrefix(line, "#") || !reopens.MatchString(line) && !moves(line, logs) {
					continue
				}
				list = append(list, fmt.Sprintf("%s (%s:%d)", line, file, n))
			}
		}
	}
	return list
}

// moves tells whether a line moves one of the logs away.
func moves(line string, logs []string) bool {
	for _, log := range logs {
		if regexp.MustCompile(`\bmv\s+(?:-\S+\s+)*["']?` + regexp.QuoteMeta(log)).MatchString(line) {
			return true
		}
	}
	return false
}
