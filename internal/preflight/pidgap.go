package preflight

import (
	"fmt"
	"strings"
)

// pidGap looks for what may run while there is no pid file: from the rename at USR2 until the new master has
// read its configuration. `nginx -s reload` fails then, and what starts nginx instead starts a third one.
func pidGap(e *examination) Check {
	if e.errandsErr != nil {
		return warning("run graft as root", "not checked: %v", e.errandsErr)
	}
	var harmful, harmless []errand
	for _, job := range e.errands {
		if job.does == reloads {
			harmless = append(harmless, job)
		} else {
			harmful = append(harmful, job)
		}
	}
	long := ""
	if work := e.initWork(); len(work) > 0 {
		long = fmt.Sprintf(", which lasts as long as %s here", strings.Join(work, ", "))
	}
	switch {
	case len(harmful) > 0:
		return warning(holdBack(harmful), "nginx is started or stopped by what runs by itself, and would be in the time without a pid file%s: %s", long, describe(harmful))
	case len(harmless) > 0:
		return note(holdBack(harmless), "a reload fails in the time without a pid file%s; nginx is reloaded by %s", long, describe(harmless))
	case long != "":
		return note("", "nothing was found that starts or reloads nginx by itself; there is no pid file from USR2 until the new master is up%s", long)
	}
	return ok("nothing starts, stops or reloads nginx by itself in cron, systemd timers, certbot, logrotate and monit")
}

// holdBack tells how to keep these from running until the migration is over.
func holdBack(jobs []errand) string {
	var units, files []string
	for _, job := range jobs {
		if job.timer != "" {
			units = append(units, job.timer)
		} else {
			files = append(files, job.where)
		}
	}
	var ways []string
	if len(units) > 0 {
		list := strings.Join(units, " ")
		ways = append(ways, fmt.Sprintf("systemctl stop %s; after graft finish: systemctl start %s", list, list))
	}
	if len(files) > 0 {
		ways = append(ways, "comment out until graft finish: "+strings.Join(files, ", "))
	}
	return strings.Join(ways, "; ")
}

func describe(jobs []errand) string {
	list := make([]string, len(jobs))
	for n, job := range jobs {
		by := ""
		if job.timer != "" {
			by = job.timer + ", "
		}
		list[n] = fmt.Sprintf("%s (%s%s)", job.command, by, job.where)
	}
	return strings.Join(list, "; ")
}

// hupOldDoubles looks for reloads that would reach the old master while a newer one lives: it takes them for
// the order to start its workers again, beside those that it has and without reading the configuration
// (ngx_master_process_cycle).
func hupOldDoubles(e *examination) Check {
	const doubles = "while both masters live that starts workers of the old one again, from the configuration in its memory"
	if e.errandsErr != nil {
		return warning("run graft as root", "not checked: %v", e.errandsErr)
	}
	byMainPID := e.service.reloadsMainPID()
	var reach []errand
	for _, job := range e.errands {
		if job.does == reloads && (job.byName || job.byService && byMainPID) {
			reach = append(reach, job)
		}
	}
	instead := fmt.Sprintf("reload the new master instead: kill -HUP $(cat %s)", e.Instance.PidFile.Path)
	if byMainPID {
		instead += fmt.Sprintf("; for good, systemctl edit %s: [Service] ExecReload= and ExecReload=%s -s reload", e.service.unit, e.binary)
	}
	switch {
	case len(reach) > 0:
		return warning(holdBack(reach)+"; "+instead, "these would send HUP to the old master, too: %s; %s", describe(reach), doubles)
	case byMainPID:
		return note("do not run systemctl reload before graft finish; "+instead,
			"ExecReload=%s of %s (%s): the main PID stays the old master until it ends; %s", e.service.ExecReload, e.service.unit, e.service.source, doubles)
	}
	return ok("nothing found that would send HUP to the old master: cron, systemd timers, certbot, logrotate, monit, and ExecReload of %s (%s)", e.service.unit, e.service.source)
}
