package report

import (
	"time"

	"graft/internal/traffic"
)

var zero time.Time

// mostPoints is how many steps a plot has at most, or nearly.
const mostPoints = 360

// steps are lengths that people know, in seconds.
var steps = []int64{10, 30, 60, 2 * 60, 5 * 60, 10 * 60, 15 * 60, 30 * 60, 3600, 2 * 3600, 6 * 3600, 86400}

// step is the length of a plot's steps over so long a time.
func step(span time.Duration) int64 {
	for _, s := range steps {
		if int64(span.Seconds())/s <= mostPoints {
			return s
		}
	}
	return steps[len(steps)-1]
}

func timeline(s *traffic.Series, seconds int64) []Point {
	var points []Point
	s.Steps(seconds, func(at time.Time, t *traffic.Tally) {
		points = append(points, Point{
			At: at.Unix(), PerSecond: float64(t.Requests) / float64(seconds), Classes: t.Classes,
			P50: t.Time.Quantile(0.5), P95: t.Time.Quantile(0.95), P99: t.Time.Quantile(0.99),
		})
	})
	return points
}

func (p *Period) span() time.Duration { return p.To.Sub(p.From) }
