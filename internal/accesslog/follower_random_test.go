package accesslog

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"graft/internal/procfs"
)

// schedule is a log that nginx writes and something rotates, and a follower that crashes now and then
// and goes on from the position that was stored with its counts.
type schedule struct {
	t       *rapid.T
	dir     logDir
	renames bool     // rotation by rename, else by copytruncate
	files   []*inode // oldest first
	lines   int
	rotated int
	f       *Follower
	seen    map[string]int // what the caller has counted

	stored      Position
	storedSeen  map[string]int
	truncations int // of the one file of copytruncate
	// of the file of copytruncate: whether the follower, now and as stored, has read some of what it holds
	// now, and how often it had been truncated then.
	reading, storedReading bool
	storedTruncations      int

	// lost are lines that nobody could deliver, lostByCrash those that nobody could after a crash.
	lost, lostByCrash map[string]bool
}

// inode is a file that was at the path.
type inode struct {
	w         *os.File // nil: nobody writes to it
	id        procfs.FileID
	born      int64  // its inode number may be used again
	name      string // where it lies; "": deleted
	lines     []string
	truncated []string
}

var padding = strings.Repeat("x", 200)

func (s *schedule) newest() *inode { return s.files[len(s.files)-1] }

func (s *schedule) write(file *inode) {
	if file.w == nil {
		return
	}
	line := fmt.Sprintf("line %d %s", s.lines, padding[:s.lines*37%200])
	s.lines++
	file.lines = append(file.lines, line)
	s.dir.write(file.w, line+"\n")
	if file.name == "" {
		s.lostByCrash[line] = true
		s.lost[line] = !s.f.has(file.id)
	}
}

func (s *schedule) poll() {
	if err := s.f.Poll(func(line []byte) { s.seen[string(line)]++ }); err != nil {
		s.t.Fatal(err)
	}
	s.reading = len(s.newest().lines) > 0
}

// store is what the caller does in one durable write.
func (s *schedule) store() {
	text, err := json.Marshal(s.f.Position())
	if err != nil {
		s.t.Fatal(err)
	}
	s.stored = Position{}
	if err := json.Unmarshal(text, &s.stored); err != nil {
		s.t.Fatal(err)
	}
	s.storedSeen, s.storedReading, s.storedTruncations = maps.Clone(s.seen), s.reading, s.truncations
	clear(s.lostByCrash)
}

// crash forgets all that was not stored.
func (s *schedule) crash() {
	s.f.Close()
	f, err := FollowFrom(s.dir.path, s.stored)
	if err != nil {
		s.t.Fatal(err)
	}
	s.f, s.seen = f, maps.Clone(s.storedSeen)
	s.reading = s.storedReading && s.storedTruncations == s.truncations
	for line := range s.lostByCrash {
		s.lost[line] = s.storedSeen[line] == 0
	}
}

// USR1 makes nginx open the path.
func (s *schedule) usr1() {
	if len(s.files) > 0 && s.newest().name == s.dir.path && s.newest().w != nil {
		return
	}
	s.dir.tick()
	w := s.dir.open()
	id, err := fileID(w)
	if err != nil {
		s.t.Fatal(err)
	}
	s.files = append(s.files, &inode{w: w, id: id, born: bornAt(w), name: s.dir.path})
	if n := len(s.files); n > 8 { // the follower keeps a bounded number
		s.end(s.files[n-8])
	}
}

func (s *schedule) end(file *inode) {
	if file.w != nil && file != s.newest() {
		file.w.Close()
		file.w = nil
	}
}

// giveUp tells that what of a file was not counted cannot be delivered any more by a follower that
// does not have it open.
func (s *schedule) giveUp(file *inode, foundLater bool) {
	for _, line := range file.lines {
		if !s.f.has(file.id) && s.seen[line] == 0 {
			s.lost[line] = true
		}
		if !foundLater && s.storedSeen[line] == 0 {
			s.lostByCrash[line] = true
		}
	}
}

func (s *schedule) rename() {
	if file := s.newest(); file.name == s.dir.path {
		s.rotated++
		file.name = fmt.Sprintf("%s.%d", s.dir.path, s.rotated)
		s.dir.rename(fmt.Sprintf(".%d", s.rotated))
	}
}

func (s *schedule) copytruncate() {
	file := s.newest()
	s.rotated++
	s.dir.copyTo(fmt.Sprintf(".%d", s.rotated))
	s.dir.truncate()
	for _, line := range file.lines {
		// Of what is the copy, if nothing of it has been read?
		if !s.reading {
			s.lost[line] = true
		}
		if (!s.storedReading || s.storedTruncations != s.truncations) && s.storedSeen[line] == 0 {
			s.lostByCrash[line] = true
		}
	}
	s.truncations++
	file.truncated, file.lines, s.reading = append(file.truncated, file.lines...), nil, false
}

