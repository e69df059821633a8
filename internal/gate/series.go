package gate

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"graft/internal/analysis"
)

// blockSeconds is how long a block of the time before is.
const blockSeconds = int64(analysis.Block / time.Second)

// perHour is how many blocks are kept together: hours without a request cost nothing.
const perHour = 3600 / blockSeconds

// series is one scope over time. The zero value is empty and ready.
type series struct {
	hours map[int64]*[perHour]cell // by Unix time / 3600
}

// add counts into the block of a Unix time.
func (s *series) add(block int64, c *cell) {
	if s.hours == nil {
		s.hours = make(map[int64]*[perHour]cell)
	}
	hour := s.hours[block/perHour]
	if hour == nil {
		hour = new([perHour]cell)
		s.hours[block/perHour] = hour
	}
	hour[block%perHour].merge(c)
}

func (s *series) block(block int64) *cell {
	if hour := s.hours[block/perHour]; hour != nil {
		return &hour[block%perHour]
	}
	return nil
}

// span is the first and the last block that has anything.
func (s *series) span() (first, last int64, ok bool) {
	for _, hour := range slices.Sorted(maps.Keys(s.hours)) {
		for i := range s.hours[hour] {
			if s.hours[hour][i].Requests == 0 {
				continue
			}
			last = hour*perHour + int64(i)
			if !ok {
				first, ok = last, true
			}
		}
	}
	return first, last, ok
}

// baseline is one signal of it, and whether there is anything to learn from.
func (s *series) baseline(signal int) (b analysis.Baseline, any bool) {
	first, last, ok := s.span()
	if !ok {
		return b, false
	}
	b.From = time.Unix(first*blockSeconds, 0)
	b.Blocks = make([]analysis.Count, last-first+1)
	for at := first; at <= last; at++ {
		if c := s.block(at); c != nil {
			b.Blocks[at-first] = c.count(signal)
			any = any || b.Blocks[at-first].Total > 0
		}
	}
	return b, any
}

// MarshalJSON writes the blocks that are not empty as varints: the distance from the one before, and
// the counts.
func (s *series) MarshalJSON() ([]byte, error) {
	data := []byte{} // of nil it would be null, which is no series any more
	at := int64(0)
	for _, hour := range slices.Sorted(maps.Keys(s.hours)) {
		for i := range s.hours[hour] {
			c := &s.hours[hour][i]
			if c.Requests == 0 {
				continue
			}
			block := hour*perHour + int64(i)
			data = binary.AppendUvarint(data, uint64(block-at))
			at = block
			for _, n := range c.numbers() {
				data = binary.AppendUvarint(data, uint64(*n))
			}
		}
	}
	return json.Marshal(data)
}

var errSeries = errors.New("not a series of counts")

// UnmarshalJSON reads what MarshalJSON wrote.
func (s *series) UnmarshalJSON(text []byte) error {
	var data []byte
	if err := json.Unmarshal(text, &data); err != nil {
		return fmt.Errorf("read the days before: %w", err)
	}
	next := func() (uint64, error) {
		n, k := binary.Uvarint(data)
		if k <= 0 {
			return 0, errSeries
		}
		data = data[k:]
		return n, nil
	}
	*s = series{}
	at := int64(0)
	for len(data) > 0 {
		step, err := next()
		if err != nil || step == 0 || step > 1<<40 {
			return fmt.Errorf("read the days before: %w", errSeries)
		}
		at += int64(step)
		var c cell
		for _, number := range c.numbers() {
			n, err := next()
			if err != nil || n > 1<<32-1 {
				return fmt.Errorf("read the days before: %w", errSeries)
			}
			*number = uint32(n)
		}
		s.add(at, &c)
	}
	return nil
}

// numbers are all counts of a cell, in the order in which they are kept.
func (c *cell) numbers() []*uint32 {
	list := []*uint32{&c.Requests, &c.Upstream, &c.Timed, &c.Waited}
	for i := range c.Bad {
		list = append(list, &c.Bad[i])
	}
	return list
}
