package preflight

import (
	"cmp"
	"fmt"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"graft/internal/artifact"
	"graft/internal/build/loadmodule"
	"graft/internal/nginx"
	"graft/internal/nginx/conf"
	"graft/internal/nginx/modules"
	"graft/internal/procfs"
)

// untried is the answer of a check whose trial could not be made.
func (e *examination) untried(err error) Check {
	return warning("let the sandbox be made (root or user namespaces, /bin/sh with cp and env), then plan again", "not checked: %v", err)
}

// unknown is the answer of a check that another failure kept from being made.
func (e *examination) unknown(first string, o outcome) Check {
	return warning("settle "+first+", then plan again", "not known: the target stopped before: %s", classify(o.output).message)
}

// refusedBy answers with a blocker if `-t` of the target ran into that trap.
func (e *examination) refusedBy(trap, remedy string) (c Check, found bool) {
	if !e.newTest.refused() || e.broken() {
		return Check{}, false
	}
	r := classify(e.newTest.output)
	if r.trap != trap {
		return Check{}, false
	}
	return blocker(remedy, "-t of the target in isolation: %s", r.message), true
}

// broken tells whether the configuration on disk is refused by the binary that runs, too: then it
// says nothing about the target.
func (e *examination) broken() bool { return e.oldTest.refused() }

// fromTest answers for a trap that only `-t` of the target can find.
func (e *examination) fromTest(trap, remedy string) Check {
	if e.newTest.err != nil {
		return e.untried(e.newTest.err)
	}
	if c, found := e.refusedBy(trap, remedy); found {
		return c
	}
	if !e.newTest.passed() {
		return e.unknown(cmp.Or(classify(e.newTest.output).trap, "config-test"), e.newTest)
	}
	return ok("-t of the target passes in isolation on %s", e.paths.Conf)
}

// moduleLost is told by -t, which stops at the first line; what the binaries' own tables of directives and
// variables tell of the others is added.
func moduleLost(e *examination) Check {
	c := e.fromTest("module-lost", "build the target with the module that gives it (graft build --add-module=DIR), or remove the line")
	if c.Severity == Blocker {
		if all := e.lost(); len(all) > 1 {
			c.Evidence += fmt.Sprintf(". All that the target lacks: %s", strings.Join(all, ", "))
		}
	}
	return c
}

// lost lists what the configuration uses and the target does not know, with file:line; nothing if one of
// the files cannot be read.
func (e *examination) lost() []string {
	c := e.Instance.Config
	target, err := withLoaded(e.Target.BinaryPath(), c, e.paths.Prefix)
	if err != nil {
		return nil
	}
	var list []string
	for _, u := range target.Unknown(c) {
		list = append(list, fmt.Sprintf("%s (%s)", u.Directive, u.Pos))
	}
	running, err := withLoaded(e.FS.Path(e.Instance.Master.PID, "exe"), c, e.Instance.Paths.Prefix)
	if err != nil {
		return list
	}
	for _, u := range running.Lost(target).UsesVariables(c) {
		list = append(list, fmt.Sprintf("$%s (%s)", u.Variable, u.Pos))
	}
	return list
}

// withLoaded is what a binary and the modules that the configuration makes it load define.
func withLoaded(binary string, c *conf.Config, prefix string) (modules.Table, error) {
	table, err := modules.Read(binary)
	if err != nil {
		return modules.Table{}, err
	}
	for _, l := range modules.Dynamic(c, "", prefix) {
		if l.Err != nil {
			return modules.Table{}, l.Err
		}
		table = table.With(l.Table)
	}
	return table, nil
}

func moduleAlreadyLoaded(e *examination) Check {
	remedy := "remove the load_module line: the target has the module built in"
	if e.newTest.refused() {
		if at := classify(e.newTest.output).at; at != "" {
			remedy = fmt.Sprintf("remove the load_module line at %s: the target has the module built in", at)
		}
	}
	return e.fromTest("module-already-loaded", remedy)
}

