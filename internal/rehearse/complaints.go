package rehearse

import (
	"slices"
	"time"

	"graft/internal/accesslog"
)

const maxComplaints = 5

// complaints are the worst lines of the clone's error logs since then, the last ones: they go with the
// clone. Those of requests, which may hold what clients sent, are not as bad.
func (c clone) complaints(since time.Time) []string {
	var said []string
	for _, name := range c.Logs {
		for _, log := range filesOf(name) {
			_ = accesslog.TailLines(log, 64<<10, func(line []byte) { // a pipe tells nothing
				l, ok := accesslog.ParseErrorLine(line)
				bad := l.Level == accesslog.Emerg || l.Level == accesslog.Alert
				if ok && bad && !l.Time.Before(since.Truncate(time.Second)) && !slices.Contains(said, l.Message) {
					said = append(said, l.Message)
				}
			})
		}
	}
	return said[max(0, len(said)-maxComplaints):]
}
