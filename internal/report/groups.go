package report

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"graft/internal/traffic"
)

// What makes a group's change worth a remark. Too small a number of requests says nothing.
const (
	fewRequests = 50
	fewErrors   = 5
	moreErrors  = 2.0  // times the share before
	slower      = 1.25 // times the p95 before
)

// groups are those with a remark first, the ones with the most unexpected errors at the top; then the busiest.
func groups(before, after *traffic.Groups, compare bool) []Group {
	var list []Group
	excess := make(map[string]float64)
	add := func(name string) {
		b, a := groupSums(before.Of(name)), groupSums(after.Of(name))
		g := Group{Name: name, Before: b, After: a}
		if compare {
			g.Changed = changed(b, a)
			excess[name] = float64(a.Errors5xx) - b.Share*float64(a.Requests)
		}
		list = append(list, g)
	}
	for _, name := range after.Names() {
		add(name)
	}
	for _, name := range before.Names() {
		if after.Of(name).Requests == 0 {
			add(name)
		}
	}
	slices.SortStableFunc(list, func(a, b Group) int {
		if (a.Changed == "") != (b.Changed == "") {
			return cmp.Compare(len(b.Changed), len(a.Changed)) // an empty remark is the shorter one
		}
		if a.Changed != "" {
			return cmp.Compare(excess[b.Name], excess[a.Name])
		}
		return cmp.Compare(b.After.Requests+b.Before.Requests, a.After.Requests+a.Before.Requests)
	})
	list = list[:min(len(list), mostGroups)]
	restBefore, _ := before.Rest()
	restAfter, _ := after.Rest()
	if restBefore.Requests+restAfter.Requests > 0 {
		list = append(list, Group{Name: restName, Before: groupSums(restBefore), After: groupSums(restAfter)})
	}
	return list
}

// restName stands for the groups that there was no room for.
const restName = "(names too rare to be kept)"

func groupSums(g *traffic.Group) GroupSums {
	s := GroupSums{Requests: g.Requests, Errors5xx: g.Classes[5], Share: share(g.Classes[5], g.Requests)}
	if t := g.Time(); t.Count() > 0 {
		s.P95, s.times = t.Quantile(0.95), t.Count()
	}
	return s
}

// changed is the remark on a group, "" for none.
func changed(b, a GroupSums) string {
	switch {
	case b.Requests >= fewRequests && a.Requests == 0:
		return "no requests any more"
	case b.Requests == 0 && a.Requests >= fewRequests && a.Errors5xx >= fewErrors:
		return fmt.Sprintf("not there before, and %s 5xx", percent(a.Share))
	case b.Requests < fewRequests || a.Requests < fewRequests:
		return ""
	}
	expected := b.Share * float64(a.Requests)
	if over := float64(a.Errors5xx) - expected; a.Errors5xx >= fewErrors && a.Share >= moreErrors*b.Share && over > 3*math.Sqrt(expected+1) {
		return fmt.Sprintf("5xx %s → %s", percent(b.Share), percent(a.Share))
	}
	if b.times >= fewRequests && a.times >= fewRequests && b.P95 > 0 {
		switch ratio := a.P95 / b.P95; {
		case ratio >= slower && a.P95-b.P95 >= 5, ratio <= 1/slower && b.P95-a.P95 >= 5:
			return fmt.Sprintf("p95 %s → %s", millis(b.P95), millis(a.P95))
		}
	}
	return ""
}

// culprit is the group that most of the additional 5xx come from, though less than half of the requests are its:
// where to look first. Empty if there is none.
func culprit(what string, list []Group) string {
	var worst Group
	all, most, requests := 0.0, 0.0, int64(0)
	for _, g := range list {
		over := float64(g.After.Errors5xx) - g.Before.Share*float64(g.After.Requests)
		requests += g.After.Requests
		all += max(over, 0)
		if over > most {
			worst, most = g, over
		}
	}
	if most < fewErrors || most < all/2 || 2*worst.After.Requests > requests {
		return ""
	}
	return fmt.Sprintf("%.0f %% of the additional 5xx are of the %s %s: %s before, %s after",
		100*most/all, what, worst.Name, percent(worst.Before.Share), percent(worst.After.Share))
}
