package gate

import (
	"cmp"
	"fmt"
	"strings"

	"graft/internal/accesslog"
	"graft/internal/nginx"
	"graft/internal/nginx/conf"
)

// WithoutPID is a log_format that does not tell which worker has answered, so that requests of the old
// generation and the new cannot be told apart, and what it would have to be.
type WithoutPID struct {
	Format string   `json:"format"`
	At     string   `json:"at"`   // file:line of the log_format, or of the access_log that uses the built-in one
	Line   string   `json:"line"` // the log_format to write there
	Logs   []string `json:"logs"` // the access logs that are written in it
}

// String is the proposal for people.
func (p WithoutPID) String() string {
	return fmt.Sprintf("%s: %s (for %s)", p.At, p.Line, strings.Join(p.Logs, ", "))
}

// NeedsPID lists the log formats that are in use and lack $pid. The proposed ones have it at the end, where
// programs that read the logs expect nothing and most look for nothing.
func NeedsPID(i nginx.Instance) []WithoutPID {
	if i.Config == nil {
		return nil
	}
	var list []WithoutPID
	for _, log := range i.Config.AccessLogs() {
		if log.Kind != conf.LogFile {
			continue
		}
		format, err := compile(i.Config, log)
		if err != nil || format.Tells(accesslog.FieldPID) {
			continue
		}
		p := propose(i.Config, log)
		known := false
		for j := range list {
			if list[j].At == p.At {
				list[j].Logs, known = append(list[j].Logs, log.Path), true
			}
		}
		if !known {
			list = append(list, p)
		}
	}
	return list
}

func propose(c *conf.Config, log conf.Log) WithoutPID {
	for _, f := range c.LogFormats() {
		if strings.EqualFold(f.Name, log.Format) && f.Directive.Context() == log.Directive.Context() {
			return WithoutPID{Format: f.Name, At: f.Directive.Pos().String(), Line: logFormat(f.Name, f.Escape, f.Format), Logs: []string{log.Path}}
		}
	}
	// The built-in one cannot be changed, only another one be named.
	const combined = `$remote_addr - $remote_user [$time_local] "$request" $status $body_bytes_sent "$http_referer" "$http_user_agent"`
	name := cmp.Or(log.Format, "combined") + "_pid"
	return WithoutPID{
		Format: log.Format, At: log.Directive.Pos().String(), Logs: []string{log.Path},
		Line: logFormat(name, "default", combined) + fmt.Sprintf(" in http, and here: access_log %s %s;", log.Path, name),
	}
}

// logFormat is the directive with $pid.
func logFormat(name, escape, format string) string {
	if object := strings.TrimRight(format, " \t\r\n"); escape == "json" && strings.HasSuffix(object, "}") {
		format = strings.TrimRight(strings.TrimSuffix(object, "}"), " \t\r\n,") + `,"pid":"$pid"}`
	} else {
		format += " $pid"
	}
	quote := `'`
	if strings.Contains(format, quote) && !strings.Contains(format, `"`) {
		quote = `"`
	}
	format = strings.NewReplacer(`\`, `\\`, quote, `\`+quote).Replace(format)
	if escape == "default" {
		return fmt.Sprintf("log_format %s %s%s%[2]s;", name, quote, format)
	}
	return fmt.Sprintf("log_format %s escape=%s %s%s%[3]s;", name, escape, quote, format)
}
