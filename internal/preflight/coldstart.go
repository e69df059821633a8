package preflight

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"graft/internal/nginx"
	"graft/internal/nginx/conf"
)

// starter is something that would start nginx after a reboot or a restart.
type starter struct {
	name    string
	where   string // file:line of the command
	argv    []string
	pidFile setting // systemd's PIDFile=, if there is one
	problem string  // the command cannot be known
	owns    bool    // it is this instance's supervisor
}

// coldStartDiffers tells what a restart would start once the target lies on the disk. A command that
// relies on compiled-in paths means others then.
func coldStartDiffers(e *examination) Check {
	starters, err := e.starters()
	if err != nil {
		return warning("let graft read it", "not checked: %v", err)
	}
	answer := note(fmt.Sprintf("make sure that whatever starts it says: %s", e.restart()),
		"neither a systemd unit nor an init script for nginx was found (%s, /etc/init.d/nginx): what would start this instance after a reboot is not known", strings.Join(unitDirs, ", "))
	for n, s := range starters {
		if c := e.start(s); n == 0 || c.Severity < answer.Severity {
			answer = c
		}
	}
	return answer
}

func (e *examination) starters() ([]starter, error) {
	var list []starter
	unit, owns := "nginx.service", false
	if e.Instance.Supervisor.Kind == "systemd" {
		unit, owns = e.Instance.Supervisor.Unit, true
	}
	settings, err := readUnit(unit)
	if err != nil {
		return nil, err
	}
	if s, found := last(settings, "Service", "ExecStart"); found {
		st := starter{name: unit, where: s.where(), owns: owns}
		st.pidFile, _ = last(settings, "Service", "PIDFile")
		if st.argv, err = splitExec(s.value); err != nil {
			st.problem = err.Error()
		}
		list = append(list, st)
	}
	script, err := initScript()
	if err != nil {
		return nil, err
	}
	return append(list, script...), nil
}

// start answers for one starter.
func (e *examination) start(s starter) Check {
	i := e.Instance
	explicit := "write the paths into the command: " + e.restart()
	if s.problem == "" && slices.ContainsFunc(s.argv, func(a string) bool { return strings.ContainsAny(a, "$%") }) {
		s.problem = fmt.Sprintf("it holds variables: %q", s.argv)
	}
	if s.problem != "" {
		return warning(explicit, "what %s starts is not known (%s): %s", s.name, s.where, s.problem)
	}
	same := e.startsThisBinary(s.argv[0])
	if !same && !s.owns {
		return note("", "%s starts %s (%s), not this instance's %s: what would start this one after a reboot is not known", s.name, s.argv[0], s.where, e.binary)
	}
	options, err := nginx.ParseOptions(s.argv)
	if err != nil {
		return warning(explicit, "what %s starts is not known (%s): %v", s.name, s.where, err)
	}
	command := fmt.Sprintf("%s starts %q (%s)", s.name, s.argv, s.where)
	if !same {
		return warning("let "+s.name+" start "+e.binary, "%s, which is not the binary that is replaced, %s: a restart would not start the target", command, e.binary)
	}
	before, after := e.coldPaths(i.Build, options), e.coldPaths(e.build, options)
	switch drift := differingPaths(before, i.Paths); {
	case len(drift) > 0 && !s.owns:
		return note("", "%s, another instance than this one: %s", command, strings.Join(drift, ", "))
	case len(drift) > 0:
		return warning(explicit, "%s: that differs from what runs already today: %s", command, strings.Join(drift, ", "))
	}
	if drift := differingPaths(after, i.Paths); len(drift) > 0 {
		return blocker(fmt.Sprintf("name the running nginx's paths in the command: %s -c %s; or build the target with the same --prefix, --conf-path and --pid-path", strings.Join(quoted(s.argv), " "), i.Paths.Conf),
			"%s: after the swap a restart or reboot would start with other paths than now: %s", command, strings.Join(drift, ", "))
	}
	if s.pidFile.value != "" && s.pidFile.value != after.Pid && !sameFile(s.pidFile.value, after.Pid) {
		return blocker(fmt.Sprintf("set PIDFile=%s in %s and run systemctl daemon-reload", after.Pid, s.name),
			"%s and waits for PIDFile=%s (%s), but nginx writes %s: systemd would lose the master", command, s.pidFile.value, s.pidFile.where(), after.Pid)
	}
	return ok("%s: under the target that means the same paths as now (%s)", command, after.Conf)
}

