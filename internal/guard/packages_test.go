package guard

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

func TestLogLinesAreThoseOfThePackageSinceThePlan(t *testing.T) {
	made := time.Date(2026, 3, 1, 12, 0, 0, 0, time.Local)
	path := filepath.Join(t.TempDir(), "log")
	for _, tt := range []struct {
		name, text string
		about      []string
		want       []string
	}{
		{"dpkg", `2026-03-01 11:59:59 upgrade nginx:amd64 1 2
2026-03-01 12:00:00 upgrade nginx:amd64 2 3
2026-03-01 12:00:01 status unpacked nginx:amd64 3
2026-03-01 12:00:01 upgrade nginx-common:all 2 3
no time
2026-03-01 12:00:02 install nginx:amd64 <none> 4
`, []string{" install nginx:", " upgrade nginx:"}, []string{"2026-03-01 12:00:00 upgrade nginx:amd64 2 3", "2026-03-01 12:00:02 install nginx:amd64 <none> 4"}},
		{"dnf", `2026-03-01T11:00:00+0000 SUBDEBUG Upgrade: nginx-1.20.1-1.x86_64
2026-03-01T12:30:00+0000 SUBDEBUG Upgrade: nginx-1.20.1-2.x86_64
2026-03-01T12:30:00+0000 SUBDEBUG Upgrade: curl-7-1.x86_64
`, []string{": nginx-"}, []string{"2026-03-01T12:30:00+0000 SUBDEBUG Upgrade: nginx-1.20.1-2.x86_64"}},
		{"more than is told", `2026-03-01 12:00:01 upgrade nginx:amd64 1 2
2026-03-01 12:00:02 upgrade nginx:amd64 2 3
2026-03-01 12:00:03 upgrade nginx:amd64 3 4
2026-03-01 12:00:04 upgrade nginx:amd64 4 5
2026-03-01 12:00:05 upgrade nginx:amd64 5 6
`, []string{" upgrade nginx:"}, []string{
			"2026-03-01 12:00:02 upgrade nginx:amd64 2 3", "2026-03-01 12:00:03 upgrade nginx:amd64 3 4",
			"2026-03-01 12:00:04 upgrade nginx:amd64 4 5", "2026-03-01 12:00:05 upgrade nginx:amd64 5 6",
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if err := os.WriteFile(path, []byte(tt.text), 0o600); err != nil {
				t.Fatal(err)
			}
			if got := logLines(path, made, tt.about...); !slices.Equal(got, tt.want) {
				t.Errorf("%q, want %q", got, tt.want)
			}
		})
	}
	if got := logLines(path+".none", made, "x"); got != nil {
		t.Errorf("of no log: %q", got)
	}
}
