// Simulate measures how often the gates' tests raise a false alarm, and how long a real fault goes unseen, in worlds
// of drawn traffic.
package main

import (
	"flag"
	"fmt"
	"strings"
	"time"
)

const alpha = 0.01

func main() {
	runs := flag.Int("runs", 100, "runs per world")
	seed := flag.Uint64("seed", 1, "seed")
	only := flag.String("only", "", "worlds")
	what := flag.String("what", "false,delay,c", "")
	flag.Parse()
	for _, p := range pairs() {
		if !strings.Contains(*what, "c") {
			break
		}
		n := 0
		for _, d := range many(2, *runs, *seed, func(r noise) time.Duration { return p.concurrent(r, watchBlocks, 1) }) {
			if d != unseen {
				n++
			}
		}
		fmt.Printf("%-18s C %d of %d\n", p.name, n, *runs)
		for _, fault := range []float64{2, 5, 10, 50} {
			d := many(2, *runs, *seed, func(r noise) time.Duration { return p.concurrent(r, delayBlocks, fault) })
			fmt.Printf("   ×%v: %v %v\n", fault, quantile(d, .5), quantile(d, .95))
		}
	}
	for _, w := range worlds() {
		if *only != "" && !strings.Contains(","+*only+",", ","+w.name+",") {
			continue
		}
		if strings.Contains(*what, "false") {
			begin := time.Now()
			var a, b, ab int
			rule := make([]int, 5)
			for _, o := range many(2, *runs, *seed, func(r noise) outcome { return watchWithout(w, r, baselineBlocks) }) {
				if o.a {
					a++
				}
				if o.b {
					b++
				}
				if o.a || o.b {
					ab++
				}
				for i, f := range o.rules {
					if f {
						rule[i]++
					}
				}
			}
			fmt.Printf("%-18s A %d B %d A+B %d of %d; rules %v  (%v)\n", w.name, a, b, ab, *runs, rule, time.Since(begin).Round(time.Millisecond))
		}
		if strings.Contains(*what, "delay") {
			for _, fault := range []float64{5, 10, 50} {
				d := many(2, *runs, *seed, func(r noise) time.Duration { return w.delay(r, fault) })
				fmt.Printf("   ×%v: %v %v\n", fault, quantile(d, .5), quantile(d, .95))
			}
		}
	}
}
