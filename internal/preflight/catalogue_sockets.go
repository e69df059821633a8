package preflight

// socketTraps are those of inherited sockets and of the connections on them.
var socketTraps = []Entry{
	{
		ID: "listen-changed", look: listenChanged, files: true,
		Answers: []Severity{Warning, OK},
		What:    "The configuration was edited since it was loaded; the new master would bring that into effect.",
		Looks:   "`listen` directives against the sockets that the master holds.",
		Remedy:  "Reload first, or take the edit back.",
	},
	{
		ID: "reuseport-blackhole", look: reuseportBlackhole, files: true,
		Answers: []Severity{Blocker, Warning, Note, OK},
		What:    "The new master has fewer workers than there are reuseport sockets: connections hang.",
		Looks:   "Running workers against `worker_processes` on disk; `reuseport` on the sockets and in the files.",
		Remedy:  "Keep the number of workers until the migration is finished.",
	},
	{
		ID: "drain-unbounded", look: drainUnbounded,
		Answers: []Severity{Warning, Note, OK},
		What:    "Old workers stay as long as their longest connection, and the old master with them.",
		Looks:   "`worker_shutdown_timeout`; each worker's connections of clients, the longest silent one, workers that an earlier reload left behind.",
		Remedy:  "Set it and reload, if that is too long.",
	},
}
