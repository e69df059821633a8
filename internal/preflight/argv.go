package preflight

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"graft/internal/procfs"
)

func argv0Relative(e *examination) Check {
	i := e.Instance
	path, ok0 := i.Executable()
	absolute := fmt.Sprintf("start nginx by its absolute path, once, at a quiet time: kill -QUIT %d, wait until it is gone, then: %s", i.Master.PID, e.restart())
	if !ok0 {
		return blocker(absolute, "argv[0] of %s is %q, found through PATH: at USR2 nginx hands it to execve(), which looks in %s alone: \"execve() failed while executing new binary process (2: No such file or directory)\"",
			e.master(), i.Argv[0], i.Cwd)
	}
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return blocker(absolute, "argv[0] of %s is %q, and execve() would find nothing there: %v", e.master(), i.Argv[0], err)
	case !info.Mode().IsRegular() || info.Mode()&0o111 == 0:
		return blocker(absolute, "argv[0] of %s leads to %s, which is no executable file (%v)", e.master(), path, info.Mode())
	}
	leads := path
	if e.binary != path {
		leads = fmt.Sprintf("%s, a link to %s", path, e.binary)
	}
	if !filepath.IsAbs(i.Argv[0]) {
		return note("keep the directory "+i.Cwd+" in place, or start nginx by its absolute path next time",
			"argv[0] of %s is %q: from its working directory %s (/proc/%d/cwd) that is %s", e.master(), i.Argv[0], i.Cwd, i.Master.PID, leads)
	}
	return ok("argv[0] of %s is %s", e.master(), leads)
}

// textFileBusy tells whether the file to be replaced is the one that runs. If it is another, a backup of
// what runs could not be put back without losing what somebody put there.
func textFileBusy(e *examination) Check {
	exe := e.Instance.Exe
	id, err := procfs.Identify(e.binary)
	if err != nil {
		return blocker(fmt.Sprintf("put the running binary back first: cp --preserve=all /proc/%d/exe %s.new && mv %s.new %s", e.Instance.Master.PID, e.binary, e.binary, e.binary),
			"the file that %s runs (device %d, inode %d) is not at %s: %v", e.master(), exe.Dev, exe.Inode, e.binary, err)
	}
	if id == exe.FileID {
		return ok("%s is the file that %s runs (device %d, inode %d)", e.binary, e.master(), id.Dev, id.Inode)
	}
	sum, err := procfs.SHA256(e.binary)
	if err != nil {
		return blocker("let graft read "+e.binary, "%s is not the file that %s runs, and cannot be read: %v", e.binary, e.master(), err)
	}
	differ := fmt.Sprintf("%s (device %d, inode %d) is not the file that %s runs (device %d, inode %d)", e.binary, id.Dev, id.Inode, e.master(), exe.Dev, exe.Inode)
	target, err := e.Target.BinarySHA256()
	switch {
	case sum == exe.SHA256:
		return note("", "%s, but its content is the same", differ)
	case err == nil && sum == target:
		return note("", "%s: it is the target already", differ)
	}
	return blocker(fmt.Sprintf("restart nginx on what is on disk, or put the running binary back first: cp --preserve=all /proc/%d/exe %s.new && mv %s.new %s", e.Instance.Master.PID, e.binary, e.binary, e.binary),
		"%s: an update or a person replaced it (SHA-256 %s, running %s)", differ, sum, exe.SHA256)
}

