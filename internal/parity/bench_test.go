package parity

import (
	"testing"
	"time"

	"graft/internal/nginxtest"
)

// BenchmarkCompared measures what a rehearsal spends on parity for at least 1,000 requests of a rich
// configuration: both binaries asked, one after the other, and compared. The goal is 5 s.
func BenchmarkCompared(b *testing.B) {
	s := richSite(b, 150)
	requests := s.requests()
	old, new := nginxtest.Release(b, "1.22.1").Path, nginxtest.Release(b, "1.26.3").Path
	for b.Loop() {
		begun := time.Now()
		report := Compare(requests, s.ask(old, s.dir, requests), s.ask(new, s.dir, requests), nil)
		b.ReportMetric(float64(len(requests))/time.Since(begun).Seconds(), "requests/s")
		b.ReportMetric(float64(report.Requests), "requests")
	}
}
