package preflight

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"graft/internal/sandbox"
)

// trialTimeout bounds one run. The largest configurations take seconds.
const trialTimeout = time.Minute

// program is a binary to try, and the runtime that goes with it.
type program struct {
	file         string // where it is read: in the store, or /proc/PID/exe
	tree, prefix string // its runtime, and where that lies on a host; prefix "" if there is none
}

// bench tries programs in a sandbox, where each lies at the path that it will have on the host.
type bench struct {
	Subject
	path string // of the binary
}

// outcome is what a program said. The zero value has passed nothing.
type outcome struct {
	ran    bool
	output string
	code   int   // its exit code
	err    error // it could not be tried: nothing is known
}

func (o outcome) passed() bool  { return o.ran && o.code == 0 }
func (o outcome) refused() bool { return o.ran && o.code != 0 }

// begun separates what laying things out may print from what the program prints.
const begun = "graft: the program begins"

// layOut puts the binary (descriptor 3) and the runtime where they belong, and becomes the program
// with exactly the given environment. $1 binary, $2 tree, $3 prefix, then NAME=VALUE… and argv.
const layOut = `set -e
PATH=/usr/sbin:/usr/bin:/sbin:/bin
binary=$1 tree=$2 prefix=$3
shift 3
if [ -n "$prefix" ]; then
	mkdir -p "$prefix"
	cp -a "$tree$prefix/." "$prefix/"
fi
mkdir -p "${binary%/*}"
cat <&3 >"$binary.graft-trial"
chmod 755 "$binary.graft-trial"
mv -f "$binary.graft-trial" "$binary"
exec 3<&-
echo "` + begun + `" >&2
exec env -i "$@"`

// run tries p with the arguments and exactly the environment env, hosts being further lines of
// /etc/hosts.
func (b bench) run(ctx context.Context, p program, env, hosts []string, args ...string) outcome {
	out, err := b.try(ctx, p, env, hosts, args)
	if err != nil {
		return outcome{err: fmt.Errorf("try %s in a sandbox: %w", p.file, err)}
	}
	return out
}

func (b bench) try(ctx context.Context, p program, env, hosts, args []string) (outcome, error) {
	ctx, cancel := context.WithTimeout(ctx, trialTimeout)
	defer cancel()
	file, err := os.Open(p.file)
	if err != nil {
		return outcome{}, err
	}
	defer file.Close()
	argv := append([]string{"-c", layOut, "sh", b.path, p.tree, p.prefix}, env...)
	argv = append(append(argv, b.path), args...)
	cmd, err := b.Sandboxed(ctx, sandbox.Options{KeepRun: true, Hosts: hosts, SameUser: true}, "/bin/sh", argv...)
	if err != nil {
		return outcome{}, err
	}
	var text bytes.Buffer
	cmd.Stdout, cmd.Stderr = &text, &text
	cmd.ExtraFiles = []*os.File{file}
	cmd.Dir = b.Instance.Cwd
	cmd.WaitDelay = time.Second
	runErr := cmd.Run()
	if err := ctx.Err(); err != nil {
		return outcome{}, fmt.Errorf("not done within %v: %w", trialTimeout, err)
	}
	before, said, started := strings.Cut(text.String(), begun+"\n")
	exit, exited := errors.AsType[*exec.ExitError](runErr)
	switch {
	case !started && runErr != nil:
		return outcome{}, errors.Join(runErr, errors.New(strings.TrimSpace(before)))
	case exited:
		return outcome{ran: true, output: strings.TrimSpace(said), code: exit.ExitCode()}, nil
	case runErr != nil:
		return outcome{}, runErr
	}
	return outcome{ran: true, output: strings.TrimSpace(said)}, nil
}

// hostNotFound is how nginx names a name that it cannot resolve, most directives one way, resolver
// another. What cannot be a name (a parameter taken for one) is left to fail.
var hostNotFound = regexp.MustCompile(`host not found in [^"\n]*"(?:\w+://)?([\w.-]+)[:/"]|\[emerg\] (?:\d+#\d+: )?([\w.-]+)(?::\d+)?: host not found`)

// maxNames bounds the names that are learnt from nginx's own messages.
const maxNames = 16

// test runs `-t` with the master's own arguments. Names cannot be resolved in the sandbox, so those of
// the configuration, and those nginx turns out to ask for, get an address each.
func (b bench) test(ctx context.Context, p program, env, names []string) outcome {
	args := append(append([]string{}, b.Instance.Argv[1:]...), "-t")
	for try := 0; ; try++ {
		out := b.run(ctx, p, env, hostLines(names), args...)
		if out.passed() || out.err != nil || try == maxNames {
			return out
		}
		missing := hostNotFound.FindStringSubmatch(out.output)
		if missing == nil {
			return out
		}
		names = append(names, missing[1]+missing[2])
	}
}

// hostLines gives each name a loopback address of its own, so that two names with one port are not
// taken for one address twice. Names that /etc/hosts knows keep theirs.
func hostLines(names []string) []string {
	known := map[string]bool{}
	text, err := os.ReadFile("/etc/hosts")
	if err == nil {
		for line := range strings.Lines(string(text)) {
			line, _, _ = strings.Cut(line, "#")
			for _, name := range strings.Fields(line) {
				known[strings.ToLower(name)] = true
			}
		}
	}
	var lines []string
	for _, name := range names {
		if key := strings.ToLower(name); !known[key] && !strings.ContainsAny(name, " \t\r\n#") {
			known[key] = true
			n := len(lines) + 1
			lines = append(lines, fmt.Sprintf("127.77.%d.%d %s", n/250, n%250+1, name))
		}
	}
	return lines
}

// realPath is the file that a swap replaces: what argv[0] leads to, links followed. Where argv[0]
// leads nowhere it is the path of the running file, so that the binaries can be tried at all.
func realPath(s Subject) string {
	path, ok := s.Instance.Executable()
	if !ok {
		return s.Instance.Exe.Path
	}
	if real, err := filepath.EvalSymlinks(path); err == nil {
		return real
	}
	return path
}