func (e *examination) startsThisBinary(path string) bool {
	return filepath.Clean(path) == e.binary || sameFile(path, e.binary)
}

// coldPaths are those of a start from "/", the working directory of services.
func (e *examination) coldPaths(b nginx.Build, o nginx.Options) nginx.Paths {
	const cwd = "/"
	paths := b.Paths(o, cwd, "")
	config := e.Instance.Config
	if paths.Conf != e.Instance.Paths.Conf || o.Global != e.Instance.Options.Global {
		var err error
		if config, err = conf.Load(conf.Options{File: paths.Conf, ConfPrefix: paths.ConfPrefix, Global: o.Global}); err != nil {
			return paths // another conf path says enough; a broken one is for config-test
		}
	}
	return b.Paths(o, cwd, config.Value("pid"))
}

func differingPaths(a, running nginx.Paths) []string {
	var list []string
	for _, p := range []struct{ name, a, running string }{
		{"configuration", a.Conf, running.Conf}, {"prefix", a.Prefix, running.Prefix}, {"pid file", a.Pid, running.Pid},
	} {
		if p.a != p.running && !sameFile(p.a, p.running) {
			list = append(list, fmt.Sprintf("%s %s instead of %s", p.name, p.a, p.running))
		}
	}
	return list
}

func quoted(argv []string) []string {
	list := make([]string, len(argv))
	for i, arg := range argv {
		if strings.ContainsAny(arg, " \t;") {
			arg = "'" + arg + "'"
		}
		list[i] = arg
	}
	return list
}

// assignment is one of the variables that init scripts for nginx share: which binary, which options.
var assignment = regexp.MustCompile(`^\s*(?:export\s+)?(DAEMON|DAEMON_OPTS|DAEMON_ARGS|NGINX|nginx|NGINX_CONF_FILE)=(?:"([^"]*)"|'([^']*)'|(\S*))\s*$`)

// initScript reads /etc/init.d/nginx and the file of defaults that it sources. It understands plain
// assignments only; anything else that matters makes the command unknown.
func initScript() ([]starter, error) {
	const script = "/etc/init.d/nginx"
	values, where := map[string]string{}, script
	for _, file := range []string{script, "/etc/default/nginx", "/etc/sysconfig/nginx"} {
		text, err := os.ReadFile(file)
		if errors.Is(err, fs.ErrNotExist) {
			if file == script {
				return nil, nil
			}
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("read init script: %w", err)
		}
		n := 0
		for line := range strings.Lines(string(text)) {
			n++
			if m := assignment.FindStringSubmatch(line); m != nil {
				values[m[1]] = m[2] + m[3] + m[4]
				where = fmt.Sprintf("%s:%d", file, n)
			}
		}
	}
	s := starter{name: script, where: where}
	daemon := cmp.Or(values["DAEMON"], cmp.Or(values["NGINX"], values["nginx"]))
	if daemon == "" {
		s.problem = "no plain DAEMON=… in it"
		return []starter{s}, nil
	}
	s.argv = []string{daemon}
	if file := values["NGINX_CONF_FILE"]; file != "" {
		s.argv = append(s.argv, "-c", file)
	}
	options, err := splitWords(cmp.Or(values["DAEMON_OPTS"], values["DAEMON_ARGS"]))
	if err != nil {
		s.problem = err.Error()
		return []starter{s}, nil
	}
	s.argv = append(s.argv, options...)
	return []starter{s}, nil
}
