package preflight

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// errandFiles are where commands stand that run by themselves: cron of Debian, Red Hat, SUSE and Alpine,
// certbot, logrotate and monit.
var errandFiles = []string{
	"/etc/crontab", "/etc/anacrontab", "/etc/cron.d/*", "/etc/cron.*ly/*", "/etc/crontabs/*", "/etc/periodic/*/*",
	"/var/spool/cron/*", "/var/spool/cron/crontabs/*", "/var/spool/cron/tabs/*",
	"/etc/letsencrypt/cli.ini", renewals + "*.conf", "/etc/letsencrypt/renewal-hooks/*/*",
	"/etc/logrotate.conf", "/etc/logrotate.d/*",
	"/etc/monitrc", "/etc/monit.d/*", "/etc/monit/monitrc", "/etc/monit/conf.d/*", "/etc/monit/conf-enabled/*",
}

const renewals = "/etc/letsencrypt/renewal/"

// scriptLimit is more than any script has. Of larger files the beginning is read.
const scriptLimit = 1 << 20

// readErrands finds what starts, stops or reloads nginx without a person.
func readErrands(pidFile string) ([]errand, error) {
	var all []errand
	for _, pattern := range errandFiles {
		files, err := filepath.Glob(pattern)
		if err != nil {
			return nil, fmt.Errorf("list %s: %w", pattern, err)
		}
		for _, file := range files {
			list, err := errandsOf(file, pidFile)
			if err != nil {
				return nil, err
			}
			all = append(all, list...)
		}
	}
	timed, err := timedErrands(pidFile)
	if err != nil {
		return nil, err
	}
	return append(all, timed...), nil
}

func errandsOf(file, pidFile string) ([]errand, error) {
	f, err := os.Open(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil // a link that leads nowhere, or gone meanwhile
	}
	if err != nil {
		return nil, fmt.Errorf("look for commands: %w", err)
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		return nil, err
	}
	text, err := io.ReadAll(io.LimitReader(f, scriptLimit))
	if err != nil {
		return nil, fmt.Errorf("look for commands: %w", err)
	}
	if bytes.IndexByte(text, 0) >= 0 {
		return nil, nil // a program, not a script
	}
	var list []errand
	n := 0
	for line := range strings.Lines(string(text)) {
		n++
		e, found := readErrand(withoutSchedule(file, line), pidFile)
		if !found {
			e, found = certbotPlugin(file, line)
		}
		if found {
			e.where = fmt.Sprintf("%s:%d", file, n)
			list = append(list, e)
		}
	}
	return list, nil
}

// withoutSchedule cuts a crontab's times, and the user in those of the system, so that the command's first word comes
// first.
func withoutSchedule(file, line string) string {
	skip := 0
	switch dir := filepath.Dir(file); {
	case file == "/etc/crontab" || dir == "/etc/cron.d":
		skip = 6
	case strings.HasPrefix(file, "/var/spool/cron/") || dir == "/etc/crontabs":
		skip = 5
	default:
		return line
	}
	fields := strings.Fields(line)
	if len(fields) > 0 && strings.HasPrefix(fields[0], "@") {
		skip -= 4 // @daily stands for five fields
	}
	if len(fields) <= skip || strings.HasPrefix(fields[0], "#") {
		return ""
	}
	return strings.Join(fields[skip:], " ")
}

// certbotPlugin: certbot's nginx plugin reloads through the pid file, and starts nginx if that fails.
func certbotPlugin(file, line string) (errand, bool) {
	key, value, _ := strings.Cut(line, "=")
	key, value = strings.TrimSpace(key), strings.TrimSpace(value)
	if !strings.HasPrefix(file, renewals) || value != "nginx" || key != "installer" && key != "authenticator" {
		return errand{}, false
	}
	return errand{command: strings.TrimSpace(line) + " (it reloads nginx, and starts it if that fails)", does: starts}, true
}

// timedErrands reads the services of the timers and path units that are enabled.
func timedErrands(pidFile string) ([]errand, error) {
	var all []errand
	var seen []string
	for _, dir := range unitDirs {
		for _, kind := range []string{"timer", "path"} {
			links, err := filepath.Glob(filepath.Join(dir, "*.wants", "*."+kind))
			if err != nil {
				return nil, fmt.Errorf("list %ss: %w", kind, err)
			}
			for _, link := range links {
				unit := filepath.Base(link)
				if slices.Contains(seen, unit) {
					continue
				}
				seen = append(seen, unit)
				list, err := unitErrands(unit, pidFile)
				if err != nil {
					return nil, err
				}
				all = append(all, list...)
			}
		}
	}
	return all, nil
}

func unitErrands(unit, pidFile string) ([]errand, error) {
	settings, err := readUnit(unit)
	if err != nil {
		return nil, err
	}
	kind := strings.TrimPrefix(filepath.Ext(unit), ".")
	service := strings.TrimSuffix(unit, "."+kind) + ".service"
	section := strings.ToUpper(kind[:1]) + kind[1:]
	if s, named := last(settings, section, "Unit"); named {
		service = s.value
	}
	if settings, err = readUnit(service); err != nil {
		return nil, err
	}
	var list []errand
	for _, s := range settings {
		if s.section != "Service" || !strings.HasPrefix(s.key, "Exec") {
			continue
		}
		if e, found := readErrand(strings.TrimLeft(s.value, "@-:+!|"), pidFile); found {
			e.where, e.timer = s.where(), unit
			list = append(list, e)
		}
	}
	return list, nil
}
