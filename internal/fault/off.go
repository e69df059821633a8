//go:build !faults

// Package fault names the points of a migration at which a test kills graft, to show that what comes
// after recovers. Without the build tag "faults" a point does nothing.
package fault

// Point is reached.
func Point(string) {}
