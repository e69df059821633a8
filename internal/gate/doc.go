// Package gate watches an instance while its two generations, the old binary's processes and the
// new one's, are on the host, and collects the evidence that [analysis.Judge] decides on: the error
// log by generation, crashes, the access logs' share of 5xx, and the fate of probes of its own.
//
// A gate only looks. Its cost is its probes' and about four short reads of /proc a second for each
// process of the instance.
package gate
