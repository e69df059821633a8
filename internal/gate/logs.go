package gate

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"graft/internal/accesslog"
	"graft/internal/analysis"
	"graft/internal/nginx"
	"graft/internal/nginx/conf"
)

// Logs are the log files of an instance that can be followed.
type Logs struct {
	Access []AccessLog
	Error  []string
	// Flush is the longest time in seconds that a buffered access log keeps lines back (flush=); a log with
	// buffer= and without flush= keeps them until its buffer is full, however long that takes.
	Flush int64
	// Unobserved lists the logs that cannot be followed, and why.
	Unobserved []string
}

// AccessLog is a file and the formats that lines are written to it in, usually one.
type AccessLog struct {
	Path    string
	Formats accesslog.Formats
}

// InstanceLogs finds an instance's logs. The paths are those the instance sees; root is where that
// view begins for graft: "/", or "/proc/PID/root" for another mount namespace.
func InstanceLogs(i nginx.Instance, root string) Logs {
	l := logFinder{instance: i, root: root}
	if i.Config != nil {
		l.access(i.Config)
		l.error(i.Config)
	}
	return l.Logs
}

// logFinder collects an instance's logs.
type logFinder struct {
	Logs
	instance nginx.Instance
	root     string
}

func (l *logFinder) access(c *conf.Config) {
	logs := c.AccessLogs()
	if len(logs) == 0 {
		for _, file := range l.instance.Logs.Access { // the compiled-in one
			l.addAccess(file, accesslog.Combined())
		}
	}
	for _, log := range logs {
		switch {
		case log.Kind == conf.LogOff:
			continue
		case log.Kind == conf.LogVariable:
			l.skip("access_log", log, "its name has variables")
			continue
		case log.Kind != conf.LogFile:
			l.skip("access_log", log, "it goes to "+string(log.Kind))
			continue
		case slices.ContainsFunc(log.Directive.Args, func(a string) bool { return a == "gzip" || strings.HasPrefix(a, "gzip=") }):
			l.skip("access_log", log, "it is written compressed")
			continue
		}
		format, err := compile(c, log)
		if err != nil {
			l.skip("access_log", log, err.Error())
			continue
		}
		l.addAccess(l.file(log.Path), format)
		l.Flush = max(l.Flush, flushTime(log.Directive.Args))
	}
}

// flushTime is the time of flush= in seconds, rounded up; of buffer= alone it is the longest that is waited.
func flushTime(args []string) int64 {
	flush := int64(0)
	for _, a := range args {
		if strings.HasPrefix(a, "buffer=") {
			flush = max(flush, longestLag)
		}
	}
	for _, a := range args {
		if value, ok := strings.CutPrefix(a, "flush="); ok {
			if _, err := strconv.Atoi(value); err == nil {
				value += "s"
			}
			d, err := time.ParseDuration(value) // nginx also knows days and longer: too long to wait for
			if err != nil {
				return longestLag
			}
			return int64((d + time.Second - 1) / time.Second)
		}
	}
	return flush
}

func (l *logFinder) addAccess(file string, format *accesslog.Format) {
	file = path.Join(l.root, file)
	for i := range l.Access {
		if l.Access[i].Path == file {
			l.Access[i].Formats = append(l.Access[i].Formats, format)
			return
		}
	}
	l.Access = append(l.Access, AccessLog{file, accesslog.Formats{format}})
}

func compile(c *conf.Config, log conf.Log) (*accesslog.Format, error) {
	for _, f := range c.LogFormats() {
		if strings.EqualFold(f.Name, log.Format) && f.Directive.Context() == log.Directive.Context() {
			return accesslog.Compile(f.Format, f.Escape)
		}
	}
	if log.Format == "combined" {
		return accesslog.Combined(), nil
	}
	return nil, fmt.Errorf("there is no log_format %q", log.Format)
}

func (l *logFinder) error(c *conf.Config) {
	logs := c.ErrorLogs()
	if len(logs) == 0 {
		for _, file := range l.instance.Logs.Error { // the compiled-in one
			l.addError(file)
		}
	}
	for _, log := range logs {
		switch {
		case log.Kind != conf.LogFile:
			l.skip("error_log", log, "it goes to "+string(log.Kind))
		case log.Level == "emerg":
			l.skip("error_log", log, "its level emerg hides crashes")
		default:
			l.addError(l.file(log.Path))
		}
	}
}

func (l *logFinder) addError(file string) {
	file = path.Join(l.root, file)
	if !slices.Contains(l.Error, file) {
		l.Error = append(l.Error, file)
	}
}

func (l *logFinder) file(p string) string {
	if path.IsAbs(p) {
		return p
	}
	return path.Join(l.instance.Paths.Prefix, p)
}

func (l *logFinder) skip(directive string, log conf.Log, why string) {
	note := fmt.Sprintf("%s %s (%s): %s", directive, log.Path, log.Directive.Pos(), why)
	if !slices.Contains(l.Unobserved, note) {
		l.Unobserved = append(l.Unobserved, note)
	}
}

// apart tells whether the requests of two generations can be told apart: a log has $pid. Without any log, nothing is
// known of it.
func (l Logs) apart() bool {
	tells := func(f *accesslog.Format) bool { return f.Tells(accesslog.FieldPID) }
	return len(l.Access) == 0 || slices.ContainsFunc(l.Access, func(a AccessLog) bool { return slices.ContainsFunc(a.Formats, tells) })
}

// rotatedSuffix is what logrotate gives to the newest rotated file, plain where it delays compression.
const rotatedSuffix = ".1"

// Before counts the requests in the last maxBytes bytes of each access log and of the file rotated
// last, by the log's path: what the instance did before it was touched. A log that cannot be
// observed has none.
func (l Logs) Before(maxBytes int64) (map[string]analysis.Requests, error) {
	before := make(map[string]analysis.Requests, len(l.Access))
	for _, log := range l.Access {
		for _, file := range []string{log.Path + rotatedSuffix, log.Path} {
			c, err := accesslog.Tail(file, log.Formats, maxBytes)
			if errors.Is(err, accesslog.ErrUnobservable) {
				continue
			}
			if err != nil {
				return nil, err
			}
			sum := before[log.Path]
			before[log.Path] = analysis.Requests{Total: sum.Total + c.Total, Errors5xx: sum.Errors5xx + c.Errors5xx}
		}
	}
	return before, nil
}
