// Package sketch counts durations in buckets whose width grows with them: how long requests took, in a
// few kilobytes whatever their number.
//
// A duration is off by less than 1/128 (0.8 %) of itself, and those below 128 ms are exact. Sketches of
// parts add up to the sketch of the whole, exactly and in any order: buckets are the same everywhere.
package sketch
