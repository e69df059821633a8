package preflight

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"

	"graft/internal/nginx"
	"graft/internal/sandbox"
)

// examination is what several checks need, found out once.
type examination struct {
	Subject
	binary string // the file that a swap replaces

	build nginx.Build // what the target says of itself at its place here
	paths nginx.Paths // what it would read and write with the master's arguments

	service    service // the systemd unit of the instance, or the host's nginx.service
	serviceErr error
	errands    []errand // what starts, stops or reloads nginx by itself
	errandsErr error

	// In isolation: the running binary's `-t`, the target's `-Vh` under an empty environment, and its
	// `-t` under the environment that the old master would hand it.
	oldTest, newHelp, newTest outcome
	// newHelpHere and newTestHere are the same under graft's own environment, tried if those failed.
	newHelpHere, newTestHere outcome
	missing                  []string // libraries that the loader does not find
}

func examine(ctx context.Context, s Subject) (*examination, error) {
	if s.Sandboxed == nil {
		s.Sandboxed = sandbox.Command
	}
	e := gather(ctx, s)
	if !s.Instance.MountNamespace {
		e.oldTest = outcome{err: errors.New("the master sees other files than graft does")}
		e.newHelp, e.newTest = e.oldTest, e.oldTest
		return e, nil
	}
	var names []string
	for _, h := range s.Instance.Config.Hostnames() {
		names = append(names, h.Name)
	}
	b := bench{Subject: s, path: e.binary}
	var wg sync.WaitGroup
	wg.Go(func() {
		running := program{file: s.FS.Path(s.Instance.Master.PID, "exe")}
		e.oldTest = b.test(ctx, running, e.environment(), names)
	})
	wg.Go(func() { e.tryTarget(ctx, b, names) })
	wg.Wait()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	e.paths = e.build.Paths(s.Instance.Options, s.Instance.Cwd, s.Instance.Config.Value("pid"))
	return e, nil
}

// gather finds out what can be read, without trying the binaries.
func gather(ctx context.Context, s Subject) *examination {
	e := &examination{Subject: s, binary: realPath(s), build: s.Target.Manifest.Build}
	e.paths = e.build.Paths(s.Instance.Options, s.Instance.Cwd, s.Instance.Config.Value("pid"))
	e.service, e.serviceErr = readService(ctx, s.Instance.Supervisor)
	e.errands, e.errandsErr = readErrands(s.Instance.Paths.Pid)
	return e
}

func (e *examination) tryTarget(ctx context.Context, b bench, names []string) {
	target := program{file: e.Target.BinaryPath(), tree: e.Target.Tree(), prefix: e.Target.Manifest.Prefix}
	e.newHelp = b.run(ctx, target, nil, nil, "-Vh")
	if !e.newHelp.passed() {
		e.newTest = e.newHelp
		if e.newHelp.refused() {
			e.newHelpHere = b.run(ctx, target, os.Environ(), nil, "-Vh")
			e.missing = missingLibraries(b.run(ctx, target, []string{"LD_TRACE_LOADED_OBJECTS=1"}, nil).output)
		}
		return
	}
	// What it says at its place counts, not what it said where it was built.
	if build, err := nginx.ParseBuild(e.newHelp.output, e.newHelp.output); err == nil {
		e.build = build
	}
	e.newTest = b.test(ctx, target, e.environment(), names)
	if e.newTest.refused() {
		e.newTestHere = b.test(ctx, target, os.Environ(), names)
	}
}

// environment is what the old master hands to the new binary, as far as it can be known: the env
// directives that give a value. Those that keep one of nginx's own are not to be had: the process
// title lies over /proc/PID/environ.
func (e *examination) environment() []string {
	var env []string
	for _, v := range e.Instance.Config.Env() {
		if strings.Contains(v, "=") {
			env = append(env, v)
		}
	}
	return env
}

// missingLibraries reads the loader's list (ld.so(8), LD_TRACE_LOADED_OBJECTS).
func missingLibraries(trace string) []string {
	var missing []string
	for line := range strings.Lines(trace) {
		if name, ok := strings.CutSuffix(strings.TrimSpace(line), " => not found"); ok {
			missing = append(missing, name)
		}
	}
	return missing
}

// master is the running master, for evidence.
func (e *examination) master() string { return fmt.Sprintf("master %d", e.Instance.Master.PID) }

// restart is how this instance would be started once more, with argv[0] made absolute.
func (e *examination) restart() string {
	argv := append([]string{e.Instance.Exe.Path}, e.Instance.Argv[1:]...)
	for i, arg := range argv {
		if strings.ContainsAny(arg, " \t;'\"$*?&|<>()") || arg == "" {
			argv[i] = "'" + strings.ReplaceAll(arg, "'", `'\''`) + "'"
		}
	}
	return strings.Join(argv, " ")
}
