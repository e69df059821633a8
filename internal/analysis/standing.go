package analysis

import (
	"math"
	"time"
)

// standing is a test's state over time, with hysteresis: it becomes Suspect where the evidence has come half of the
// way to an alarm (the root of what is needed), and leaves it, or an alarm, only where half of that is gone again.
type standing struct {
	State State     `json:"state"`
	Since time.Time `json:"since,omitzero"`
	Last  time.Time `json:"last,omitzero"` // when it was last looked at
	Best  float64   `json:"best"`          // the most evidence there was
}

func (s *standing) move(evidence, needed float64, at time.Time) {
	s.Last = at
	s.Best = math.Max(s.Best, evidence)
	next := s.State
	switch half := math.Sqrt(needed); {
	case evidence >= needed:
		next = Alarm
	case evidence >= half && s.State != Alarm:
		next = Suspect
	case evidence < math.Sqrt(half):
		next = TooLittle
	}
	if next != s.State {
		s.State, s.Since = next, at
	}
}

// told is the state that a finding tells: Quiet instead of TooLittle where enough was seen.
func (s *standing) told(enough bool) State {
	if s.State == TooLittle && enough {
		return Quiet
	}
	return s.State
}
