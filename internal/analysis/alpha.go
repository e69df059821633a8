package analysis

// weights say which signals get how much of the allowed false alarms: those that a user feels at once get more, so
// that they are found sooner.
var weights = map[Signal]float64{
	Errors5xx: 6, UpstreamErrors: 3, Probes: 3, SlowP95: 2, SlowP99: 1, UpstreamSlow: 1, ErrorLines: 2, ClientClosed: 1, Errors4xx: 1,
}

// SplitAlpha shares out the false alarms that are allowed in all, by importance. The shares add up to total; a signal
// that is named twice has one share.
func SplitAlpha(total float64, signals []Signal) map[Signal]float64 {
	split := make(map[Signal]float64, len(signals))
	sum := 0.0
	for _, s := range signals {
		if _, twice := split[s]; twice {
			continue
		}
		w, ok := weights[s]
		if !ok {
			w = 1
		}
		split[s] = w
		sum += w
	}
	for s := range split {
		split[s] *= total / sum
	}
	return split
}
