package cli

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"graft/internal/accesslog"
	"graft/internal/nginx/conf"
	"graft/internal/report"
)

// logFormat is a log_format by its name.
type logFormat struct {
	name   string
	text   string
	escape string
	*accesslog.Format
}

func (f logFormat) String() string {
	if f.escape != "" && f.escape != "default" {
		return "escape=" + f.escape + " " + f.text
	}
	return f.text
}

// combined is nginx's own, and the head of most others.
const combined = `$remote_addr - $remote_user [$time_local] "$request" $status $body_bytes_sent "$http_referer" "$http_user_agent"`

// wellKnown are formats that packages, manuals and much-used products come with.
var wellKnown = []logFormat{
	{name: "combined", text: combined},
	{name: "main", text: combined + ` "$http_x_forwarded_for"`},
	{name: "common", text: `$remote_addr - $remote_user [$time_local] "$request" $status $body_bytes_sent`},
	{name: "combined-times", text: combined + ` $request_time $upstream_response_time`},
	{name: "combined-time", text: combined + ` $request_time`},
	{name: "main-times", text: combined + ` "$http_x_forwarded_for" $request_time $upstream_response_time`},
	{name: "main-time", text: combined + ` "$http_x_forwarded_for" $request_time`},
	{name: "vhost-combined", text: `$host:$server_port ` + combined},
	{name: "host-combined", text: `$host ` + combined},
	{name: "main-ext", text: combined + ` "$http_x_forwarded_for" "$host" sn="$server_name" rt=$request_time ua="$upstream_addr" ` +
		`us="$upstream_status" ut="$upstream_response_time" ul="$upstream_response_length" cs=$upstream_cache_status`},
	{name: "upstream-times", text: combined + ` "$http_x_forwarded_for" rt=$request_time uct="$upstream_connect_time" ` +
		`uht="$upstream_header_time" urt="$upstream_response_time"`},
	{name: "ingress", text: combined + ` $request_length $request_time [$proxy_upstream_name] [$proxy_alternative_upstream_name] ` +
		`$upstream_addr $upstream_response_length $upstream_response_time $upstream_status $req_id`},
	// With $pid at the end, as a gate asks for it.
	{name: "combined-pid", text: combined + ` $pid`},
	{name: "main-pid", text: combined + ` "$http_x_forwarded_for" $pid`},
	{name: "combined-time-pid", text: combined + ` $request_time $pid`},
	{name: "combined-times-pid", text: combined + ` $request_time $upstream_response_time $pid`},
	{name: "main-time-pid", text: combined + ` "$http_x_forwarded_for" $request_time $pid`},
	{name: "main-times-pid", text: combined + ` "$http_x_forwarded_for" $request_time $upstream_response_time $pid`},
}

// formatFlags are where the formats come from.
type formatFlags struct {
	formats []string // --log-format
	conf    string   // --conf
}

// guessed tells whether no format is named.
func (ff formatFlags) guessed() bool { return len(ff.formats) == 0 && ff.conf == "" }

// compile makes a format ready.
func (f logFormat) compile() (logFormat, error) {
	compiled, err := accesslog.Compile(f.text, f.escape)
	f.Format = compiled
	return f, err
}

// formats are those that the flags name for these files; nil if they name none.
func (ff formatFlags) of(files []string) ([]logFormat, error) {
	var config *conf.Config
	if ff.conf != "" {
		path, err := filepath.Abs(ff.conf)
		if err != nil {
			return nil, err
		}
		if config, err = conf.Load(conf.Options{File: path}); err != nil {
			return nil, &Error{CodeUsage, fmt.Errorf("--conf: %w", err), ""}
		}
	}
	var named []logFormat
	for _, text := range ff.formats {
		f, err := find(text, config)
		if err != nil {
			return nil, err
		}
		named = append(named, f)
	}
	if len(named) == 0 && config != nil {
		named = ofAccessLogs(config, files)
	}
	for i, f := range named {
		compiled, err := f.compile()
		if err != nil {
			return nil, &Error{CodeUsage, fmt.Errorf("log_format %s: %w", f.name, err), ""}
		}
		named[i] = compiled
	}
	return named, nil
}

