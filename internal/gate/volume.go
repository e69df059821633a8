package gate

import (
	"time"

	"graft/internal/analysis"
)

const (
	daySeconds  = 24 * 60 * 60
	keptMinutes = 15
)

// volume counts requests minute by minute, against the same minutes of the two days before.
type volume struct {
	past        *series
	from, until int64 // Unix time of what is known
	minutes     map[int64]int64
	began       int64 // the first whole minute
}

func (v *volume) learn(h *History) {
	v.past = h.Series[0]
	if first, _, ok := v.past.span(); ok {
		v.from, v.until = first*blockSeconds, h.Until.Unix()
	}
}

func (v *volume) add(at time.Time, s *slot) {
	minute := at.Unix() / 60
	if v.minutes == nil {
		v.minutes, v.began = make(map[int64]int64), minute+1
	}
	for _, cells := range s.Cells {
		if cells != nil {
			v.minutes[minute] += int64(cells[0].Requests)
		}
	}
	for m := range v.minutes {
		if m < minute-keptMinutes {
			delete(v.minutes, m)
		}
	}
}

// last are the last whole minutes, the newest at the end.
func (v *volume) last(now time.Time) []analysis.VolumeMinute {
	var list []analysis.VolumeMinute
	if v.began == 0 {
		return nil
	}
	end := (now.Unix() - longestLag) / 60
	for m := max(v.began, end-keptMinutes); m < end; m++ {
		list = append(list, analysis.VolumeMinute{
			At: time.Unix(m*60, 0), Now: v.minutes[m], Yesterday: v.on(m*60 - daySeconds), DayBefore: v.on(m*60 - 2*daySeconds),
		})
	}
	return list
}

// on is how many requests there were in the minute that begins then; -1 if that is not known.
func (v *volume) on(begin int64) int64 {
	if v.past == nil || begin < v.from || begin+60 > v.until {
		return -1
	}
	n := int64(0)
	for at := begin; at < begin+60; at += blockSeconds {
		if c := v.past.block(at / blockSeconds); c != nil {
			n += int64(c.Requests)
		}
	}
	return n
}