func moduleSignature(e *examination) Check {
	const rebuild = "build the module for the target: graft build --like PID finds the distribution's source, --add-module DIR gives another"
	i := e.Instance
	if len(i.Modules) == 0 {
		return ok("no load_module in %s", i.Paths.Conf)
	}
	if c, found := e.refusedBy("module-signature", rebuild); found {
		return c
	}
	own, foreign := e.loadModules()
	list := strings.Join(foreign, ", ")
	switch {
	case e.newTest.err != nil:
		return e.untried(e.newTest.err)
	case len(foreign) == 0:
		return ok("the target has its own build of every module that is loaded: %s", strings.Join(own, ", "))
	case e.build.Flavor != i.Build.Flavor:
		return blocker(rebuild, "these modules were built for %s, the target is %s, whose patches change the layout of nginx's structures without changing the signature: %s", i.Build.Flavor, e.build.Flavor, list)
	case e.build.Version != i.Build.Version:
		return blocker(rebuild, "these modules were built for %s, the target is %s: %s", i.Build.Version, e.build.Version, list)
	case !e.newTest.passed():
		return e.unknown(cmp.Or(classify(e.newTest.output).trap, "config-test"), e.newTest)
	case !slices.Equal(e.build.Configure, i.Build.Configure):
		return warning(rebuild, "these modules were built for another build of %s %s; the target takes them, which proves the version and the signature alone: %s", i.Build.Flavor, i.Build.Version, list)
	}
	return ok("the target was configured as the running binary was and takes %s", list)
}

// loadModules lists the load_module lines: those for which the target has its own build of the module,
// as a .so file or built in, and those for which it would load the file that is named.
func (e *examination) loadModules() (own, foreign []string) {
	table, err := modules.Read(e.Target.BinaryPath())
	finds := err == nil && slices.ContainsFunc(e.build.Configure, func(arg string) bool {
		return strings.HasPrefix(arg, "--add-module=") && path.Base(arg) == loadmodule.Name
	})
	for _, d := range e.Instance.Config.Find("load_module") {
		name := path.Base(d.Arg(0))
		line := fmt.Sprintf("%s (%s)", d.Arg(0), d.Pos())
		rebuilt := slices.ContainsFunc(e.Target.Manifest.Modules, func(m artifact.Module) bool { return path.Base(m.File) == name })
		if finds && (rebuilt || table.Has(strings.TrimSuffix(name, ".so"))) {
			own = append(own, line)
		} else {
			foreign = append(foreign, line)
		}
	}
	return own, foreign
}

// configTest is for what no other check claims, and for a configuration that even the running binary
// would refuse.
func configTest(e *examination) Check {
	i := e.Instance
	if i.ConfigError != nil {
		return blocker("repair it; what runs was read earlier, and neither a new master nor a restart would start with this", "the configuration on disk cannot be read: %v", i.ConfigError)
	}
	switch {
	case e.oldTest.err != nil:
		return e.untried(e.oldTest.err)
	case e.newTest.err != nil:
		return e.untried(e.newTest.err)
	case e.broken():
		r := classify(e.oldTest.output)
		if r.trap == readOnly {
			return e.untried(fmt.Errorf("in the sandbox the running binary meets a read-only file system: %s", r.message))
		}
		return blocker("repair the configuration, then plan again", "the running binary itself refuses the configuration on disk (-t in isolation): %s", r.message)
	}
	if !e.newTest.passed() {
		r := classify(e.newTest.output)
		if r.trap == "config-test" || r.trap == readOnly {
			return blocker("change that line so that both take it, or build the target with what it needs", "the running binary takes the configuration, the target refuses it (-t in isolation): %s", r.message)
		}
		return e.unknown(r.trap, e.newTest)
	}
	if e.dumps() {
		if err := i.Config.CompareDump(e.oldTest.stdout); err != nil {
			return warning("plan again; if it stays so, graft misreads this configuration: compare with nginx -T, and check by hand what the other checks say of it",
				"-T of the running binary in isolation and graft's own reading of %s disagree: %v", i.Paths.Conf, err)
		}
	}
	if more := newWarnings(e.oldTest.output, e.newTest.output); len(more) > 0 {
		return note("", "-t of the target passes in isolation, with warnings the running binary does not give: %s", strings.Join(more, "; "))
	}
	if !e.dumps() {
		return ok("-t in isolation passes on %s, of the running binary and of the target", i.Paths.Conf)
	}
	return ok("-t in isolation passes on %s, of the running binary and of the target; nginx -T prints what graft read (%d files)", i.Paths.Conf, len(i.Config.Files))
}

// dumps tells whether the running binary knows -T, which came with nginx 1.9.2.
func (e *examination) dumps() bool { return !coreOlder(e.Instance.Build, "1.9.2") }

func newWarnings(old, target string) []string {
	known := warnings(old)
	return slices.DeleteFunc(warnings(target), func(w string) bool { return slices.Contains(known, w) })
}

