package cli

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestListsGoUpToTheNextFlag(t *testing.T) {
	for _, c := range []struct{ args, want []string }{
		{[]string{"status", "--before", "a", "b"}, []string{"status", "--before", "a", "b"}},
		{[]string{"analyze", "a", "b"}, []string{"analyze", "a", "b"}},
		{
			[]string{"-o", "json", "analyze", "x", "--before", "a", "b", "--after=c", "d", "-q", "e"},
			[]string{"-o", "json", "analyze", "x", "--before=a", "--before=b", "--after=c", "--after=d", "-q", "e"},
		},
		{[]string{"analyze", "--before", "-", "a", "--", "b", "--after"}, []string{"analyze", "--before=-", "--before=a", "--", "b", "--after"}},
		{[]string{"analyze", "--error-log", "e1", "e2=x", "--html", "f"}, []string{"analyze", "--error-log=e1", "--error-log=e2=x", "--html", "f"}},
	} {
		if diff := cmp.Diff(c.want, spreadLists(c.args)); diff != "" {
			t.Errorf("%q (-want +got)\n%s", c.args, diff)
		}
	}
}

func TestPeriodsAreTimesOrFiles(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	for _, name := range []string{"a.log", "b.log", "2026-11-25"} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	noon := time.Date(2026, 11, 25, 12, 0, 0, 0, time.Local)
	one := noon.Add(time.Hour)
	list := func(s ...string) []string { return s }
	for _, c := range []struct {
		name                string
		args, before, after []string
		want                periods
	}{
		{"one period", list("*.log"), nil, nil, periods{list("a.log", "b.log"), []side{{name: "all"}}}},
		{"parted by the time of after", list("a.log"), nil, list("2026-11-25T12:00"),
			periods{list("a.log"), []side{{"before", nil, stretch{to: noon}}, {"after", nil, stretch{from: noon}}}}},
		{"parted by the time of before", nil, list("2026-11-25 12:00:00", "a.log"), nil,
			periods{list("a.log"), []side{{"before", nil, stretch{to: noon}}, {"after", nil, stretch{from: noon}}}}},
		{"with a gap", list("-"), list("25/Nov/2026:12:00:00"), list("2026-11-25T13:00..2026-11-25T14:00"),
			periods{list("-"), []side{{"before", nil, stretch{to: noon}}, {"after", nil, stretch{one, one.Add(time.Hour)}}}}},
		{"two sets of files", nil, list("a.log"), list("b.log", "-"),
			periods{nil, []side{{"before", list("a.log"), stretch{}}, {"after", list("b.log", "-"), stretch{}}}}},
		{"a file with the name of a time", nil, list("2026-11-25"), list("b.log"),
			periods{nil, []side{{"before", list("2026-11-25"), stretch{}}, {"after", list("b.log"), stretch{}}}}},
		{"two sets, cut", nil, list("a.log", "2026-11-25T12:00..2026-11-25T13:00"), list("b.log"),
			periods{nil, []side{{"before", list("a.log"), stretch{noon, one}}, {"after", list("b.log"), stretch{}}}}},
	} {
		got, err := toPeriods(c.args, c.before, c.after)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if diff := cmp.Diff(c.want, got, cmp.AllowUnexported(periods{}, side{}, stretch{}), cmp.Comparer(time.Time.Equal)); diff != "" {
			t.Errorf("%s (-want +got)\n%s", c.name, diff)
		}
	}
	for name, c := range map[string][3][]string{
		"nothing":                   {},
		"a missing file":            {list("c.log")},
		"a glob of nothing":         {list("c.*")},
		"a directory":               {list(".")},
		"only one has files":        {nil, list("a.log"), nil},
		"files of neither":          {list("a.log"), list("a.log"), list("b.log")},
		"two times":                 {list("a.log"), list("2026-11-24T00:00", "2026-11-25T12:00"), nil},
		"overlapping":               {list("a.log"), list("2026-11-25T12:00"), list("2026-11-24")},
		"ends before it begins":     {list("a.log"), list("2026-11-26..2026-11-24"), nil},
		"stdin for both":            {nil, list("-"), list("-")},
		"stdin twice":               {list("-", "-")},
		"what is neither":           {list("a.log"), list("yesterday"), nil},
		"a range open at its start": {list("a.log"), nil, list("..2026-11-24")},
	} {
		_, err := toPeriods(c[0], c[1], c[2])
		var own *Error
		if !errors.As(err, &own) || own.Code != CodeUsage || own.Error() == "" {
			t.Errorf("%s: %v, want a wrong usage", name, err)
		}
	}
}
