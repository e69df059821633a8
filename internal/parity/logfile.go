package parity

import (
	"fmt"
	"strings"

	"graft/internal/accesslog"
	"graft/internal/nginx/conf"
	"graft/internal/nginx/route"
)

// logFile is one access log, and who writes what to it.
type logFile struct {
	path    string
	writers []*writer // one for each format
	unread  []string  // formats that cannot be read, and why
}

// writer is the servers that write one format.
type writer struct {
	name    string
	format  *accesslog.Format
	servers map[*conf.Directive]bool
}

func (l *logFile) parse(line []byte) (map[string]string, *writer) {
	for _, w := range l.writers {
		if values, ok := w.format.Variables(line); ok {
			return values, w
		}
	}
	return nil, nil
}

// logsOf lists the access logs of http, with the servers whose requests they hold.
func logsOf(src Source, sockets []*route.Socket) ([]*logFile, error) {
	formats := map[string]conf.LogFormat{}
	for _, f := range src.Config.LogFormats() {
		if f.Directive.Context() == "http" {
			formats[strings.ToLower(f.Name)] = f
		}
	}
	var logs []*logFile
	at := map[string]*logFile{}
	add := func(path, format string, servers []*conf.Directive) error {
		log := at[path]
		if log == nil {
			log = &logFile{path: path}
			at[path] = log
			logs = append(logs, log)
		}
		return log.add(format, formats, servers)
	}
	servers := serversOf(sockets)
	configured := src.Config.AccessLogs()
	for _, l := range configured {
		if l.Kind != conf.LogFile || l.Directive.Context() != "http" {
			continue
		}
		if err := add(src.path(l.Path), l.Format, writersOf(l.Directive, servers)); err != nil {
			return nil, err
		}
	}
	if src.DefaultLog != "" {
		var silent []*conf.Directive
		for _, server := range servers {
			if src.Config.Effective(server, "access_log") == nil {
				silent = append(silent, server)
			}
		}
		if len(silent) > 0 {
			if err := add(src.path(src.DefaultLog), "combined", silent); err != nil {
				return nil, err
			}
		}
	}
	return logs, nil
}

func (l *logFile) add(name string, formats map[string]conf.LogFormat, servers []*conf.Directive) error {
	name = strings.ToLower(name)
	for _, w := range l.writers {
		if w.name == name {
			for _, s := range servers {
				w.servers[s] = true
			}
			return nil
		}
	}
	format := accesslog.Combined()
	if f, ok := formats[name]; ok {
		var err error
		if format, err = accesslog.Compile(f.Format, f.Escape); err != nil {
			l.unread = append(l.unread, err.Error())
			return nil
		}
	} else if name != "combined" {
		return fmt.Errorf("read the access logs: %s has the format %q, which no log_format defines", l.path, name)
	}
	w := &writer{name: name, format: format, servers: map[*conf.Directive]bool{}}
	for _, s := range servers {
		w.servers[s] = true
	}
	l.writers = append(l.writers, w)
	return nil
}

// serversOf lists the server blocks that listen, each once.
func serversOf(sockets []*route.Socket) []*conf.Directive {
	var all []*conf.Directive
	seen := map[*conf.Directive]bool{}
	for _, socket := range sockets {
		for _, s := range socket.Servers {
			if !seen[s.Block] {
				seen[s.Block] = true
				all = append(all, s.Block)
			}
		}
	}
	return all
}

// writersOf are the servers in which an access_log directive is in effect, somewhere.
func writersOf(d *conf.Directive, servers []*conf.Directive) []*conf.Directive {
	server := d.Parent
	for server != nil && server.Name != "server" {
		server = server.Parent
	}
	if server != nil {
		return []*conf.Directive{server}
	}
	var all []*conf.Directive
	for _, s := range servers {
		own := false
		for _, x := range s.Block {
			own = own || x.Name == "access_log"
		}
		if !own {
			all = append(all, s)
		}
	}
	return all
}