func argvReused(e *examination) Check {
	i := e.Instance
	argv := fmt.Sprintf("%q", i.Argv)
	if i.Options.ErrorLog != "" && coreOlder(e.build, "1.19.5") {
		return blocker("restart the running nginx without -e, or take a target of 1.19.5 or later",
			"the arguments %s hold -e, which %s %s does not know", argv, e.build.Flavor, e.build.Version)
	}
	if e.newTest.refused() {
		if r := classify(e.newTest.output); r.trap == "argv-reused" {
			return blocker("restart the running nginx without that option", "the target refuses the arguments %s, which are used again word for word: %s", argv, r.message)
		}
	}
	if e.paths.Conf != i.Paths.Conf {
		return blocker(fmt.Sprintf("build the target with --conf-path=%s, or restart the running nginx with -c %s", i.Paths.Conf, i.Paths.Conf),
			"with the arguments %s the target reads %s, the running nginx %s", argv, e.paths.Conf, i.Paths.Conf)
	}
	if i.ArgvDoubt != "" {
		restart := fmt.Sprintf("see how nginx was started (its unit or script) and check that it reads %s", i.Paths.Conf)
		if i.PidFileOK() && i.ConfigError == nil {
			return warning(restart, "the arguments, read from the title of %s, are likely %s: %s. The pid file they lead to fits", e.master(), argv, i.ArgvDoubt)
		}
		return blocker(restart, "the arguments of %s are not known: %s", e.master(), i.ArgvDoubt)
	}
	return ok("with the arguments %s both read %s", argv, i.Paths.Conf)
}

func pidPathDiffers(e *examination) Check {
	have, will := e.Instance.Paths.Pid, e.paths.Pid
	if have == will {
		return ok("both write %s", have)
	}
	return blocker(fmt.Sprintf("add to the main context of %s: pid %s;", e.Instance.Paths.Conf, have),
		"the running nginx writes %s, the target would write %s: the new pid file and .oldbin would lie apart, and a supervisor would lose the master", have, will)
}

func envStripped(e *examination) Check {
	const remedy = "build the target with an rpath (graft build does), or keep the variable with an env directive"
	if e.newTest.err != nil {
		return e.untried(e.newTest.err)
	}
	for _, run := range []struct {
		what         string
		strict, here outcome
	}{{"-V", e.newHelp, e.newHelpHere}, {"-t", e.newTest, e.newTestHere}} {
		if !run.strict.passed() && run.here.passed() {
			return blocker(remedy, "%s of the target passes in graft's own environment%s and fails in the one that USR2 hands on: %s",
				run.what, libraryVariables(), classify(run.strict.output).message)
		}
	}
	if !e.newHelp.passed() {
		return e.unknown("library-missing", e.newHelp)
	}
	var kept []string
	for _, d := range e.Instance.Config.Find("env") {
		if !strings.Contains(d.Arg(0), "=") {
			kept = append(kept, fmt.Sprintf("%s (%s)", d.Arg(0), d.Pos()))
		}
	}
	if len(kept) > 0 {
		return note("", "the target runs under an empty environment; at USR2 it gets these of the old master's variables, whose values nothing tells: %s", strings.Join(kept, ", "))
	}
	return ok("the target was tried under the environment that USR2 hands on: %s", cmp.Or(strings.Join(e.environment(), " "), "empty"))
}

// libraryVariables tells those of graft's own variables that the loader obeys.
func libraryVariables() string {
	var set []string
	for _, name := range []string{"LD_LIBRARY_PATH", "LD_PRELOAD"} {
		if value := os.Getenv(name); value != "" {
			set = append(set, name+"="+value)
		}
	}
	if len(set) == 0 {
		return ""
	}
	return " (" + strings.Join(set, ", ") + ")"
}

func libraryMissing(e *examination) Check {
	if e.newHelp.err != nil {
		return e.untried(e.newHelp.err)
	}
	needs := cmp.Or(strings.Join(e.Target.Manifest.Libraries, ", "), "none")
	if e.newHelp.passed() {
		if c, found := e.refusedBy("library-missing", "install the package that holds it, or give the target an rpath"); found {
			return c
		}
		return ok("the target starts at %s under an empty environment; libraries it needs: %s", e.binary, needs)
	}
	r := classify(e.newHelp.output)
	missing := cmp.Or(strings.Join(e.missing, ", "), r.subject)
	return blocker(fmt.Sprintf("install what holds %s (apt-file search, dnf provides), or build the target on this host", missing),
		"the target does not start at %s: %s. Not found: %s", e.binary, r.message, missing)
}
