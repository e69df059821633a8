package conf

import (
	"path"
	"slices"
	"strings"
)

// Reads lists the files that nginx reads beside its configuration and that decide what it answers, absolute,
// each once: certificates and keys, passwords, Lua code, modules. Session ticket keys and stapled
// responses are left out, which something else renews by the hour, and so are names with variables.
func (c *Config) Reads(prefix string) []string {
	var files []string
	c.Walk(func(d *Directive) bool {
		base, ok := pathBase(d)
		if !ok || len(d.Args) == 0 || !decides(d.Name) {
			return !d.Data
		}
		file := d.Args[0]
		switch {
		case path.IsAbs(file):
		case !isRelative(d.Name, file):
			return true
		case base == BaseConfPrefix:
			file = path.Join(c.ConfPrefix, file)
		default:
			file = path.Join(prefix, file)
		}
		if !strings.Contains(file, "$") && !slices.Contains(files, file) {
			files = append(files, file)
		}
		return true
	})
	return files
}

// decides tells whether what lies at the directive's path is read, and is no matter of the hour.
func decides(name string) bool {
	switch name {
	case "root", "alias", "error_log", "access_log", "pid", "lock_file", "include", "perl_modules", "working_directory",
		"ssl_session_ticket_key", "ssl_stapling_file":
		return false
	}
	return !strings.HasSuffix(name, "_temp_path") && !strings.HasSuffix(name, "_cache_path")
}
