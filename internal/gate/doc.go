// Package gate watches an instance while its two generations, the old binary's processes and the
// new one's, are on the host, and collects the evidence that [analysis.Judge] decides on: every signal
// of the access logs under the tests of package analysis, for the whole of the traffic and for its parts, by
// generation where $pid tells it; classes of the error log; crashes and restarts; what the workers hold;
// the kernel's counters; and the fate of probes of its own. [ReadHistory] reads the days before.
//
// A gate only looks. While nothing happens it costs, four times a second, one read of /proc for each
// master and one stat for each log, and once a second a look at all workers: about a tenth of a
// millisecond each (BenchmarkLook). A line of an access log costs some 0.2 µs to count under all tests
// (BenchmarkLiveSecond) and as much to read (accesslog.BenchmarkParse), the findings half a millisecond
// once a second, the state a few milliseconds every ten seconds, a probe what a request costs. Learning from
// two busy days takes some 5 ms of CPU for each test, once.
package gate
