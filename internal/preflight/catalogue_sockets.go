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
		ID: "unix-socket-unlinked", look: unixSocketUnlinked, files: true,
		Answers: []Severity{Blocker, Warning, Note, OK},
		What:    "The path of a unix socket is deleted while its socket is still served.",
		Looks:   "Unix sockets that the master holds against those the configuration names; whether their paths are there; releases before 1.19.1 on either side.",
		Remedy:  "Reload before you drop such a `listen`; end masters by QUIT, never by TERM.",
	},
	{
		ID: "quic-bpf", look: quicBPF,
		Answers: []Severity{Warning, Note, OK},
		What:    "QUIC packets reach the wrong process while two masters live.",
		Looks:   "`listen … quic` and `quic_bpf`.",
		Remedy:  "Finish soon after the swap, or take HTTP/3 away before.",
	},
	{
		ID: "idle-keepalive-close", look: idleKeepaliveClose,
		Answers: []Severity{Warning, Note, OK},
		What:    "At WINCH old workers close idle keep-alive connections; a client that speaks at that moment gets no answer on it.",
		Looks:   "The workers' established connections, and on which of them nginx spoke last (`sock_diag`); `keepalive_min_timeout`.",
		Remedy:  "Choose a quiet moment. Clients must repeat such a request, as after any idle time.",
	},
	{
		ID: "drain-unbounded", look: drainUnbounded,
		Answers: []Severity{Note, OK},
		What:    "Old workers stay as long as their longest connection, and the old master with them.",
		Looks:   "`worker_shutdown_timeout`.",
		Remedy:  "Set it and reload, if that is too long.",
	},
}
