package rehearse

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"graft/internal/artifact"
	"graft/internal/nginx"
	"graft/internal/nginx/conf"
	"graft/internal/procfs"
	"graft/internal/sandbox"
	"graft/internal/stub"
)

// stage is what all clones of a rehearsal have in common.
type stage struct {
	fs      procfs.FS
	script  script
	running string // the running binary's file
	options sandbox.Options
}

// script finds out how the master was started, and what it may talk to.
func (s Subject) script() (stage, error) {
	i := s.Instance
	if i.Config == nil || i.ConfigError != nil {
		return stage{}, fmt.Errorf("the configuration cannot be read: %w", i.ConfigError)
	}
	attributes, err := attributesOf(s.FS, i.Master.PID)
	if err != nil {
		return stage{}, err
	}
	stateDir, err := filepath.Abs(s.StateDir)
	if err != nil {
		return stage{}, err
	}
	addresses, err := sandbox.HostAddresses()
	if err != nil {
		return stage{}, err
	}
	names, err := stub.ReadHosts("/etc/hosts")
	if err != nil {
		return stage{}, err
	}
	store, err := artifact.Open(stateDir)
	if err != nil {
		return stage{}, err
	}
	target, err := store.Get(s.Plan.Target.Artifact)
	if err != nil {
		return stage{}, err
	}
	room, err := room()
	if err != nil {
		return stage{}, err
	}
	upstreams := stub.Find(i.Config, stub.Host{Addresses: addresses, Names: names})
	return stage{
		fs: s.FS,
		script: script{
			Start: Start{
				Binary: s.Plan.Old.Binary, Argv: i.Argv, Cwd: i.Cwd, Env: environment(i.Config), PidFile: i.Paths.Pid,
				Workers: i.WorkersToCome(s.FS), Attributes: attributes,
				Logs: logs(i, target.Manifest.Build), Caches: caches(i),
			},
			Old: i.Exe.SHA256, StateDir: stateDir, Artifact: s.Plan.Target.Artifact, Endpoints: upstreams.Endpoints, Pools: upstreams.Pools,
			Patience: s.Patience, Verbose: s.Verbose,
		},
		running: s.FS.Path(i.Master.PID, "exe"),
		options: sandbox.Options{KeepRun: true, Outside: true, Hosts: upstreams.Hosts, Local: listening(i), Room: room},
	}, nil
}

// room is what one clone may write to its files, in bytes: two play at a time, and the host needs the
// rest of its memory. A runtime and a few thousand answers take less than 100 MiB.
func room() (int64, error) {
	const share, least = 8, 256 << 20
	text, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(text)) {
		if value, ok := strings.CutPrefix(line, "MemAvailable:"); ok {
			kib, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 10, 64)
			if err != nil {
				return 0, fmt.Errorf("/proc/meminfo: %w", err)
			}
			return max(kib<<10/share, least), nil
		}
	}
	return least, nil // an older kernel does not tell
}

// environment is what a service is started with, and the env directives that give a value. What else
// the master was given is not to be had: the process title lies over /proc/PID/environ.
func environment(c *conf.Config) []string {
	env := []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
	if tz, set := os.LookupEnv("TZ"); set {
		env = append(env, "TZ="+tz)
	}
	for _, v := range c.Env() {
		if strings.Contains(v, "=") {
			env = append(env, v)
		}
	}
	return env
}

// logs lists the files that either binary opens for appending. Before nginx has read its configuration
// it writes to the log that is compiled in, which may be another one in each.
func logs(i nginx.Instance, target nginx.Build) []string {
	paths := target.Paths(i.Options, i.Cwd, i.Config.Value("pid"))
	theirs := target.Logs(paths, i.Config)
	all := slices.Concat(i.Logs.Access, i.Logs.Error, theirs.Access, theirs.Error, []string{i.Paths.ErrorLog, paths.ErrorLog})
	slices.Sort(all)
	return slices.Compact(all)
}

// caches lists the directories of the caches on disk.
func caches(i nginx.Instance) []string {
	var dirs []string
	for _, d := range i.Config.Find("proxy_cache_path", "fastcgi_cache_path", "uwsgi_cache_path", "scgi_cache_path") {
		dir := d.Arg(0)
		if !filepath.IsAbs(dir) {
			dir = filepath.Join(i.Paths.Prefix, dir)
		}
		dirs = append(dirs, dir)
	}
	return dirs
}

// listening are the addresses that the master listens on.
func listening(i nginx.Instance) []netip.Addr {
	var list []netip.Addr
	for _, l := range i.Listen {
		if at, err := netip.ParseAddrPort(l.Addr); err == nil {
			list = append(list, at.Addr())
		}
	}
	return list
}
