// Package traffic sums up what access logs tell: how many requests, how answered, how fast, in windows
// of time that add up exactly, whichever way the lines were split among readers.
package traffic
