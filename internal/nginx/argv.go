package nginx

import (
	"fmt"
	"regexp"
	"strings"
)

// Title is what the process title of a master or one of its children tells.
type Title struct {
	Role         Role
	ShuttingDown bool
	Command      string // master only: its argv joined by spaces
}

// Role is a process's part in an instance, in the words of its title.
type Role string

// The roles whose processes graft tells apart.
const (
	RoleMaster       Role = "master"
	RoleWorker       Role = "worker"
	RoleCacheManager Role = "cache manager"
	RoleCacheLoader  Role = "cache loader"
	RoleAgent        Role = "privileged agent"
)

// Angie writes "angie: master process v1.5.1 #1 [angie -c …]", the others "nginx: master process angie -c …".
var (
	masterTitle = regexp.MustCompile(`^[a-z]+: master process (?:v\S+ #\d+ \[(.*)\]|(.*))$`)
	childTitle  = regexp.MustCompile(`^[a-z]+: (worker|cache manager|cache loader|privileged agent) process(.*)$`)
)

// ParseTitle reads a process title; ok is false for a process that is none of nginx's.
func ParseTitle(title string) (t Title, ok bool) {
	if m := masterTitle.FindStringSubmatch(title); m != nil {
		return Title{Role: RoleMaster, Command: m[1] + m[2]}, true
	}
	if m := childTitle.FindStringSubmatch(title); m != nil {
		return Title{Role: Role(m[1]), ShuttingDown: strings.Contains(m[2], "is shutting down")}, true
	}
	return Title{}, false
}

// Options are the command-line options that decide what an instance reads and writes.
type Options struct {
	Prefix   string // -p
	Conf     string // -c
	Global   string // -g
	ErrorLog string // -e
}

// SplitCommand rebuilds argv from a master's title, where the boundaries between arguments are lost.
// nginx's own rules bring them back: every argument after the first starts with "-" or is the value
// of the option before it, so a word that does not start with "-" belongs to a value; and the
// value of -g is over only after a ";" or "}", else nginx would not have started. What still may be
// read in two ways, doubt tells.
func SplitCommand(command string) (argv []string, doubt string) {
	words := strings.Split(command, " ")
	argv = []string{words[0]}
	directives := false // the last argument is the value of -g
	for i := 1; i < len(words); i++ {
		last := &argv[len(argv)-1]
		open := directives && !strings.HasSuffix(*last, ";") && !strings.HasSuffix(*last, "}")
		if open || !strings.HasPrefix(words[i], "-") || words[i] == "-" {
			*last += " " + words[i]
			continue
		}
		argv = append(argv, words[i])
		directives = strings.HasSuffix(words[i], "g")
		if takesNext(words[i]) && i+1 < len(words) {
			i++
			argv = append(argv, words[i])
		}
	}
	for i := 1; i < len(argv); i++ {
		if strings.HasPrefix(argv[i], "-") && !plausibleOption(argv[i]) {
			return argv, fmt.Sprintf("%q may be an argument of its own or a part of the one before: the title does not tell", argv[i])
		}
	}
	return argv, ""
}

// takesNext tells whether an argument like "-c" or "-qc" takes the next one as its value. A value
// may also be glued to its option, "-c/etc/nginx.conf".
func takesNext(arg string) bool {
	for i := 1; i < len(arg); i++ {
		if strings.IndexByte("pcges", arg[i]) >= 0 {
			return i == len(arg)-1
		}
	}
	return false
}

func plausibleOption(arg string) bool {
	for i := 1; i < len(arg); i++ {
		if strings.IndexByte("pcges", arg[i]) >= 0 {
			return true
		}
		if strings.IndexByte("?hvVtTq", arg[i]) < 0 {
			return false
		}
	}
	return len(arg) > 1
}

// ParseOptions reads argv as ngx_get_options does.
func ParseOptions(argv []string) (Options, error) {
	var o Options
	for i := 1; i < len(argv); i++ {
		arg := argv[i]
		if !strings.HasPrefix(arg, "-") {
			return Options{}, fmt.Errorf("argument %d, %q, is no option", i, arg)
		}
	letters:
		for j := 1; j < len(arg); j++ {
			var value *string
			switch arg[j] {
			case 'p':
				value = &o.Prefix
			case 'c':
				value = &o.Conf
			case 'g':
				value = &o.Global
			case 'e':
				value = &o.ErrorLog
			case 's':
				value = new(string)
			case '?', 'h', 'v', 'V', 't', 'T', 'q':
				continue
			default:
				return Options{}, fmt.Errorf("argument %d, %q: unknown option -%c", i, arg, arg[j])
			}
			switch {
			case j+1 < len(arg):
				*value = arg[j+1:]
			case i+1 < len(argv):
				i++
				*value = argv[i]
			default:
				return Options{}, fmt.Errorf("option -%c has no value", arg[j])
			}
			break letters
		}
	}
	return o, nil
}