// find is a --log-format: the text of one, or the name of one of the configuration, or else of a well-known one.
func find(text string, config *conf.Config) (logFormat, error) {
	if strings.Contains(text, "$") {
		f := logFormat{name: "of --log-format", text: text}
		if rest, ok := strings.CutPrefix(text, "escape="); ok {
			f.escape, f.text, _ = strings.Cut(rest, " ")
		}
		return f, nil
	}
	if config != nil {
		if f, ok := inConfig(config, text); ok {
			return f, nil
		}
		var names []string
		for _, f := range config.LogFormats() {
			names = append(names, f.Name)
		}
		return logFormat{}, failf(CodeUsage, "it has: "+orNone(names), "--log-format %s: the configuration of --conf has no such log_format", text)
	}
	if i := slices.IndexFunc(wellKnown, func(f logFormat) bool { return f.name == text }); i >= 0 {
		return wellKnown[i], nil
	}
	return logFormat{}, failf(CodeUsage, "--conf FILE names the nginx configuration that has it; well-known ones are "+wellKnownNames(),
		"--log-format %s: no variable ($status …) is in it, so it is a name, and of none that is known", text)
}

func wellKnownNames() string {
	var names []string
	for _, f := range wellKnown {
		names = append(names, f.name)
	}
	return strings.Join(names, ", ")
}

// inConfig is the format of that name; of two, the one of http comes first in most files, and both are tried by
// nobody: names are unique within http.
func inConfig(config *conf.Config, name string) (logFormat, bool) {
	for _, f := range config.LogFormats() {
		if strings.EqualFold(f.Name, name) {
			return logFormat{name: f.Name, text: f.Format, escape: f.Escape}, true
		}
	}
	if strings.EqualFold(name, "combined") {
		return wellKnown[0], true
	}
	return logFormat{}, false
}

// ofAccessLogs are the formats of the access_log directives that write these files (or what they were before they
// were rotated); of all of them where none does.
func ofAccessLogs(config *conf.Config, files []string) []logFormat {
	var all, matching []logFormat
	add := func(list []logFormat, f logFormat) []logFormat {
		if slices.ContainsFunc(list, func(have logFormat) bool { return have.String() == f.String() }) {
			return list
		}
		return append(list, f)
	}
	for _, log := range config.AccessLogs() {
		f, ok := inConfig(config, log.Format)
		if !ok || log.Kind == conf.LogOff {
			continue
		}
		all = add(all, f)
		base := filepath.Base(log.Path)
		if slices.ContainsFunc(files, func(file string) bool { return strings.HasPrefix(filepath.Base(file), base) }) {
			matching = add(matching, f)
		}
	}
	if len(matching) > 0 {
		return matching
	}
	if len(all) == 0 {
		return []logFormat{wellKnown[0]} // nginx's own, where the configuration tells nothing
	}
	return all
}

// choose are the formats to read with, given the first lines of the files: those asked for, if they fit most of the
// lines. Without any asked for, the well-known one that fits.
func choose(asked []logFormat, lines [][]byte) ([]logFormat, error) {
	if len(asked) > 0 {
		if len(lines) > 0 && 2*fits(asked, lines) < len(lines) {
			return nil, misfit(asked, lines)
		}
		return asked, nil
	}
	best, most := logFormat{}, -1
	for _, f := range wellKnown {
		compiled, err := f.compile()
		if err != nil {
			return nil, err
		}
		if n := plausible(compiled, lines); n > most {
			best, most = compiled, n
		}
	}
	if 2*most < len(lines) {
		return nil, misfit(nil, lines)
	}
	return []logFormat{best}, nil
}

