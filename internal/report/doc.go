// Package report compares the traffic of two periods, or describes that of one, and tells it: as text for a
// terminal, as JSON, as one HTML page that needs nothing else.
//
// [New] makes a [Report] from what was counted; it reads nothing itself. Text, JSON and HTML are made from it.
package report
