package guard

import (
	"fmt"
	"strings"

	"graft/internal/pkgmanager"
)

// Judge decides what a sight means and what follows. It is pure.
func Judge(s Sight) []Finding {
	guards := []func(Sight) []Finding{blind, logRotation, configDrift}
	if !s.Back {
		guards = append(guards, reuseport, hupOld, packageManager)
	}
	var found []Finding
	for _, judge := range guards {
		found = append(found, judge(s)...)
	}
	return found
}

// blind: a guard that cannot look says so, for silence would be taken for health.
func blind(s Sight) []Finding {
	var found []Finding
	for _, b := range s.Blind {
		f := find(b.ID, Warn, "run graft as root or as the owner of the nginx", "this guard cannot look: %v", b.Why)
		f.subject = "blind"
		found = append(found, f)
	}
	return found
}

// reuseport: a socket that the new master let go of is held by the old one, and the kernel goes on
// giving it connections that nobody accepts.
func reuseport(s Sight) []Finding {
	if s.Quitting {
		return nil
	}
	keep := fmt.Sprintf("until the migration is finished put worker_processes and the listen directives back as the plan found them, before master %d is reloaded", s.New.Master.PID)
	switch {
	case s.Hanging != "" && s.Parked:
		return []Finding{find(Reuseport, Turn, "graft goes back (graft rollback, where none is at work): the old workers accept on all of their sockets", "%s", s.Hanging)}
	case s.Hanging != "":
		return []Finding{find(Reuseport, Warn, fmt.Sprintf("%s; if it was reloaded already, reload it again: kill -HUP %d. graft does not park the old master so", keep, s.New.Master.PID), "%s", s.Hanging)}
	case len(s.Drift.Loses) > 0:
		return []Finding{find(Reuseport, Warn, keep,
			"the configuration on disk would make the next reload of the new master let go of sockets that the old one holds, where connections would hang: %s", strings.Join(s.Drift.Loses, "; "))}
	}
	return nil
}

// hupOld: while a newer master lives, HUP makes the old one start workers of the configuration in its
// memory, beside those that it has.
func hupOld(s Sight) []Finding {
	old, young := s.Old.Master.PID, s.New.Master.PID
	sender := "whoever sent it took the pid from elsewhere than " + s.Host.PidFile
	reload := fmt.Sprintf("until the migration is finished reload with: kill -HUP %d", young)
	if s.Host.Reload != "" {
		sender = fmt.Sprintf("%s reloads with %s, and systemd's $MAINPID may be the old master until that ends", s.Host.Unit, s.Host.Reload)
		reload += ", not with systemctl reload"
	}
	switch {
	case s.CameBack:
		return []Finding{find(HupOld, Warn, "graft parks it again (graft resume, where none is at work); "+reload,
			"the parked old master %d runs %d workers again, of the configuration in its memory: it was told HUP while the new master lives (%s)", old, len(s.Old.Workers), sender)}
	case !s.Parked && s.Host.Workers > 0 && len(s.Old.Workers) > s.Host.Workers:
		return []Finding{find(HupOld, Warn, "nothing is lost and WINCH ends them all; "+reload,
			"the old master %d runs %d workers, %d before: it was told HUP while the new master lives, which has reloaded nothing (%s)", old, len(s.Old.Workers), s.Host.Workers, sender)}
	}
	return nil
}

// logRotation: logrotate signals the pid in the pid file, which is the new master's; the old one and its
// last workers go on writing the file that was moved away.
func logRotation(s Sight) []Finding {
	var found []Finding
	for _, stale := range s.Stale {
		reopen := fmt.Sprintf("kill -USR1 %d", stale.Master)
		who := "the old master's"
		if stale.New {
			who = "the new master's"
		}
		where := stale.At
		if stale.Deleted {
			where += ", which is deleted"
		}
		evidence := fmt.Sprintf("%s process %s writes %s to inode %d (%s), not to the file at that path",
			who, pidList(stale.PIDs), stale.Path, stale.From.Inode, where)
		var f Finding
		switch {
		case stale.To.Inode == 0:
			f = find(LogRotation, Warn, "if nothing creates it anew: "+reopen, "%s: there is none", evidence)
		case stale.Told:
			f = find(LogRotation, Warn, "look at the error log for why it cannot be opened, then: "+reopen, "%s (inode %d); USR1 was sent and did not help", evidence, stale.To.Inode)
		default:
			f = find(LogRotation, Act, "graft tells the master to reopen its logs: "+reopen, "%s (inode %d)", evidence, stale.To.Inode)
			f.Stale = &stale
		}
		f.subject = stale.Key()
		found = append(found, f)
	}
	return found
}