func prefixRelativePaths(e *examination) Check {
	i := e.Instance
	have, will := i.Paths, e.paths
	logs, directories := e.movedDefaults()
	if have.Prefix == will.Prefix && have.ConfPrefix == will.ConfPrefix && len(logs)+len(directories) == 0 {
		return ok("both resolve relative paths under %s, and includes and certificates under %s", have.Prefix, have.ConfPrefix)
	}
	var moved []string
	for _, p := range i.Config.RelativePaths() {
		from, to := have.Prefix, will.Prefix
		switch p.Base {
		case conf.BaseConfPrefix:
			from, to = have.ConfPrefix, will.ConfPrefix
		case conf.BaseWorkingDir:
			continue // of the process, which stays the same
		}
		if before, after := filepath.Join(from, p.Value), filepath.Join(to, p.Value); !sameFile(before, after) {
			moved = append(moved, fmt.Sprintf("%s %s (%s): %s becomes %s", p.Directive.Name, p.Value, p.Directive.Pos(), before, after))
		}
	}
	var rootless []string
	if before, after := have.Prefix+"html", will.Prefix+"html"; !sameFile(before, after) {
		for _, server := range withoutRoot(i.Config) {
			rootless = append(rootless, fmt.Sprintf("server without root (%s): %s becomes %s", server.Pos(), before, after))
		}
	}
	remedy := fmt.Sprintf("build the target with the running nginx's prefix (graft build --like %d keeps it), or write these paths absolute, below %s", i.Master.PID, have.Prefix)
	differ := fmt.Sprintf("the prefix is %s, and %s under the target", have.Prefix, will.Prefix)
	if have.Prefix == will.Prefix {
		differ = fmt.Sprintf("the prefix is the same, %s, other paths that are compiled in are not", have.Prefix)
	}
	switch {
	case len(moved) > 0:
		return blocker(remedy, "%s: %s", differ, strings.Join(slices.Concat(moved, rootless, logs, directories), "; "))
	case len(rootless) > 0:
		return warning(remedy, "%s: %s", differ, strings.Join(slices.Concat(rootless, logs, directories), "; "))
	case len(logs) > 0:
		return warning("build the target with the same options, or write the logs' paths into the configuration, and reload: whoever reads or rotates the logs goes by their paths",
			"%s: %s", differ, strings.Join(slices.Concat(logs, directories), "; "))
	case len(directories) > 0:
		return note("", "%s: %s. No relative path of %s depends on the prefix", differ, strings.Join(directories, "; "), have.Conf)
	}
	return note("", "%s, but neither a relative path of %s nor anything that is compiled in and in use depends on it", differ, have.Conf)
}

// movedDefaults lists the compiled-in logs and the temporary directories that are in use and lie elsewhere
// under the target.
func (e *examination) movedDefaults() (logs, directories []string) {
	i := e.Instance
	after := e.build.Defaults(e.paths, i.Config)
	for _, old := range i.Build.Defaults(i.Paths, i.Config) {
		at := slices.IndexFunc(after, func(d nginx.Default) bool { return d.Option == old.Option })
		if at < 0 || sameFile(old.Path, after[at].Path) {
			continue
		}
		move := fmt.Sprintf("%s (no %s in effect): %s becomes %s", old.Option, old.Directive, old.Path, after[at].Path)
		switch {
		case old.IsDir:
			directories = append(directories, move)
		case old.Directive != "error_log" || i.Config.Value("error_log") == "":
			logs = append(logs, move)
		}
	}
	return logs, directories
}

func sameFile(a, b string) bool {
	if a == b {
		return true
	}
	x, err := procfs.Identify(a)
	if err != nil {
		return false
	}
	y, err := procfs.Identify(b)
	return err == nil && x == y
}

// withoutRoot lists the http servers that fall back to the compiled-in `root html`. One whose every
// request is answered otherwise is listed, too: that is not for a look to decide.
func withoutRoot(c *conf.Config) []*conf.Directive {
	var list []*conf.Directive
	for _, server := range c.Find("server") {
		if !server.IsBlock || server.Context() != "http" || c.Effective(server, "root") != nil {
			continue
		}
		if answersItself(server) {
			continue
		}
		list = append(list, server)
	}
	return list
}

// answersItself tells whether a server returns before any location is looked for.
func answersItself(server *conf.Directive) bool {
	return slices.ContainsFunc(server.Block, func(d *conf.Directive) bool { return d.Name == "return" })
}
