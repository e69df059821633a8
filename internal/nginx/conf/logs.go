package conf

import "strings"

// LogKind is where a log goes.
type LogKind string

// The destinations nginx knows.
const (
	LogFile     LogKind = "file"
	LogVariable LogKind = "variable" // a file whose name has variables: one per value
	LogSyslog   LogKind = "syslog"
	LogMemory   LogKind = "memory"
	LogStderr   LogKind = "stderr"
	LogOff      LogKind = "off" // access_log off: nothing is logged there
)

// Log is one error_log or access_log directive.
type Log struct {
	Directive *Directive
	Kind      LogKind
	Path      string // as written: the file, or "syslog:…", "memory:…", "stderr", "off"; relative to the prefix
	Format    string // access_log: the log_format's name, "combined" if none is given
	Level     string // error_log: the lowest level, "error" if none is given
}

// ErrorLogs lists the error_log directives of all contexts.
func (c *Config) ErrorLogs() []Log {
	var logs []Log
	for _, d := range c.Find("error_log") {
		log := Log{Directive: d, Kind: logKind(d.Arg(0)), Path: d.Arg(0), Level: d.Arg(1)}
		if log.Level == "" {
			log.Level = "error"
		}
		switch log.Kind {
		case LogVariable, LogOff: // error_log knows neither: `error_log off` writes a file called off
			log.Kind = LogFile
		}
		logs = append(logs, log)
	}
	return logs
}

// AccessLogs lists the access_log directives of all contexts. Where none is in effect, nginx writes
// its compiled-in access log.
func (c *Config) AccessLogs() []Log {
	var logs []Log
	for _, d := range c.Find("access_log") {
		log := Log{Directive: d, Kind: logKind(d.Arg(0)), Path: d.Arg(0), Format: d.Arg(1)}
		switch log.Kind {
		case LogStderr, LogMemory: // access_log knows neither: they are file names
			log.Kind = LogFile
		}
		if log.Format == "" && log.Kind != LogOff {
			log.Format = "combined"
		}
		logs = append(logs, log)
	}
	return logs
}

func logKind(path string) LogKind {
	switch {
	case path == "off":
		return LogOff
	case path == "stderr":
		return LogStderr
	case strings.HasPrefix(path, "syslog:"):
		return LogSyslog
	case strings.HasPrefix(path, "memory:"):
		return LogMemory
	case strings.Contains(path, "$"):
		return LogVariable
	}
	return LogFile
}

// LogFormat is one log_format directive.
type LogFormat struct {
	Directive *Directive
	Name      string // compared without regard to case
	Escape    string // "default", "json" or "none"
	Format    string // the strings, joined as nginx joins them: with nothing between
}

// LogFormats lists the log_format directives, of http and of stream.
func (c *Config) LogFormats() []LogFormat {
	var formats []LogFormat
	for _, d := range c.Find("log_format") {
		if len(d.Args) < 2 {
			continue
		}
		f := LogFormat{Directive: d, Name: d.Args[0], Escape: "default"}
		parts := d.Args[1:]
		if escape, ok := strings.CutPrefix(parts[0], "escape="); ok {
			f.Escape = escape
			parts = parts[1:]
		}
		f.Format = strings.Join(parts, "")
		formats = append(formats, f)
	}
	return formats
}
