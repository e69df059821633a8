package preflight

import (
	"path"
	"slices"
	"strings"
)

// deed is what a command does to nginx.
type deed int

const (
	reloads deed = iota + 1
	stops
	starts // or restarts, or upgrades
)

// errand is a command that something else than graft runs against nginx.
type errand struct {
	where   string // file:line
	command string
	timer   string // the systemd unit that runs it, if one does
	does    deed
	// How it finds the master: through the service manager, or every process of that name. Otherwise by the
	// pid file.
	byService, byName bool
}

// program names of the family, as they are called from scripts.
var programs = []string{"nginx", "openresty", "tengine", "angie"}

// readErrand reads one line of a script, of a crontab or of a setting. It knows commands by their words and
// follows no shell: what a variable holds it does not see.
func readErrand(line, pidFile string) (errand, bool) {
	line = strings.TrimSpace(line)
	if strings.HasPrefix(line, "#") || strings.HasPrefix(line, ";") {
		return errand{}, false
	}
	e := errand{command: line}
	for _, command := range shellCommands(line) {
		if d := e.read(command, line, pidFile); d > e.does {
			e.does = d
		}
	}
	return e, e.does != 0
}

// shellCommands splits a line where a shell would begin another command. Quotes are dropped: what they hold
// is often a command, too (sh -c '…', monit's start program = "…").
func shellCommands(line string) [][]string {
	var commands [][]string
	for _, part := range strings.FieldsFunc(line, func(c rune) bool { return strings.ContainsRune(";&|`(){}\n", c) }) {
		words := strings.FieldsFunc(part, func(c rune) bool { return strings.ContainsRune(" \t\"'=", c) })
		if len(words) > 0 {
			commands = append(commands, words)
		}
	}
	return commands
}

// read tells what one command does. How it finds the master is noted in e.
func (e *errand) read(words []string, line, pidFile string) deed {
	for n, word := range words {
		rest := words[n+1:]
		switch name := path.Base(word); {
		case name == "systemctl":
			return e.service(rest, line)
		case name == "service" || name == "invoke-rc.d" || name == "rc-service":
			return e.service(rest, line)
		case strings.Contains(word, "/init.d/") && slices.Contains(programs, name):
			return e.service(append([]string{name}, rest...), line)
		case name == "kill" && names(line, pidFile):
			return signalDeed(rest)
		case (name == "pkill" || name == "killall") && mentions(rest):
			e.byName = true
			return signalDeed(rest)
		case slices.Contains(programs, name) && (n == 0 || strings.HasPrefix(word, "/") && strings.Contains(word, "bin/")):
			return programDeed(rest)
		}
	}
	return 0
}

// names tells whether a line speaks of nginx anywhere, by its name or its pid file.
func names(line, pidFile string) bool {
	return pidFile != "" && strings.Contains(line, pidFile) ||
		slices.ContainsFunc(programs, func(p string) bool { return strings.Contains(line, p) })
}

// mentions tells whether one of the words is the program or its unit.
func mentions(words []string) bool {
	return slices.ContainsFunc(words, func(w string) bool {
		return slices.Contains(programs, strings.TrimSuffix(path.Base(w), ".service"))
	})
}

// service reads the words after systemctl, service and the like, in either order: VERB UNIT, UNIT VERB.
func (e *errand) service(words []string, line string) deed {
	if !mentions(words) {
		return 0
	}
	for _, w := range words {
		does := deed(0)
		switch w {
		case "reload", "force-reload":
			does = reloads
		case "start", "restart", "try-restart", "reload-or-restart", "try-reload-or-restart", "condrestart", "upgrade":
			does = starts
		case "stop":
			does = stops
		case "kill":
			does = signalDeed(strings.Fields(line))
		}
		if does != 0 {
			e.byService = true
			return does
		}
	}
	return 0
}

// programDeed reads the options of nginx itself.
func programDeed(words []string) deed {
	for n, w := range words {
		switch {
		case w == "-s" && n+1 < len(words):
			switch words[n+1] {
			case "reload":
				return reloads
			case "stop", "quit":
				return stops
			}
			return 0
		case len(w) > 1 && w[0] == '-' && strings.Trim(w[1:], "tTvVhq?") == "":
			return 0 // it only tells
		}
	}
	return starts
}

// signalDeed reads the options of kill.
func signalDeed(words []string) deed {
	for n, w := range words {
		if !strings.HasPrefix(w, "-") {
			continue
		}
		if (w == "-s" || w == "--signal") && n+1 < len(words) {
			w = words[n+1]
		}
		switch strings.TrimPrefix(strings.TrimPrefix(strings.ToUpper(w), "-"), "SIG") {
		case "HUP", "1":
			return reloads
		case "USR2", "12":
			return starts
		case "TERM", "QUIT", "INT", "KILL", "WINCH", "15", "3", "2", "9", "28":
			return stops
		case "USR1", "10", "0":
			return 0
		}
	}
	return stops // TERM
}
