package gate

import (
	"fmt"

	"graft/internal/probe"
)

// Differs holds how the targets answer now against how they did, as the gate's probes are compared: status,
// headers and body. Those that did not answer before prove nothing and are not asked after.
func (b Baseline) Differs(targets []Target, now Baseline) (asked int, differ []string) {
	for _, t := range targets {
		was, known := b[t.Key()]
		if !known || was.Fate != probe.OK {
			continue
		}
		asked++
		is := now[t.Key()]
		if is.Fate != probe.OK {
			differ = append(differ, fmt.Sprintf("%s: no answer (%s)", t.Key(), is.Fate))
		} else if what, _ := newFormer(t, was).differs(is.Answer); what != "" {
			differ = append(differ, t.Key()+": "+what)
		}
	}
	return asked, differ
}
