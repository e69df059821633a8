package traffic

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"graft/internal/accesslog"
)

func TestGroupsOfPartsAddUp(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var whole, merged Groups
		parts := make([]Groups, 2)
		times := map[string]int{}
		for _, r := range rapid.SliceOfN(records, 0, 200).Draw(t, "records") {
			name := rapid.SampledFrom([]string{"a", "b", ""}).Draw(t, "name")
			whole.Add([]byte(name), &r)
			parts[rapid.IntRange(0, 1).Draw(t, "part")].Add([]byte(name), &r)
			if r.RequestTime >= 0 {
				times[name]++
			}
		}
		merged.Merge(&parts[0])
		merged.Merge(&parts[1])
		if diff := cmp.Diff(whole.Names(), merged.Names()); diff != "" {
			t.Fatal(diff)
		}
		for _, name := range whole.Names() {
			w, m := whole.Of(name), merged.Of(name)
			if w.Sums != m.Sums || w.Time().Count() != int64(times[name]) ||
				string(w.Time().AppendSparse(nil)) != string(m.Time().AppendSparse(nil)) {
				t.Fatalf("%q: %+v, merged %+v; %d times, %d merged, want %d",
					name, w.Sums, m.Sums, w.Time().Count(), m.Time().Count(), times[name])
			}
		}
	})
}

func TestNamesThatClientsInventDoNotFillMemory(t *testing.T) {
	var gs Groups
	for i := range 20 * groupRoom {
		gs.Add(fmt.Appendf(nil, "/%d", i), &accesslog.Record{Status: 404, RequestTime: 1, UpstreamTime: -1})
		gs.Add([]byte("/shop/"), &accesslog.Record{Status: 502, RequestTime: 7, UpstreamTime: -1})
	}
	rest, missed := gs.Rest()
	sum := rest.Sums
	for _, name := range gs.Names() {
		sum.Add(&gs.Of(name).Sums)
	}
	if len(gs.named) > groupRoom || sum.Requests != 40*groupRoom || sum.Classes[5] != 20*groupRoom {
		t.Errorf("%d groups, %+v in all", len(gs.named), sum)
	}
	if first := gs.Names()[0]; first != "/shop/" || gs.Of(first).Classes[5] != 20*groupRoom || missed > 20*groupRoom {
		t.Errorf("first %q: %+v, up to %d missed", first, gs.Of(first).Sums, missed)
	}
}

func TestTheFirstPartOfAPath(t *testing.T) {
	for path, want := range map[string]string{
		"/": "/", "/a": "/a", "/a/": "/a/", "/a/b/c": "/a/", "//a": "//", "*": "*", "": "", "http://x/y": "http://x/y",
	} {
		if got := string(FirstPart([]byte(path))); got != want {
			t.Errorf("%q: %q, want %q", path, got, want)
		}
	}
}
