// Package journal keeps what a migration intended and saw: one JSON line an event, each with a CRC
// that chains to the line before, each fsynced before the act it announces.
package journal

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"graft/internal/durable"
)

// Kind is what a line records.
type Kind string

// The four kinds. An intent without a done or failed after it may or may not have been carried out:
// only the host knows.
const (
	Intent   Kind = "intent"
	Done     Kind = "done"
	Failed   Kind = "failed"
	Observed Kind = "observed"
)

// Event is one line.
type Event struct {
	Time      time.Time       `json:"time"`
	Migration string          `json:"migration"`
	Seq       int             `json:"seq"` // from 1
	Phase     string          `json:"phase"`
	Step      string          `json:"step"`
	Event     Kind            `json:"event"`
	Data      json.RawMessage `json:"data,omitempty"`
}

// ErrDamaged says that a line inside the journal is not what was written.
var ErrDamaged = errors.New("the journal is damaged")

// crcTail is the end of each line: `,"crc":"1a2b3c4d"}`, over the bytes before it.
const crcTail = len(`,"crc":"00000000"}`)

// reserve is the room that a new journal takes on the disk, in bytes: some thousand events.
const reserve = 1 << 20

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Journal is open for appending. It is not safe for use by several goroutines.
type Journal struct {
	file      *os.File
	migration string
	seq       int
	crc       uint32
}

// Create starts the journal of a migration; the file must not exist.
func Create(path, migration string) (*Journal, error) {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL|os.O_APPEND, 0o600)
	if err != nil {
		return nil, fmt.Errorf("create journal: %w", err)
	}
	// A disk that fills up must not keep a migration from going back. Not every file system can
	// reserve room; then it is as it was.
	_ = unix.Fallocate(int(file.Fd()), unix.FALLOC_FL_KEEP_SIZE, 0, reserve)
	if err := durable.SyncDir(filepath.Dir(path)); err != nil {
		return nil, errors.Join(fmt.Errorf("create journal: %w", err), file.Close())
	}
	return &Journal{file: file, migration: migration}, nil
}

// Open reads the journal of a migration and goes on writing it. A last line without its end, which a crash leaves, is
// cut; the file as it was is kept beside as PATH.torn-TIME. Any other damage is ErrDamaged.
func Open(path, migration string) (*Journal, []Event, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, nil, fmt.Errorf("open journal: %w", err)
	}
	events, crc, whole, err := read(path, data)
	if err != nil {
		return nil, nil, err
	}
	if whole < len(data) {
		if err := cut(path, data, whole); err != nil {
			return nil, nil, fmt.Errorf("repair journal %s: %w", path, err)
		}
	}
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("open journal: %w", err)
	}
	return &Journal{file: file, migration: migration, seq: len(events), crc: crc}, events, nil
}

// Read returns the events without repairing anything; a torn last line is left out.
func Read(path string) ([]Event, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read journal: %w", err)
	}
	events, _, _, err := read(path, data)
	return events, err
}

// read returns the events, the last CRC, and how many bytes are whole lines.
func read(path string, data []byte) (events []Event, crc uint32, whole int, err error) {
	lines := bufio.NewReader(bytes.NewReader(data))
	for {
		line, err := lines.ReadBytes('\n')
		if err != nil {
			return events, crc, whole, nil // the end, perhaps a torn line
		}
		number := len(events) + 1
		event, sum, err := parse(crc, bytes.TrimSuffix(line, []byte("\n")))
		if err != nil {
			return nil, 0, 0, fmt.Errorf("%s:%d: %w: %w; it is left as it is: look at `graft inspect` and decide by hand", path, number, ErrDamaged, err)
		}
		if event.Seq != number {
			return nil, 0, 0, fmt.Errorf("%s:%d: %w: event %d is in the place of event %d", path, number, ErrDamaged, event.Seq, number)
		}
		events, crc, whole = append(events, event), sum, whole+len(line)
	}
}

func parse(before uint32, line []byte) (Event, uint32, error) {
	if len(line) < crcTail {
		return Event{}, 0, fmt.Errorf("a line of %d bytes", len(line))
	}
	body := line[:len(line)-crcTail]
	sum := chain(before, body)
	if tail := string(line[len(body):]); tail != formatCRC(sum) {
		return Event{}, 0, fmt.Errorf("the line ends in %s, its content asks for %s", tail, formatCRC(sum))
	}
	var event Event
	if err := json.Unmarshal(append(bytes.Clone(body), '}'), &event); err != nil {
		return Event{}, 0, err
	}
	return event, sum, nil
}

func chain(before uint32, body []byte) uint32 {
	sum := crc32.Update(0, castagnoli, strconv.AppendUint(nil, uint64(before), 16))
	return crc32.Update(sum, castagnoli, body)
}

func formatCRC(sum uint32) string { return fmt.Sprintf(`,"crc":"%08x"}`, sum) }

// cut keeps a copy of the file, then shortens it to its whole lines.
func cut(path string, data []byte, whole int) error {
	kept := fmt.Sprintf("%s.torn-%s", path, time.Now().UTC().Format("20060102T150405.000000000"))
	if err := durable.Replace("journal-copy", kept, bytes.NewReader(data), durable.Private(0o600)); err != nil {
		return err
	}
	file, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	if err := file.Truncate(int64(whole)); err != nil {
		return errors.Join(err, file.Close())
	}
	return errors.Join(file.Sync(), file.Close())
}

// Append writes one event and fsyncs it. data is marshalled as JSON; nil leaves it out.
func (j *Journal) Append(phase, step string, kind Kind, data any) (Event, error) {
	event := Event{Time: time.Now().UTC(), Migration: j.migration, Seq: j.seq + 1, Phase: phase, Step: step, Event: kind}
	if data != nil {
		raw, err := json.Marshal(data)
		if err != nil {
			return Event{}, fmt.Errorf("write journal: %w", err)
		}
		event.Data = raw
	}
	line, err := json.Marshal(event)
	if err != nil {
		return Event{}, fmt.Errorf("write journal: %w", err)
	}
	body := line[:len(line)-1]
	sum := chain(j.crc, body)
	before, err := j.file.Stat()
	if err != nil {
		return Event{}, fmt.Errorf("write journal: %w", err)
	}
	if _, err := j.file.Write([]byte(string(body) + formatCRC(sum) + "\n")); err != nil {
		// A full disk can take half a line: what comes after it would be refused as damage.
		return Event{}, errors.Join(fmt.Errorf("write journal: %w", err), j.file.Truncate(before.Size()))
	}
	if err := j.file.Sync(); err != nil {
		return Event{}, fmt.Errorf("write journal: %w", err)
	}
	j.seq, j.crc = event.Seq, sum
	return event, nil
}

// Close ends writing.
func (j *Journal) Close() error { return j.file.Close() }
