package cli

import (
	"fmt"
	"os"
	"time"
)

// progress tells on a terminal how far something has come; nil where nobody looks.
func (a *app) progress(what string) func(done, total int64) {
	file, ok := a.Err.(*os.File)
	if a.quiet || !ok || !isTerminal(file) {
		return nil
	}
	const often = 200 * time.Millisecond
	last := time.Now()
	return func(done, total int64) {
		if total == 0 || time.Since(last) < often {
			return
		}
		last = time.Now()
		fmt.Fprintf(a.Err, "\r\x1b[K%s: %d %% of %.3g GB", what, 100*done/total, float64(total)/1e9)
		a.progressing = true
	}
}

// progressDone takes the line away.
func (a *app) progressDone() {
	if a.progressing {
		fmt.Fprint(a.Err, "\r\x1b[K")
		a.progressing = false
	}
}
