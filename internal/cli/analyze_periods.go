package cli

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// stretch is a range of time, from <= t < to; a zero bound is none.
type stretch struct{ from, to time.Time }

func (s stretch) holds(t time.Time) bool {
	return (s.from.IsZero() || !t.Before(s.from)) && (s.to.IsZero() || t.Before(s.to))
}

func (s stretch) bounded() bool { return !s.from.IsZero() || !s.to.IsZero() }

// side is one of the periods that are compared, or the only one.
type side struct {
	name  string
	files []string // its own; nil: it is a part of the common files
	stretch
}

// periods are what the flags and arguments ask for.
type periods struct {
	files []string // that all sides are in; nil: each has its own
	sides []side
}

// spreadLists lets --before, --after and --error-log take all values up to the next flag, as a shell's globs give
// them: pflag takes one.
func spreadLists(args []string) []string {
	command := slices.Index(args, "analyze")
	if command < 0 {
		return args
	}
	spread := slices.Clone(args[:command+1])
	flag := ""
	for i, arg := range args[command+1:] {
		name, value, hasValue := strings.Cut(arg, "=")
		switch {
		case arg == "--":
			return append(spread, args[command+1+i:]...)
		case strings.HasPrefix(arg, "-") && arg != "-":
			if flag = ""; name == "--before" || name == "--after" || name == "--error-log" {
				flag = name
				if !hasValue {
					continue
				}
				arg = flag + "=" + value
			}
		case flag != "":
			arg = flag + "=" + arg
		}
		spread = append(spread, arg)
	}
	return spread
}

const stdin = "-"

var errNoLog = errors.New("no log is named")

// toPeriods makes sense of the arguments and the values of --before and --after: of times the files are common,
// of files each side has its own.
func toPeriods(args, before, after []string) (periods, error) {
	b, err := toSide("before", before)
	if err != nil {
		return periods{}, err
	}
	a, err := toSide("after", after)
	if err != nil {
		return periods{}, err
	}
	common, err := expand(args)
	if err != nil {
		return periods{}, err
	}
	const usage = "graft analyze --before FILES… --after FILES…, or graft analyze --after TIME FILES…"
	if len(b.files) > 0 && len(a.files) > 0 {
		if len(common) > 0 {
			return periods{}, failf(CodeUsage, usage, "%s is of neither period", common[0])
		}
		if err := onceStdin(slices.Concat(b.files, a.files)); err != nil {
			return periods{}, err
		}
		return periods{sides: []side{b, a}}, nil
	}
	common = slices.Concat(common, b.files, a.files)
	if err := onceStdin(common); err != nil {
		return periods{}, err
	}
	switch {
	case len(common) == 0:
		return periods{}, failf(CodeUsage, "graft analyze FILE…, - is stdin", "%w", errNoLog)
	case !b.bounded() && !a.bounded() && len(before)+len(after) > 0:
		return periods{}, failf(CodeUsage, usage, "only one of the periods has files, and the other no time")
	case !b.bounded() && !a.bounded():
		return periods{common, []side{{name: "all"}}}, nil
	}
	b.files, a.files = nil, nil
	// The point that --before names is its end, the one that --after names its beginning; either alone parts both.
	if !a.bounded() {
		a.from = b.to
	}
	if !b.bounded() {
		b.to = a.from
	}
	if b.to.IsZero() || a.from.IsZero() || a.from.Before(b.to) {
		return periods{}, failf(CodeUsage, usage, "the periods overlap: before must end where after begins, or earlier")
	}
	return periods{common, []side{b, a}}, nil
}

// onceStdin refuses to read stdin twice.
func onceStdin(files []string) error {
	if i := slices.Index(files, stdin); i >= 0 && slices.Contains(files[i+1:], stdin) {
		return failf(CodeUsage, "", "- (stdin) is named twice")
	}
	return nil
}

// toSide reads the values of --before or --after: files, and a time or a range of times.
func toSide(name string, values []string) (side, error) {
	s := side{name: name}
	for _, v := range values {
		range_, isTime, err := toStretch(v, name == "before")
		if err != nil {
			return s, failf(CodeUsage, "", "--%s %s: %w", name, v, err)
		}
		if _, err := os.Stat(v); err != nil && isTime {
			if s.bounded() {
				return s, failf(CodeUsage, "a range is written FROM..TO", "--%s has two times", name)
			}
			s.stretch = range_
			continue
		}
		files, err := expand([]string{v})
		if err != nil {
			return s, err
		}
		s.files = append(s.files, files...)
	}
	return s, nil
}

// toStretch reads "TIME" or "FROM..TO"; isTime is false for what is neither. A single time is a period's end if end
// is true, else its beginning.
func toStretch(text string, end bool) (s stretch, isTime bool, err error) {
	first, last, isRange := strings.Cut(text, "..")
	from, ok := toTime(first)
	if !ok {
		return s, false, nil
	}
	if !isRange {
		if end {
			return stretch{to: from}, true, nil
		}
		return stretch{from: from}, true, nil
	}
	to, ok := toTime(last)
	if !ok {
		return s, false, nil
	}
	if !from.Before(to) {
		return s, true, fmt.Errorf("it ends before it begins")
	}
	return stretch{from, to}, true, nil
}

// toTime reads a time in the forms that people and logs have it, in this host's zone where it names none.
func toTime(text string) (time.Time, bool) {
	if seconds, ok := strings.CutPrefix(text, "@"); ok {
		n, err := strconv.ParseInt(seconds, 10, 64)
		return time.Unix(n, 0), err == nil
	}
	for _, layout := range []string{
		time.RFC3339, "2006-01-02T15:04:05", "2006-01-02T15:04", time.DateTime, "2006-01-02 15:04", time.DateOnly,
		"02/Jan/2006:15:04:05 -0700", "02/Jan/2006:15:04:05", "2006/01/02 15:04:05",
	} {
		if t, err := time.ParseInLocation(layout, text, time.Local); err == nil {
			return t, true
		}
	}
	return time.Time{}, false
}

// expand resolves globs that no shell has, and tells of files that are not there before anything is read.
func expand(names []string) ([]string, error) {
	var files []string
	for _, name := range names {
		if name == stdin {
			files = append(files, name)
			continue
		}
		st, err := os.Stat(name)
		if err == nil && st.IsDir() {
			return nil, failf(CodeUsage, "name its files: "+filepath.Join(name, "access.log*"), "%s is a directory", name)
		}
		if err == nil {
			files = append(files, name)
			continue
		}
		found, globErr := filepath.Glob(name)
		if globErr != nil || len(found) == 0 {
			hint := ""
			if strings.ContainsAny(name, ":/-") && !strings.ContainsAny(name, "*?[") {
				hint = "a time is written like 2026-11-25T01:30:00, 2026-11-25 or FROM..TO"
			}
			return nil, &Error{CodeUsage, err, hint}
		}
		files = append(files, found...)
	}
	return files, nil
}
