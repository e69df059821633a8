package analysis

import "fmt"

func (m *Monitor) Debug() string {
	return fmt.Sprintf("%.0f %.3f %.4f", m.level.Spread, m.level.Known, m.level.Hours)
}

func (m *Monitor) Curve(b Baseline) (c []float64) {
	for _, scale := range append(spreadScales, 720, 1440) {
		c = append(c, relativeVariance(b, &m.level, scale)*float64(scale)*10)
	}
	return c
}
