package nginx

import (
	"bufio"
	"errors"
	"fmt"
	"path"
	"strings"
)

// Flavor is the member of the nginx family a binary belongs to.
type Flavor string

// The flavors graft knows by the name they print in the first line of -V.
const (
	FlavorNginx     Flavor = "nginx"
	FlavorOpenResty Flavor = "openresty"
	FlavorFreenginx Flavor = "freenginx"
	FlavorAngie     Flavor = "angie"
	FlavorTengine   Flavor = "tengine"
)

// Build is what a binary of the family tells about itself through -V and -h.
type Build struct {
	Flavor    Flavor   `json:"flavor"`
	Version   string   `json:"version"`
	BuiltWith string   `json:"built_with,omitempty"` // the TLS library's line, "OpenSSL 3.0.11 …"
	Configure []string `json:"configure"`            // configure arguments, unquoted, in order
	// The paths compiled in. Prefix, Conf and ErrorLog come from -h, which tells what is really
	// compiled in; -V repeats only what configure was asked for (they differ when a header
	// overrides NGX_PREFIX). A binary that prints no default (Angie and old releases word -h
	// differently) falls back to -V and nginx's own defaults.
	Prefix   string `json:"prefix"`
	Conf     string `json:"conf_path"`
	ErrorLog string `json:"error_log_path"`
	Pid      string `json:"pid_path"`
	Lock     string `json:"lock_path"`
}

// nginx's own defaults, auto/options: relative ones lie under the prefix.
const (
	defaultPrefix   = "/usr/local/nginx"
	defaultConf     = "conf/nginx.conf"
	defaultErrorLog = "logs/error.log"
	defaultPid      = "logs/nginx.pid"
	defaultLock     = "logs/nginx.lock"
)

// ParseBuild reads the output of `nginx -V` and, if not empty, that of `nginx -h` (or `-?`).
func ParseBuild(v, h string) (Build, error) {
	b := Build{Configure: []string{}}
	lines := bufio.NewScanner(strings.NewReader(v))
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		key, value, ok := strings.Cut(lines.Text(), ": ")
		switch {
		case strings.HasPrefix(lines.Text(), "built with "):
			b.BuiltWith = strings.TrimPrefix(lines.Text(), "built with ")
		case !ok:
		case strings.EqualFold(key, "configure arguments"):
			args, err := LexConfigure(value)
			if err != nil {
				return Build{}, fmt.Errorf("read configure arguments of -V: %w", err)
			}
			b.Configure = args
		case strings.HasSuffix(strings.ToLower(key), " version") && b.Version == "":
			b.Flavor, b.Version = parseVersion(value)
		}
	}
	if err := lines.Err(); err != nil {
		return Build{}, fmt.Errorf("read -V: %w", err)
	}
	if b.Version == "" {
		return Build{}, errors.New("no line \"nginx version: …\" in what -V printed: not of the nginx family")
	}
	b.setPaths(h)
	return b, nil
}

// parseVersion splits "nginx/1.22.1 (Ubuntu)" and "Tengine/3.1.0".
func parseVersion(s string) (Flavor, string) {
	name, version, ok := strings.Cut(s, "/")
	if !ok {
		return "", ""
	}
	version, _, _ = strings.Cut(version, " ")
	return Flavor(strings.ToLower(name)), version
}

func (b *Build) setPaths(h string) {
	b.Prefix = b.option("--prefix", defaultPrefix)
	if b.Flavor == FlavorOpenResty {
		// OpenResty's configure hands nginx PREFIX/nginx and prints that in -V.
		b.Prefix = b.option("--prefix", "/usr/local/openresty/nginx")
	}
	b.Conf = b.option("--conf-path", defaultConf)
	b.ErrorLog = b.option("--error-log-path", defaultErrorLog)
	b.Pid = b.option("--pid-path", defaultPid)
	b.Lock = b.option("--lock-path", defaultLock)
	for line := range strings.Lines(h) {
		_, value, ok := strings.Cut(strings.TrimSpace(line), "(default: ")
		if !ok {
			continue
		}
		value = strings.TrimSuffix(value, ")")
		switch {
		case value == "NONE":
		case strings.Contains(line, "set prefix path"):
			b.Prefix = value
		case strings.Contains(line, "set configuration file"):
			b.Conf = value
		case strings.Contains(line, "set error log file"):
			b.ErrorLog = value
		}
	}
	b.Prefix = path.Clean(b.Prefix) + "/"
}

// option returns the value of the last --name=value, as configure itself would take it.
func (b *Build) option(name, fallback string) string {
	value := fallback
	for _, arg := range b.Configure {
		if v, ok := strings.CutPrefix(arg, name+"="); ok && v != "" {
			value = v
		}
	}
	return value
}
