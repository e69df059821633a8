package gate

import (
	"os"

	"graft/internal/nginx"
)

// Blind is what a gate will not see of an instance, because of where its logs go.
type Blind struct {
	Unobserved []string `json:"unobserved,omitempty"` // logs that cannot be followed, and why
	Means      []string `json:"means,omitempty"`      // what follows from it, where all of a kind are missing
}

// BlindTo foretells it. Nil: all logs can be followed, or the configuration cannot be read.
func BlindTo(i nginx.Instance) *Blind {
	if i.Config == nil {
		return nil
	}
	logs := InstanceLogs(i, "/")
	b := Blind{Unobserved: logs.Unobserved}
	follows := func(path string) bool {
		info, err := os.Stat(path)
		if err != nil || info.Mode().IsRegular() {
			return true // one that is not there yet will be a file
		}
		b.Unobserved = append(b.Unobserved, path+" is no regular file")
		return false
	}
	access, errors := false, false
	for _, log := range logs.Access {
		access = follows(log.Path) || access
	}
	for _, path := range logs.Error {
		errors = follows(path) || errors
	}
	if !errors {
		b.Means = append(b.Means, "No error log can be followed, so that a crash would go unseen and no gate can pass: log errors to a file too, or say undetermined: proceed in the policy.")
	}
	if !access {
		b.Means = append(b.Means, "No access log can be followed: the probes alone speak for the answers.")
	}
	if len(b.Unobserved) == 0 && len(b.Means) == 0 {
		return nil
	}
	return &b
}
