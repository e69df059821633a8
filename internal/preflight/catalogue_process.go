package preflight

// processTraps are those of signals and of the tree of processes, in the order in which they would strike.
var processTraps = []Entry{
	{
		ID: "upgrade-under-way", look: upgradeUnderWay, files: true,
		Answers: []Severity{Blocker, Warning, OK},
		What:    "An earlier upgrade is unfinished: two masters live, or it left its .oldbin.",
		Looks:   "The masters above and below this one, and whose pid `.oldbin` holds.",
		Remedy:  "Finish it (`kill -QUIT` the old master) or take it back; remove a stale `.oldbin`.",
	},
	{
		ID: "usr2-ignored", look: usr2Ignored,
		Answers: []Severity{Blocker, Warning, OK},
		What:    "nginx ignores USR2, and only its error log tells.",
		Looks:   "nginx's own condition: `daemon` in the files and in `-g`, the master's parent, the version (before 1.13.8 only a child of init obeys), a living older or newer master.",
		Remedy:  "Start nginx daemonized (systemd: `Type=forking`); in a container start a new container instead.",
	},
	{
		ID: "usr2-poison", look: usr2Poison, files: true,
		Answers: []Severity{Blocker, Warning, OK},
		What:    "nginx cannot rename its pid file at USR2, and from then on every HUP adds workers.",
		Looks:   "The pid file names this master; its directory takes a new file: read-only mounts, free inodes, immutable flags, permission bits for the master's user, a trial.",
		Remedy:  "Write the pid into the file, or make the directory writable. Never send USR2 before.",
	},
	{
		ID: "argv0-relative", look: argv0Relative, files: true,
		Answers: []Severity{Blocker, Warning, Note, OK},
		What:    "nginx executes argv[0] without PATH, and finds nothing.",
		Looks:   "`argv[0]` from the master's title, a relative one resolved from `/proc/PID/cwd`; an executable file lies there.",
		Remedy:  "Start nginx by its absolute path, once.",
	},
	{
		ID: "argv-reused", look: argvReused, files: true,
		Answers: []Severity{Blocker, Warning, OK},
		What:    "The old arguments mean another configuration to the new binary, or are unknown to it.",
		Looks:   "The conf path that both binaries derive from the same arguments; `-e` and a target before 1.19.5; whether the arguments are certain.",
		Remedy:  "Build with the running nginx's `--conf-path`, or restart it with `-c`.",
	},
	{
		ID: "env-stripped", look: envStripped, files: true,
		Answers: []Severity{Blocker, Warning, Note, OK},
		What:    "The new master gets almost no environment, so what worked in a shell fails.",
		Looks:   "The target run twice in isolation: with what USR2 hands on, and with graft's own environment.",
		Remedy:  "Give the target an rpath, or keep the variable with `env`.",
	},
	{
		ID: "pid-path-differs", look: pidPathDiffers, files: true,
		Answers: []Severity{Blocker, Warning, OK},
		What:    "The new binary writes its pid file elsewhere.",
		Looks:   "The pid path in effect under both binaries.",
		Remedy:  "Write `pid PATH;` into the configuration.",
	},
	{
		ID: "cold-start-differs", look: coldStartDiffers, files: true,
		Answers: []Severity{Blocker, Warning, Note, OK},
		What:    "A restart or reboot after the swap starts with another configuration than now.",
		Looks:   "`ExecStart` and `PIDFile` of the systemd unit with its drop-ins, or the init script, resolved under the target's compiled-in paths.",
		Remedy:  "Write `-c` into the unit, or build with the same paths.",
	},
}
