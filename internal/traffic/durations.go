package traffic

import (
	"bytes"

	"graft/internal/sketch"
)

// durations are the sketches of a series by stretches of so many windows. Where there are too many of them,
// stretches become longer: from 10 s to a minute, ten minutes, an hour, a day. How long they are depends on the
// windows alone, not on the order in which they came.
type durations struct {
	windows int64 // of a stretch; 0 is 1
	by      map[int64]*packed
	scratch []byte
}

// packed are sketches in their sparse form.
type packed struct{ time, upstream []byte }

// stretches are how many there are at most: more than two days of windows.
const stretches = 20_000

var longer = map[int64]int64{1: 6, 6: 60, 60: 360, 360: 8640}

func (d *durations) length() int64 { return max(d.windows, 1) }

// add adds sketches, which it may change, to the stretch of a window.
func (d *durations) add(at int64, time, upstream *sketch.Sketch) {
	if time.Count() == 0 && upstream.Count() == 0 {
		return
	}
	p := d.at(at / d.length())
	p.time, p.upstream = d.pack(p.time, time), d.pack(p.upstream, upstream)
	d.fit()
}

func (d *durations) at(number int64) *packed {
	if d.by == nil {
		d.by = make(map[int64]*packed)
	}
	p := d.by[number]
	if p == nil {
		p = new(packed)
		d.by[number] = p
	}
	return p
}

// fit makes stretches longer until there are few enough.
func (d *durations) fit() {
	for len(d.by) > stretches && longer[d.length()] > 0 {
		d.lengthen(longer[d.length()])
	}
}

func (d *durations) lengthen(windows int64) {
	was := *d
	*d = durations{windows: windows}
	for number, p := range was.by {
		d.addPacked(number*was.length()/windows, p)
	}
}

func (d *durations) addPacked(number int64, p *packed) {
	into := d.at(number)
	into.time, into.upstream = d.joined(into.time, p.time), d.joined(into.upstream, p.upstream)
}

func (d *durations) merge(o *durations) {
	if o.length() > d.length() {
		d.lengthen(o.length())
	}
	for number, p := range o.by {
		d.addPacked(number*o.length()/d.length(), p)
	}
	d.fit()
}

// addTo adds the sketches to those of a tally.
func (p *packed) addTo(t *Tally) {
	unpack(&t.Time, p.time)
	unpack(&t.Upstream, p.upstream)
}

// pack is the sparse form of a sparse form and a sketch together; it may change the sketch.
func (d *durations) pack(sparse []byte, more *sketch.Sketch) []byte {
	if more.Count() == 0 {
		return sparse
	}
	unpack(more, sparse)
	d.scratch = more.AppendSparse(d.scratch[:0])
	return bytes.Clone(d.scratch)
}

// joined is the sparse form of two together.
func (d *durations) joined(a, b []byte) []byte {
	switch {
	case len(a) == 0:
		return b
	case len(b) == 0:
		return a
	}
	var s sketch.Sketch
	unpack(&s, a)
	return d.pack(b, &s)
}

func unpack(into *sketch.Sketch, sparse []byte) {
	if err := into.MergeSparse(sparse); err != nil {
		panic(err) // it was made here, or checked when it was read
	}
}
