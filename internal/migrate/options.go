package migrate

import (
	"time"

	"graft/internal/policy"
)

// Options are what the operator chooses.
type Options struct {
	Until  Phase         `json:"until"` // Overlap, Parked or Finished
	Policy policy.Policy `json:"policy"`
	// Patience bounds how long a change may take to show: a new master's start (init_by_lua
	// included), workers that come or stop accepting.
	Patience time.Duration `json:"patience_ns"`
	// Grace is how much longer than its length a gate waits for evidence that is still missing; 0: a
	// tenth of it, 5 s at least.
	Grace time.Duration `json:"grace_ns,omitempty"`
	// NoPackageGuard: nothing keeps the package manager from the file.
	NoPackageGuard bool `json:"no_package_guard,omitempty"`
	// OnlyAddresses: nothing is probed beside the listening addresses.
	OnlyAddresses bool `json:"only_addresses,omitempty"`
	// Stay: where a gate holds, go on watching instead of ending the run. Nobody waits for it.
	Stay bool `json:"stay,omitempty"`
}

// Defaults are the options where nothing else is said.
func Defaults() Options {
	return Options{Until: Finished, Policy: policy.Defaults(), Patience: time.Minute}
}

// length is the gate's of a phase.
func (o Options) length(phase Phase) time.Duration {
	if phase == Parked {
		return time.Duration(o.Policy.Gates.Park)
	}
	return time.Duration(o.Policy.Gates.Overlap)
}

// grace is how much longer than its length a gate waits.
func (o Options) grace(length time.Duration) time.Duration {
	if o.Grace != 0 {
		return o.Grace
	}
	return max(length/10, 5*time.Second)
}
