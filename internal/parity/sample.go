package parity

import (
	"context"
	"time"

	"graft/internal/nginx/conf"
)

// Source says where requests are taken from.
type Source struct {
	Config *conf.Config
	Prefix string // that relative paths of logs are resolved against
	Root   string // the file system the logs are read in; "" is "/"
	// DefaultLog is the compiled-in access log (-V's --http-log-path), used where no access_log is set.
	DefaultLog string
	// Unprivileged: nginx was not started by root; a server without listen then takes port 8000.
	Unprivileged bool
	Hostname     string // for server_name $hostname; this host's if empty

	Max      int           // requests kept; 2000 if 0
	MaxBytes int64         // read from the end of each log file; 4 MiB if 0
	Budget   time.Duration // for reading all logs; 2 s if 0
}

// Sampled is what the logs gave.
type Sampled struct {
	Requests []Request
	Logs     []LogRead
}

// LogRead tells what became of one log file.
type LogRead struct {
	Path    string `json:"path"`
	Lines   int    `json:"lines"`         // that were understood
	Odd     int    `json:"odd"`           // that the format cannot have written
	Other   int    `json:"other"`         // not GET or HEAD, or no request at all
	Unknown int    `json:"unknown"`       // for which no server of the configuration was found
	Cut     bool   `json:"cut"`           // more was there than the budget allowed
	Why     string `json:"why,omitempty"` // nothing was taken from it
}

// Sample takes requests out of the access logs that the configuration names, and the last rotated
// file of each: GET and HEAD, one for each (server, location, status) at least, the most frequent
// shapes of routes first.
func Sample(ctx context.Context, src Source) (Sampled, error) {
	return Sampled{}, nil
}
