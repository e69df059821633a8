package artifact

import (
	"path"
	"slices"
	"strings"
)

// Where a file takes effect by being there: configuration, units, jobs, libraries, commands, what the
// package manager runs, or where others than root may write first. Place must not put a runtime there,
// whatever a manifest says. What a closed directory opens again is in openTrees.
const (
	closedTrees = "/bin /boot /dev /etc /lib /lib32 /lib64 /libx32 /lost+found /proc /run /sbin /sys /tmp /usr /var"
	openTrees   = "/usr/local /var/opt"
	// What a shell, sshd or a session of its user reads.
	homeNames = ".config .gnupg .ssh"
	// What /usr/local has of its own (FHS 4.9).
	localNames = "bin etc games include lib lib32 lib64 libexec man sbin share src"
)

// checkPrefix checks the directory on the host that Place writes in.
func checkPrefix(prefix string) error {
	if !path.IsAbs(prefix) {
		return refuse("prefix", RulePrefix, "%s is not absolute", printable(prefix))
	}
	if prefix == "/" {
		return refuse("prefix", RulePrefix, "it is the whole host")
	}
	name := strings.TrimPrefix(prefix, "/")
	if err := checkName("prefix", name); err != nil {
		return refuse("prefix", RulePrefix, "%s: %s", printable(prefix), err.Why)
	}
	parts := strings.Split(name, "/")
	const instead = "; take a directory of its own, such as /usr/local/openresty or /opt/openresty"
	for open := range strings.FieldsSeq(openTrees) {
		if !within(prefix, open) {
			continue
		}
		if len(parts) < 3 || open == "/usr/local" && slices.Contains(strings.Fields(localNames), parts[2]) {
			return refuse("prefix", RulePrefix, "%s is shared by many programs%s", prefix, instead)
		}
		return nil
	}
	for closed := range strings.FieldsSeq(closedTrees) {
		if within(prefix, closed) {
			return refuse("prefix", RulePrefix, "%s is the system's: nothing is placed in %s%s", prefix, closed, instead)
		}
	}
	below := parts[1:] // of a file system's root, or of a home
	switch {
	case parts[0] == "home" && len(parts) > 1:
		below = parts[2:]
	case parts[0] != "root" && parts[0] != "home":
		if len(below) == 0 {
			return refuse("prefix", RulePrefix, "%s is no directory of its own%s", prefix, instead)
		}
		return nil
	}
	if len(below) == 0 || len(below) == 1 && strings.HasPrefix(below[0], ".") || slices.Contains(strings.Fields(homeNames), below[0]) {
		return refuse("prefix", RulePrefix, "%s is a home, or what its user's programs read%s", prefix, instead)
	}
	return nil
}