// compress packs the oldest file that nobody writes to, or a copy.
func (s *schedule) compress() {
	if !s.renames {
		if name := fmt.Sprintf(".%d", s.rotated); s.rotated > 0 && exists(s.dir.path+name) {
			s.dir.compress(name)
		}
		return
	}
	for _, file := range s.files[:len(s.files)-1] {
		if file.w == nil && file.name != "" && !strings.HasSuffix(file.name, ".gz") {
			at := slices.IndexFunc(append(s.stored.Rotated, s.stored.FilePosition), func(p FilePosition) bool { return p.Born == file.born && p.Offset > 0 })
			s.giveUp(file, at >= 0)
			s.dir.compress(strings.TrimPrefix(file.name, s.dir.path))
			file.name += ".gz"
			return
		}
	}
}

func exists(name string) bool {
	_, err := os.Stat(name)
	return err == nil
}

func (s *schedule) remove() {
	file := s.newest()
	if file.name == "" {
		return
	}
	s.giveUp(file, false)
	if err := os.Remove(file.name); err != nil {
		s.t.Fatal(err)
	}
	file.name = ""
}

func (s *schedule) step(step string) {
	switch step {
	case "write":
		s.write(s.newest())
	case "an old worker writes":
		s.write(s.files[max(len(s.files)-2, 0)])
	case "an old worker ends":
		s.end(s.files[max(len(s.files)-3, 0)])
	case "poll":
		s.poll()
	case "poll, store":
		s.poll()
		s.store()
	case "crash":
		s.crash()
	case "rename":
		s.rename()
	case "USR1":
		s.usr1()
	case "rename, USR1":
		s.rename()
		s.usr1()
	case "delete, USR1":
		s.remove()
		s.usr1()
	case "copytruncate":
		s.copytruncate()
	case "compress":
		s.compress()
	case "a second passes":
		for _, file := range s.f.rotated {
			file.asked = file.asked.Add(-askWriters)
		}
	default:
		s.t.Fatalf("no step: %s", step)
	}
}

// TestAnyScheduleDeliversEachLineOnce: whatever rotation, old workers, and crashes do, each line comes
// once. What may be lost is what nobody could tell:
//   - by copytruncate, what was copied and truncated before its first line was read, and after a crash
//     all but the first copy since the position was stored;
//   - by a crash, what was deleted since, or compressed before its first line was read.
func TestAnyScheduleDeliversEachLineOnce(t *testing.T) {
	common := []string{"write", "write", "write", "poll", "poll", "poll, store", "crash", "compress"}
	for name, steps := range map[string][]string{
		"rename":       append([]string{"an old worker writes", "an old worker ends", "rename", "USR1", "rename, USR1", "rename, USR1", "delete, USR1", "a second passes"}, common...),
		"copytruncate": append([]string{"copytruncate", "write", "write", "poll", "poll, store", "poll, store"}, common...),
	} {
		t.Run(name, func(t *testing.T) {
			base := newLogDir(t).path
			delivered, lost, n := 0, 0, 0
			rapid.Check(t, func(rt *rapid.T) {
				n++
				s := newSchedule(t, rt, fmt.Sprint(base, n), name == "rename")
				defer s.close()
				for _, step := range rapid.SliceOfN(rapid.SampledFrom(steps), 10, 50).Draw(rt, "steps") {
					s.step(step)
				}
				s.poll()
				d, l := s.check()
				delivered, lost = delivered+d, lost+l
			})
			t.Logf("%d lines delivered, %d lost as the model says", delivered, lost)
			if lost > delivered {
				t.Errorf("the model allows %d of %d lines to be lost: it shows little", lost, lost+delivered)
			}
		})
	}
}

func newSchedule(t *testing.T, rt *rapid.T, dir string, renames bool) *schedule {
	if err := os.Mkdir(dir, 0o755); err != nil {
		rt.Fatal(err)
	}
	s := &schedule{
		t: rt, dir: logDir{t, dir + "/log"}, renames: renames,
		seen: map[string]int{}, lost: map[string]bool{}, lostByCrash: map[string]bool{},
	}
	f, err := Follow(s.dir.path)
	if err != nil {
		rt.Fatal(err)
	}
	s.f = f
	s.usr1()
	s.poll()
	s.store()
	return s
}

func (s *schedule) check() (delivered, lost int) {
	for _, file := range s.files {
		for _, line := range append(file.truncated, file.lines...) {
			switch n := s.seen[line]; {
			case n == 1:
				delivered++
			case n == 0 && s.lost[line]:
				lost++
			default:
				s.t.Fatalf("%.10q came %d times (%d gaps)", line, n, s.f.Gaps())
			}
			delete(s.seen, line)
		}
	}
	for line := range s.seen {
		s.t.Fatalf("%q was never written", line)
	}
	return delivered, lost
}

func (s *schedule) close() {
	s.f.Close()
	for _, file := range s.files {
		if file.w != nil {
			file.w.Close()
		}
	}
}
