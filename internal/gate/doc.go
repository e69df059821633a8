// Package gate watches an instance while its two generations, the old binary's processes and the
// new one's, are on the host, and collects the evidence that [analysis.Judge] decides on: the error
// log by generation, crashes, the access logs' share of 5xx, and the fate of probes of its own.
//
// A gate only looks. While nothing happens it costs, four times a second, one read of /proc for each
// master and one stat for each log: about a tenth of a millisecond (BenchmarkLook). A line of an
// access log costs some 0.3 µs (accesslog.BenchmarkParse), a probe what a request costs.
package gate
