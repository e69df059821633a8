package preflight

import "slices"

// Entry is one trap of the catalogue.
type Entry struct {
	ID   string // as in docs/traps.md
	What string // what goes wrong, in a sentence
	look func(*examination) Check
	// files: the check goes by paths, which mean nothing where the master sees other files.
	files bool
}

// Catalogue lists the traps that Run checks: first what makes every other answer worthless, then in the
// order in which they would strike.
func Catalogue() []Entry { return slices.Clone(catalogue) }

const files = true

var catalogue = []Entry{
	{"mount-namespace", "The master runs in a container and sees other files than graft.", mountNamespace, false},
	{"permissions", "graft may not signal the master or replace its binary.", permissions, files},
	{"upgrade-under-way", "An earlier upgrade is unfinished: two masters live, or it left its .oldbin.", upgradeUnderWay, files},
	{"same-binary", "The target is what runs already.", sameBinary, false},

	{"usr2-ignored", "nginx ignores USR2, and only its error log tells.", usr2Ignored, false},
	{"usr2-poison", "nginx cannot rename its pid file at USR2, and from then on every HUP adds workers.", usr2Poison, files},
	{"argv0-relative", "nginx executes argv[0] without PATH, and finds nothing.", argv0Relative, files},
	{"text-file-busy", "The binary on disk is no longer the one that runs.", textFileBusy, files},
	{"argv-reused", "The old arguments mean another configuration to the new binary, or are unknown to it.", argvReused, files},
	{"env-stripped", "The new master gets almost no environment, so what worked in a shell fails.", envStripped, files},
	{"library-missing", "A shared library of the new binary is not found on this host.", libraryMissing, files},
	{"pid-path-differs", "The new binary writes its pid file elsewhere.", pidPathDiffers, files},

	{"config-test", "The configuration on disk does not pass: the new master would not start.", configTest, files},
	{"module-lost", "The configuration uses a directive or variable of a module that the new binary has not.", moduleLost, files},
	{"module-already-loaded", "A module is built in now and still loaded by load_module.", moduleAlreadyLoaded, files},
	{"module-signature", "A dynamic module was built for another nginx.", moduleSignature, files},
	{"prefix-relative-paths", "Relative paths lead elsewhere under the new binary's prefix, without any error.", prefixRelativePaths, files},
	{"listen-changed", "The configuration was edited since it was loaded; the new master would bring that into effect.", listenChanged, files},
	{"reuseport-blackhole", "The new master has fewer workers than there are reuseport sockets: connections hang.", reuseportBlackhole, files},

	{"cold-start-differs", "A restart or reboot after the swap starts with another configuration than now.", coldStartDiffers, files},
	{"staging-conflict", "Files of the target's runtime would overwrite others on the host.", stagingConflict, files},
	{"disk-space", "There is no room for the new binary, its runtime or the backup.", diskSpace, files},
	{"file-attributes", "The new binary lacks the old one's capabilities, ACLs or label.", fileAttributes, files},
	{"hardening-lost", "The new binary is built without the old one's protections.", hardeningLost, false},
	{"drain-unbounded", "Old workers stay as long as their longest connection, and the old master with them.", drainUnbounded, false},
}

// ask makes the check, or says why it cannot be made.
func (e Entry) ask(x *examination) Check {
	c := warning(enterContainer(x), "not checked: the master sees other files than graft does")
	if !e.files || x.Instance.MountNamespace {
		c = e.look(x)
	}
	c.ID = e.ID
	return c
}
