package analysis

import "time"

// Requests counts answered requests of one period.
type Requests struct {
	Total     int64 `json:"total"`
	Errors5xx int64 `json:"errors_5xx"`
}

// Share is the share of 5xx, 0 to 1.
func (r Requests) Share() float64 {
	if r.Total == 0 {
		return 0
	}
	return float64(r.Errors5xx) / float64(r.Total)
}

// Lines counts error-log lines of one generation by what matters here.
type Lines struct {
	Emerg int64 `json:"emerg"`
	Alert int64 `json:"alert"`
	Crit  int64 `json:"crit"`
	Error int64 `json:"error"`
	Warn  int64 `json:"warn"`
}

// LogShare is one access log, before and after.
type LogShare struct {
	Log    string   `json:"log"`
	Before Requests `json:"before"`
	After  Requests `json:"after"`
}

// Evidence is what a gate has seen since it was entered.
type Evidence struct {
	Watched time.Duration `json:"watched"`
	Known   time.Duration `json:"known,omitempty"` // of the time before, from the logs: what tests compare with

	Before Requests `json:"before"` // the access logs' end before the migration
	After  Requests `json:"after"`  // the access logs since the gate was entered
	// Logs are the same, log by log. The shares are compared within each: summed up, they would
	// change when one site's traffic grows against another's.
	Logs []LogShare `json:"logs,omitempty"`
	// Recent is the end of After, five minutes at most: what breaks after a day shows there first.
	Recent Requests `json:"recent"`
	// Logged is false if no access log could be followed; then only probes speak of requests.
	Logged    bool  `json:"logged"`
	Malformed int64 `json:"malformed,omitempty"` // lines of the access logs that no format explains

	// ErrorLogged is false if no error log could be followed: then no crash and no alert was seen
	// because none could be.
	ErrorLogged bool  `json:"error_logged"`
	Old         Lines `json:"old_lines"` // the error log since the gate was entered, by the old generation's pids
	New         Lines `json:"new_lines"`
	Unknown     Lines `json:"unknown_lines"` // by pids of neither
	// Familiar counts the new generation's emerg, alert and crit lines, left out of New, that the
	// old one wrote in the same words.
	Familiar int64 `json:"familiar,omitempty"`

	OldCrashes []string `json:"old_crashes,omitempty"` // "worker process 12 exited on signal 11"; the first ones, and not among the lines
	NewCrashes []string `json:"new_crashes,omitempty"`
	Sample     []string `json:"sample,omitempty"` // the new generation's worst lines, a few

	Probes       int64    `json:"probes"`                  // answered
	ProbesLost   int64    `json:"probes_lost"`             // refused, reset, cut or timed out
	ProbesUnsent int64    `json:"probes_unsent,omitempty"` // graft itself could not send them
	Probes5xx    int64    `json:"probes_5xx"`              // of targets that did not answer so before
	RecentProbes Requests `json:"recent_probes"`           // answered in the last five minutes, and 5xx as in Probes5xx
	ProbeNotes   []string `json:"probe_notes,omitempty"`

	// Findings are what the tests and the rules say of each signal.
	Findings []Finding `json:"findings,omitempty"`

	// Attribution tells how requests and lines were told apart by generation, and whether both
	// generations were sent like traffic.
	Attribution []string `json:"attribution,omitempty"`

	// Unobserved lists what the gate could not look at, and why: logs that go to syslog, say.
	Unobserved []string `json:"unobserved,omitempty"`
}
