package rehearse

import (
	"slices"
	"testing"
)

func TestActsAreToldInTheirOrder(t *testing.T) {
	var told []string
	g := &programme{tell: func(a Act) { told = append(told, a.Name) }}
	begin := Act{Name: startName, OK: true}
	g.act(playsOn, begin)
	g.act(playsOn, Act{Name: toTheEnd.name})
	g.act(playsBack, begin)
	g.act(playsBack, Act{Name: overlapAndBack.name})
	g.over(playsBack)
	g.act(playsOn, Act{Name: backFromEnd.name})
	g.over(playsOn)
	if want := []string{startName, overlapAndBack.name, toTheEnd.name, backFromEnd.name}; !slices.Equal(told, want) {
		t.Errorf("told %v, want %v", told, want)
	}
	told = nil
	g = &programme{tell: func(a Act) { told = append(told, a.Name) }}
	g.act(playsOn, begin)
	g.act(playsBack, Act{Name: startName}) // it failed: that is never held back
	if want := []string{startName, startName}; !slices.Equal(told, want) {
		t.Errorf("told %v, want %v", told, want)
	}
}
