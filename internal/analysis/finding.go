package analysis

import "time"

// Signal is one thing that a gate compares, in words that policies and reports use.
type Signal string

// The signals. Each but the last group is K bad of N.
const (
	Errors5xx      Signal = "5xx"
	Errors4xx      Signal = "4xx" // 499 apart
	ClientClosed   Signal = "499"
	UpstreamErrors Signal = "upstream-errors" // requests with a try that an upstream did not answer, or with 5xx
	SlowP95        Signal = "slow-p95"        // requests slower than the baseline's p95 of $request_time
	SlowP99        Signal = "slow-p99"
	UpstreamSlow   Signal = "upstream-slow" // slower than the baseline's p95 of $upstream_response_time
	ErrorLines     Signal = "error-lines"   // lines of one class of the error log, per request
	Probes         Signal = "probes"        // probes that were lost or answered otherwise than before

	Volume      Signal = "volume"       // requests, against the days before
	NewClass    Signal = "new-class"    // a class of severe error-log lines never seen before
	WorkerExits Signal = "worker-exits" // workers that ended by a signal
	Restarts    Signal = "restarts"     // workers that were started again
	AcceptQueue Signal = "accept-queue" // the kernel's ListenOverflows and ListenDrops
	Connections Signal = "connections"  // connections of a new worker against an old one
	Memory      Signal = "memory"       // growth of new workers against old ones
	Certificate Signal = "certificate"  // classes of the error log that tell of TLS certificates
	Lua         Signal = "lua"          // classes that tell of Lua code
)

// Count is K bad of N in one window.
type Count struct {
	Bad   int64 `json:"bad"`
	Total int64 `json:"total"`
}

// Share is the bad share, 0 to 1; 0 of none.
func (c Count) Share() float64 {
	if c.Total == 0 {
		return 0
	}
	return float64(c.Bad) / float64(c.Total)
}

// Test is how a finding came about.
type Test string

// The tests.
const (
	Concurrent Test = "concurrent" // C: new against old workers, which serve at the same time
	Sequential Test = "sequential" // A: against the same times of the days before
	Guard      Test = "guard"      // B: sudden breakage, in short windows
	Rule       Test = "rule"       // counted events
)

// State is how far a test has come. The zero value says that it had too little to go on.
type State string

// The states.
const (
	TooLittle State = ""
	Quiet     State = "quiet"   // enough was seen, and nothing speaks against the new binary
	Suspect   State = "suspect" // worse, but it may be chance
	Alarm     State = "alarm"   // worse, at the error rate that was asked for
)

// Finding is what one test says of one signal.
type Finding struct {
	Signal Signal `json:"signal"`
	// Scope is what of the signal it is about: a log, a server, a class of the error log, a probe.
	// Empty: all.
	Scope string    `json:"scope,omitempty"`
	Test  Test      `json:"test"`
	State State     `json:"state"`
	Since time.Time `json:"since,omitzero"` // when it came into this state

	Before Count `json:"before"` // or the old workers', of a concurrent test
	After  Count `json:"after"`
	// Evidence is the e-value: how much likelier what was seen is if the new binary is worse. An
	// alarm is 1/α, α being this signal's share of the allowed false alarms.
	Evidence float64 `json:"evidence,omitempty"`
	Needed   float64 `json:"needed,omitempty"` // 1/α
	// Power says what would go unseen, if that is much: "a rise below ×12 in this time".
	Power string `json:"power,omitempty"`
	Words string `json:"words"` // the evidence in words and numbers, for people
}
