package accesslog

import "time"

// PollInterval is a good time between two Polls: a look at an idle log costs some microseconds, and
// nobody who decides by minutes misses a quarter of a second. Nothing is lost by a longer one, for
// rotated files are found.
const PollInterval = 250 * time.Millisecond
