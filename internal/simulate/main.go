// Simulate measures how often the gates' tests raise a false alarm, and how long a real fault goes unseen, in worlds
// of drawn traffic. It prints its progress, and writes the tables into docs/gates.md.
package main

import (
	"flag"
	"fmt"
	"os"
	"time"
)

const alpha = 0.01 // of each monitor and each concurrent test

func main() {
	var s size
	flag.IntVar(&s.runs, "runs", 1000, "watches of 48 h per world")
	flag.IntVar(&s.delays, "delays", 400, "faults per world and rise")
	flag.IntVar(&s.short, "short", 250, "watches of 48 h per short baseline")
	flag.Uint64Var(&s.seeds[0], "seed", 1, "seed of one half of the runs")
	flag.Uint64Var(&s.seeds[1], "fresh", uint64(time.Now().Unix()), "seed of the other half; by default one never used before")
	flag.IntVar(&s.workers, "workers", 2, "how many to run at once")
	only := flag.String("only", "", "one of the tables; all if empty")
	flag.StringVar(&s.world, "world", "", "the only world of the first and the last table")
	into := flag.String("into", "docs/gates.md", "the document whose tables are replaced")
	flag.Parse()
	for _, p := range parts() {
		if *only != "" && *only != p.name {
			continue
		}
		if err := run(p, s, *into); err != nil {
			fmt.Fprintln(os.Stderr, "simulate:", err)
			os.Exit(1)
		}
	}
}

func run(p part, s size, into string) error {
	document, err := os.ReadFile(into)
	if err != nil {
		return fmt.Errorf("read the document: %w", err)
	}
	// Before the long work: is there a place for the table?
	if _, err := p.replaced(string(document), ""); err != nil {
		return fmt.Errorf("%s: %w", into, err)
	}
	table := p.table(s, os.Stderr)
	if document, err = os.ReadFile(into); err != nil { // it may have been edited meanwhile
		return fmt.Errorf("read the document again: %w", err)
	}
	text, err := p.replaced(string(document), table)
	if err != nil {
		return fmt.Errorf("%s: %w", into, err)
	}
	if err := os.WriteFile(into, []byte(text), 0o644); err != nil {
		return fmt.Errorf("write the tables: %w", err)
	}
	return nil
}
