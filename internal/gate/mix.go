package gate

import (
	"fmt"
	"math"
)

// mix tells whether both generations are sent like traffic. They need not be: reuseport listeners share out
// connections by workers, which may be of different number; accept_mutex favours whoever has it; and old
// workers keep the connections of clients that talk much.
type mix struct {
	Old []int64 `json:"old,omitempty"` // requests by scope
	New []int64 `json:"new,omitempty"`
}

const (
	mixLeast  = 200 // requests of each generation, before one speaks of it
	mixUnlike = 0.1 // the share of requests that would have to go elsewhere for both to be alike
)

func (m *mix) add(old, young []cell) {
	for i := range old {
		grow(&m.Old, len(old))[i] += int64(old[i].Requests)
	}
	for i := range young {
		grow(&m.New, len(young))[i] += int64(young[i].Requests)
	}
}

func grow(list *[]int64, to int) []int64 {
	if len(*list) < to {
		*list = append(*list, make([]int64, to-len(*list))...)
	}
	return *list
}

// words tell it, "" where too little was seen.
func (m *mix) words(s *scopes) string {
	if len(m.Old) == 0 || len(m.New) == 0 || m.Old[0] < mixLeast || m.New[0] < mixLeast {
		return ""
	}
	words := fmt.Sprintf("requests by old workers %d, by new ones %d at the same time", m.Old[0], m.New[0])
	strata := s.strata()
	if len(strata) == 0 {
		return words + "; whether these are alike cannot be told: the logs tell neither servers nor URIs apart"
	}
	unlike, most, where := 0.0, 0.0, 0
	for _, i := range strata {
		d := float64(m.New[i])/float64(m.New[0]) - float64(m.Old[i])/float64(m.Old[0])
		unlike += math.Abs(d) / 2
		if math.Abs(d) > most {
			most, where = math.Abs(d), i
		}
	}
	// By chance alone, shares differ by some of this.
	chance := math.Sqrt(float64(len(strata)) * (1/float64(m.Old[0]) + 1/float64(m.New[0])) / math.Pi)
	if unlike < mixUnlike+chance {
		return words + ", of like kinds"
	}
	return words + fmt.Sprintf("; these are of different kinds (%s is %.0f %% of the old ones', %.0f %% of the new ones'): they are compared kind by kind",
		s.List[where].Name, 100*float64(m.Old[where])/float64(m.Old[0]), 100*float64(m.New[where])/float64(m.New[0]))
}
