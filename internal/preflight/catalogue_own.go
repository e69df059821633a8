package preflight

// ownTraps make every other answer worthless, or are graft's own doing.
var ownTraps = []Entry{
	{
		ID: "mount-namespace", look: mountNamespace,
		Answers: []Severity{Blocker, OK},
		What:    "The master runs in a container and sees other files than graft.",
		Looks:   "`/proc/PID/ns/mnt` against graft's own. All checks that go by paths say that they were not made.",
		Remedy:  "Run graft inside: `nsenter --target PID --mount --pid --net graft plan …`.",
	},
	{
		ID: "permissions", look: permissions, files: true,
		Answers: []Severity{Blocker, Warning, OK},
		What:    "graft may not signal the master, replace its binary or place the runtime.",
		Looks:   "The master's effective user, and a nameless file made in the binary's directory and where the runtime goes.",
		Remedy:  "Run graft as root or as the owner of the nginx.",
	},
	{
		ID: "same-binary", look: sameBinary,
		Answers: []Severity{Blocker, Warning, OK},
		What:    "The target is what runs already.",
		Looks:   "The SHA-256 of both.",
		Remedy:  "Nothing, or name another target.",
	},
	{
		ID: "disk-space", look: diskSpace, files: true,
		Answers: []Severity{Blocker, Warning, OK},
		What:    "There is no room for the new binary, its runtime or the backup.",
		Looks:   "Free bytes and inodes of each file system that is written to.",
		Remedy:  "Make room.",
	},
	{
		ID: "staging-conflict", look: stagingConflict, files: true,
		Answers: []Severity{Blocker, Warning, OK},
		What:    "Files of the target's runtime would overwrite others on the host.",
		Looks:   "Each file of the runtime against what lies at its place.",
		Remedy:  "Build with another prefix for the runtime.",
	},
}
