package analysis

import "math"

// wobble tells how much the noise of now exceeds the baseline's: by how ten minutes differ from the ten minutes before,
// relative to what both have. A lasting rise does not show in it but once; noise that has become rougher does. It is of
// the time before the block that is judged, so that a bet on that may rest on it.
type wobble struct {
	Usual  float64   `json:"usual"`  // mean of the baseline; 0 if that is too short to tell
	Error  float64   `json:"error"`  // standard deviation of a single difference there
	Now    float64   `json:"now"`    // mean of the last ones
	Last   windowSum `json:"last"`   // ten minutes
	Open   windowSum `json:"open"`   // the ten minutes that are not full yet …
	Blocks int       `json:"blocks"` // … and how many blocks of them have been
}

const (
	wobbleBlocks = 60 // ten minutes; longer where fewer bad ones are expected than wobbleLeast
	wobbleLeast  = 3.0
	wobbleMemory = 12 // differences: two hours
)

// newWobble learns from the baseline.
func newWobble(b Baseline, l *level) wobble {
	var w wobble
	var sum, square, n float64
	first := blockOf(b.From)
	for i, c := range b.Blocks {
		if c.Total <= 0 {
			continue
		}
		if d, ok := w.next(float64(c.Bad), float64(c.Total)*l.at(first+int64(i))); ok {
			sum, square, n = sum+d, square+d*d, n+1
		}
	}
	if n < wobbleMemory {
		return wobble{}
	}
	mean := sum / n
	deviation := math.Sqrt(math.Max(square/n-mean*mean, 0))
	usual := math.Max(mean, surely*deviation/math.Sqrt(n)) // below it noise does not show
	return wobble{Usual: usual, Error: deviation, Now: mean}
}

// next takes a block; ok if another ten minutes are full: then the squared difference is that from the ten before, beyond
// what counts differ by anyway.
func (w *wobble) next(bad, expected float64) (difference float64, ok bool) {
	w.Open.Bad += bad
	w.Open.Expected += expected
	w.Blocks++
	if w.Blocks < wobbleBlocks || w.Open.Expected < wobbleLeast {
		return 0, false
	}
	x, y := w.Last, w.Open
	w.Last, w.Open, w.Blocks = y, windowSum{}, 0
	if x.Expected == 0 {
		return 0, false
	}
	mean := (x.Bad + y.Bad + some) / (x.Expected + y.Expected + some)
	chance := mean * (1/x.Expected + 1/y.Expected)
	return (math.Pow(x.Bad/x.Expected-y.Bad/y.Expected, 2) - chance) / (mean * mean), true
}

// add takes a block of the watch with what the level has it expect.
func (w *wobble) add(bad, expected float64) {
	if d, ok := w.next(bad, expected); ok {
		w.Now += (d - w.Now) / wobbleMemory
	}
}

// times is how many times the baseline's variance there is now, less a standard error for what is chance; never less
// than 1: noise that is calmer for hours may be back the next.
func (w *wobble) times() float64 {
	if w.Usual <= 0 {
		return 1
	}
	return math.Max(1, (w.Now-w.Error/math.Sqrt(2*wobbleMemory-1))/w.Usual)
}
