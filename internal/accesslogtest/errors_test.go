package accesslogtest

import (
	"bytes"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"graft/internal/accesslog"
	"graft/internal/nginxtest"
)

// errorClasses are those of the instance's error log, which has only entries of nginx's form.
func errorClasses(t *testing.T, inst *nginxtest.Instance) map[string]accesslog.Class {
	t.Helper()
	classes := map[string]accesslog.Class{}
	reader := accesslog.NewErrorReader(func(l accesslog.ErrorLine) {
		if l.PID == 0 || l.Time.IsZero() || l.Level == "" {
			t.Errorf("an entry without head: %+v", l)
		}
		c := accesslog.ClassOf(l)
		if c.Kind != accesslog.KindStart && c.Kind != accesslog.KindOther { // with what it was built, and the like
			classes[c.Template] = c
		}
	})
	for line := range bytes.Lines([]byte(inst.ErrorLogText(t))) {
		reader.Add(bytes.TrimSuffix(line, []byte{'\n'}), time.Now())
	}
	reader.Flush()
	return classes
}

func TestEveryNginxComplainsInTheSameClasses(t *testing.T) {
	var first []string
	for name, binary := range nginxes(t) {
		inst, c := hostileInstance(t, binary)
		c.sendAll()
		classes := slices.Sorted(maps.Keys(errorClasses(t, inst)))
		if first == nil {
			first = classes
		}
		if diff := cmp.Diff(first, classes); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
	for _, want := range []string{"connect() failed (111: Connection refused) while connecting to upstream", "client sent invalid request while reading client request line"} {
		if !slices.Contains(first, want) {
			t.Errorf("%q is not among %q", want, first)
		}
	}
}
