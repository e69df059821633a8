package main

import (
	"math"

	"graft/internal/analysis"
)

// rule is what others decide by, as plainly as it is found in the field: whether it fires at all in a watch.
type rule struct {
	name  string
	fires func(before analysis.Count, watch []analysis.Count) bool
}

func rules() []rule {
	return []rule{
		{"fixed: 1 % in a minute", func(_ analysis.Count, watch []analysis.Count) bool { return lasts(watch, 1, 0.01) }},
		{"2 × the baseline in a minute", func(before analysis.Count, watch []analysis.Count) bool { return lasts(watch, 1, 2*before.Share()) }},
		{"five minutes in a row above 1 %", func(_ analysis.Count, watch []analysis.Count) bool { return lasts(watch, 5, 0.01) }},
		{"z-test at 1 %, looked at each minute", peekedZ},
		{"Poisson e-process, margin 1.5", poissonProcess},
	}
}

// minutes calls back with each minute's count until it answers true.
func minutes(watch []analysis.Count, fires func(analysis.Count) bool) bool {
	for i := 0; i+perMinute <= len(watch); i += perMinute {
		var c analysis.Count
		for _, b := range watch[i : i+perMinute] {
			c.Bad += b.Bad
			c.Total += b.Total
		}
		if fires(c) {
			return true
		}
	}
	return false
}

// lasts: so many minutes in a row have more than a share.
func lasts(watch []analysis.Count, long int, share float64) bool {
	row := 0
	return minutes(watch, func(c analysis.Count) bool {
		if row++; c.Share() <= share {
			row = 0
		}
		return row >= long
	})
}

// peekedZ compares all since the swap with all before, each minute anew.
func peekedZ(before analysis.Count, watch []analysis.Count) bool {
	const critical = 2.326
	var c analysis.Count
	return minutes(watch, func(m analysis.Count) bool {
		c.Bad += m.Bad
		c.Total += m.Total
		p := float64(before.Bad+c.Bad) / float64(before.Total+c.Total)
		deviation := math.Sqrt(p * (1 - p) * (1/float64(before.Total) + 1/float64(c.Total)))
		return c.Share()-before.Share() > critical*deviation
	})
}

// poissonProcess bets like engine A, as if errors were Poisson.
func poissonProcess(before analysis.Count, watch []analysis.Count) bool {
	stakes := []float64{1.3, 2, 3.5, 7, 15, 40}
	wealth := make([]float64, len(stakes)) // logarithms
	for _, c := range watch {
		mu := 1.5 * before.Share() * float64(c.Total)
		sum := 0.0
		for i, g := range stakes {
			wealth[i] += float64(c.Bad)*math.Log(g) - mu*(g-1)
			sum += math.Exp(wealth[i])
		}
		if sum/float64(len(stakes)) >= 100 {
			return true
		}
	}
	return false
}