// A file that so many lines begin, of which none fits, is of another format; fewer may be noise.
const (
	foreignLines = 10
	foreignHint  = "leave it out; or --log-format may be given several times, once for each format"
)

// foreign is an error if a file is of none of the formats: its lines would be left out without a word.
func foreign(formats []logFormat, heads []head) error {
	for _, h := range heads {
		if len(h.lines) < foreignLines || fits(formats, h.lines) > 0 {
			continue
		}
		hint := foreignHint
		if known, ok := wellKnownOf(h.lines); ok {
			hint += ": --log-format " + known.name
		}
		return failf(CodeFailed, hint, "no line of %s fits %s: none of the first %d does, such as\n  %s",
			h.name, formatNames(formats), len(h.lines), report.Printable(string(h.lines[0]), 300))
	}
	return nil
}

// formatNames says which formats were tried.
func formatNames(formats []logFormat) string {
	var names []string
	for _, f := range formats {
		names = append(names, f.name)
	}
	if len(names) == 1 {
		return "the log_format " + names[0]
	}
	return "the log_formats " + strings.Join(names, ", ")
}

// wellKnownOf is the well-known format that fits most of the lines.
func wellKnownOf(lines [][]byte) (logFormat, bool) {
	for _, f := range wellKnown {
		if compiled, err := f.compile(); err == nil && 2*plausible(compiled, lines) > len(lines) {
			return compiled, true
		}
	}
	return logFormat{}, false
}

// fits counts the lines that one of the formats may have written.
func fits(formats []logFormat, lines [][]byte) int {
	n := 0
	var r accesslog.Record
	for _, line := range lines {
		if slices.ContainsFunc(formats, func(f logFormat) bool { return f.Parse(line, &r) }) {
			n++
		}
	}
	return n
}

// plausible counts the lines that a format may have written which nobody named: numbers where it has times must
// look like nginx's, for a bare integer in their place is something else, such as $pid.
func plausible(f logFormat, lines [][]byte) int {
	n := 0
	var r accesslog.Record
	for _, line := range lines {
		if f.Parse(line, &r) && timesHaveDots(f, line) {
			n++
		}
	}
	return n
}

// timesHaveDots tells whether the times of a line are as nginx writes them: 0.012 or -, or a list of these.
func timesHaveDots(f logFormat, line []byte) bool {
	variables, _ := f.Variables(line)
	for name, value := range variables {
		if name != "request_time" && !(strings.HasPrefix(name, "upstream_") && strings.HasSuffix(name, "_time")) {
			continue
		}
		for _, t := range strings.FieldsFunc(value, func(c rune) bool { return strings.ContainsRune(",: ", c) }) {
			if t != "-" && !strings.Contains(t, ".") {
				return false
			}
		}
	}
	return true
}

// misfit tells which lines fit none of the formats, and what would.
func misfit(asked []logFormat, lines [][]byte) error {
	var shown []string
	bad := 0
	for _, line := range lines {
		if fits(asked, [][]byte{line}) == 0 {
			if bad++; len(shown) < 3 {
				shown = append(shown, "  "+report.Printable(string(line), 300))
			}
		}
	}
	hint := "--log-format takes the log_format's text, or its name together with --conf FILE"
	if f, ok := wellKnownOf(lines); ok {
		hint = "they are of the format " + f.name + ": --log-format " + f.name
	}
	if lines[0][0] == '{' {
		hint += "\nthese lines are JSON: a log_format with escape=json, which is written --log-format 'escape=json {…}'"
	}
	what := "none of the well-known formats fits"
	if len(asked) > 0 {
		what = "the log_format " + asked[0].name + " does not fit"
		if len(asked) > 1 {
			what = fmt.Sprintf("none of the %d formats fits", len(asked))
		}
	}
	return failf(CodeFailed, hint, "%s %d of the first %d lines, such as\n%s", what, bad, len(lines), strings.Join(shown, "\n"))
}
