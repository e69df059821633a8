package gate

import (
	"errors"

	"graft/internal/accesslog"
)

// Marks are places in error logs, to ask later what was written since. They can be kept as JSON.
type Marks struct {
	Logs map[string]accesslog.Position `json:"logs"`
	// Unobserved lists the paths that are no regular files: what is written there is not seen.
	Unobserved []string `json:"unobserved,omitempty"`
}

// Mark notes the present ends of error logs.
func Mark(paths []string) (Marks, error) {
	m := Marks{Logs: make(map[string]accesslog.Position)}
	for _, path := range paths {
		f, err := accesslog.Follow(path)
		if errors.Is(err, accesslog.ErrUnobservable) {
			m.Unobserved = append(m.Unobserved, path)
			continue
		}
		if err != nil {
			return Marks{}, err
		}
		m.Logs[path] = f.Position()
		f.Close()
	}
	return m, nil
}

// maxSince bounds what a log gone wild can make Since return.
const maxSince = 1000

// Since lists the emerg and alert lines written since the marks, by whichever process, at most the
// first 1,000. Rotation in between loses none unless it happened twice.
func (m Marks) Since() ([]accesslog.ErrorLine, error) {
	var found []accesslog.ErrorLine
	for path, from := range m.Logs {
		f, err := accesslog.FollowFrom(path, from)
		if err != nil {
			return nil, err
		}
		err = f.Poll(func(line []byte) {
			l, ok := accesslog.ParseErrorLine(line)
			if ok && (l.Level == accesslog.Emerg || l.Level == accesslog.Alert) && len(found) < maxSince {
				found = append(found, l)
			}
		})
		f.Close()
		if err != nil {
			return nil, err
		}
	}
	return found, nil
}
