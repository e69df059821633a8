package preflight

// fileTraps are those of the configuration, of modules and of files on the disk.
var fileTraps = []Entry{
	{
		ID: "config-test", look: configTest, files: true,
		Answers: []Severity{Blocker, Warning, Note, OK},
		What:    "The configuration on disk does not pass: the new master would not start.",
		Looks:   "`-t` in isolation, first of the running binary, then of the target. Names of upstreams and listeners are given addresses.",
		Remedy:  "Repair the line that is named.",
	},
	{
		ID: "module-lost", look: moduleLost, files: true,
		Answers: []Severity{Blocker, Warning, OK},
		What:    "The configuration uses a directive or variable of a module that the new binary has not.",
		Looks:   "`-t` of the target in isolation.",
		Remedy:  "Build the target with the module, or remove the line.",
	},
	{
		ID: "module-already-loaded", look: moduleAlreadyLoaded, files: true,
		Answers: []Severity{Blocker, Warning, OK},
		What:    "A module is built in now and still loaded by load_module.",
		Looks:   "`-t` of the target in isolation.",
		Remedy:  "Remove the `load_module` line that is named.",
	},
	{
		ID: "module-signature", look: moduleSignature, files: true,
		Answers: []Severity{Blocker, Warning, OK},
		What:    "A dynamic module was built for another nginx.",
		Looks:   "Each `load_module`: whether the target has its own build of that module ([how](adr/0004-load-module.md)); for others flavor, version and configure arguments of both binaries; `-t` in isolation. A signature that fits proves little: OpenResty's patches change structures without changing it.",
		Remedy:  "`graft build --like PID` builds the loaded modules; give the source of one that it does not find with `--add-module DIR`.",
	},
	{
		ID: "prefix-relative-paths", look: prefixRelativePaths, files: true,
		Answers: []Severity{Blocker, Warning, Note, OK},
		What:    "Relative paths lead elsewhere under the new binary's prefix, without any error.",
		Looks:   "Each relative path of the configuration resolved under both prefixes, and the compiled-in `root html`.",
		Remedy:  "Build with the old prefix, or write the paths absolute.",
	},
	{
		ID: "text-file-busy", look: textFileBusy, files: true,
		Answers: []Severity{Blocker, Warning, Note, OK},
		What:    "The binary on disk is no longer the one that runs.",
		Looks:   "Device and inode of both, then the contents.",
		Remedy:  "Restart on what is on disk, or put the running binary (`/proc/PID/exe`) back.",
	},
	{
		ID: "library-missing", look: libraryMissing, files: true,
		Answers: []Severity{Blocker, Warning, OK},
		What:    "A shared library of the new binary is not found on this host.",
		Looks:   "The target started at its place in isolation; if it does not start, the loader's own list.",
		Remedy:  "Install the library, or build on this host.",
	},
	{
		ID: "file-attributes", look: fileAttributes, files: true,
		Answers: []Severity{Blocker, Warning, Note, OK},
		What:    "The new binary lacks the old one's capabilities, ACLs or label.",
		Looks:   "The running binary's extended attributes, tried on a nameless file of the same directory.",
		Remedy:  "Run graft as root.",
	},
	{
		ID: "hardening-lost", look: hardeningLost,
		Answers: []Severity{Warning, OK},
		What:    "The new binary is built without the old one's protections.",
		Looks:   "PIE, RELRO, immediate binding, stack protector, FORTIFY_SOURCE, the stack's own protection, CET, BTI and PAC in both ELF files.",
		Remedy:  "Carry `--with-cc-opt` and `--with-ld-opt` over (`graft build --like`).",
	},
}