func pidList(pids []int) string {
	words := make([]string, len(pids))
	for i, pid := range pids {
		words[i] = fmt.Sprint(pid)
	}
	return strings.Join(words, ", ")
}

// packageManager: somebody else's file is at the path that a restart would execute. None of the ways on
// is safe to choose for the operator.
func packageManager(s Sight) []Finding {
	if s.Foreign == nil {
		return nil
	}
	path, young := s.Host.Binary, s.New.Master.PID
	f := s.Foreign
	what := fmt.Sprintf("the file at %s is neither the old nor the new binary", path)
	if f.Missing {
		what = fmt.Sprintf("there is no file at %s any more", path)
	}
	if !f.At.IsZero() {
		what += ", since " + stampText(f.At)
	}
	diverted := f.Owner != nil && f.Owner.DivertedTo != ""
	switch {
	case diverted:
		what += fmt.Sprintf("; the path belongs to package %s, whose own file goes to %s: it is not the package's", f.Owner, f.Owner.DivertedTo)
	case f.Owner != nil:
		what += "; the path belongs to package " + f.Owner.String()
	}
	if f.Unknown != nil {
		what += fmt.Sprintf("; whose it is cannot be told: %v", f.Unknown)
	}
	for _, line := range f.Log {
		what += "; " + line
	}
	put := func(from string) string {
		return fmt.Sprintf("install -m 755 %s %s.graft && mv %s.graft %s", from, path, path, path)
	}
	options := []string{
		"both masters are left as they are; choose:",
		"(1) go on with the new binary: " + put(fmt.Sprintf("/proc/%d/exe", young)) + ", then graft resume",
		"(2) go back to the old one: " + put(s.Host.Backup) + ", then graft rollback",
		"(3) keep what is at the path for the next start: graft rollback makes the old workers serve, leaves the path alone and says so (exit 6)",
	}
	if f.Owner != nil && !diverted {
		hold := "apt-mark hold " + f.Owner.Package
		if f.Owner.Manager == pkgmanager.RPM {
			hold = "dnf versionlock add " + f.Owner.Package
		}
		options = append(options, "before (1) or (2) keep the package from being upgraded again: "+hold)
	}
	return []Finding{find(Package, Halt, strings.Join(options, "\n"), "%s", what)}
}

// configDrift: what runs and what a reload or restart would read differ, for each of the two masters in
// its own way.
func configDrift(s Sight) []Finding {
	d := s.Drift
	if len(d.Changes) == 0 {
		return nil
	}
	var files []string
	for _, c := range d.Changes {
		text := c.Path + " " + c.How
		if !c.At.IsZero() {
			text += " " + stampText(c.At)
		}
		files = append(files, text)
	}
	const shown = 8
	if more := len(files) - shown; more > 0 {
		files = append(files[:shown], fmt.Sprintf("and %d more", more))
	}
	means := fmt.Sprintf("the new master %d has not read it; HUP to it would", s.New.Master.PID)
	if d.Loaded {
		means = fmt.Sprintf("the workers of the new master %d have all started since: it was reloaded and serves it", s.New.Master.PID)
	}
	means += "; a rollback serves what the old master has in its memory, not this"
	remedy := "know that a rollback brings the former configuration back into effect; take the edit back if that must not be"
	for _, t := range []struct {
		name  string
		trial Trial
		bad   string
	}{
		{"the new binary", d.New, "its next reload or start fails"},
		{"the old binary", d.Old, "after the finish a rollback would fail"},
	} {
		switch {
		case t.trial.Done && t.trial.Took:
			means += "; -t of " + t.name + " passes on it in isolation"
		case t.trial.Done:
			means += fmt.Sprintf("; -t of %s refuses it, so that %s: %s", t.name, t.bad, t.trial.Said)
			remedy = "repair what -t names before anything reads it"
		case t.trial.Said != "":
			means += fmt.Sprintf("; whether %s takes it is not known: %s", t.name, t.trial.Said)
		}
	}
	if d.Broken != "" {
		means += "; it cannot be read: " + d.Broken
	}
	return []Finding{find(ConfigDrift, Warn, remedy, "the configuration changed since the plan was made: %s; %s", strings.Join(files, ", "), means)}
}
