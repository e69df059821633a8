package accesslog

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"
)

// messageGroup are messages of one class.
type messageGroup struct {
	class    string // as the golden file has it
	messages []string
}

// entryOf reads an entry as the error reader gives it.
func entryOf(t *testing.T, message string) ErrorLine {
	t.Helper()
	var entries []ErrorLine
	r := NewErrorReader(func(l ErrorLine) { entries = append(entries, l) })
	for line := range strings.SplitSeq(strings.ReplaceAll("2026/11/03 10:15:42 [error] 812#812: *5 "+message, `\n`, "\n"), "\n") {
		r.Add([]byte(line), time.Now())
	}
	r.Flush()
	if len(entries) != 1 || r.Foreign() != 0 {
		t.Fatalf("%q: %d entries", message, len(entries))
	}
	return entries[0]
}

func messageGroups(t *testing.T) []messageGroup {
	t.Helper()
	text, err := os.ReadFile("testdata/error-messages.txt")
	if err != nil {
		t.Fatal(err)
	}
	var groups []messageGroup
	for block := range strings.SplitSeq(string(text), "\n\n") {
		var g messageGroup
		for line := range strings.Lines(block) {
			line = strings.TrimSuffix(line, "\n")
			switch {
			case strings.HasPrefix(line, "# "), line == "":
			case strings.HasPrefix(line, "= "):
				g.class = line
			default:
				g.messages = append(g.messages, line)
			}
		}
		groups = append(groups, g)
	}
	return groups
}

// TestClassesAreStable holds every class to what it was: an ID that changes makes what was usual before
// an update of graft new after it.
func TestClassesAreStable(t *testing.T) {
	ids := map[string]string{}
	for _, g := range messageGroups(t) {
		for _, message := range g.messages {
			c := ClassOf(entryOf(t, message))
			if got := "= " + c.ID + " " + c.Kind + " " + c.Template; got != g.class {
				t.Errorf("%s\n got %s\nwant %s", message, got, g.class)
			}
			if before, ok := ids[c.ID]; ok && before != g.class {
				t.Errorf("%s and %s have one ID", before, g.class)
			}
			ids[c.ID] = g.class
		}
	}
}

// Rewordings of the table, each in its versions' words.
func TestRewordingsAreOneClass(t *testing.T) {
	for _, r := range rewordings {
		old, young := ClassOf(ErrorLine{Message: r.old + " x"}), ClassOf(ErrorLine{Message: r.new + " x"})
		if old.ID != young.ID {
			t.Errorf("%s: %q and %q are two classes: %q, %q", r.since, r.old, r.new, old.Template, young.Template)
		}
	}
}

func TestTheCLibrarysTextOfAnErrnoIsLeftOut(t *testing.T) {
	glibc := ClassOf(ErrorLine{Message: "upstream timed out (110: Connection timed out) while connecting to upstream"})
	musl := ClassOf(ErrorLine{Message: "upstream timed out (110: Operation timed out) while connecting to upstream"})
	refused := ClassOf(ErrorLine{Message: "upstream timed out (111: Connection refused) while connecting to upstream"})
	if glibc.ID != musl.ID || glibc.ID == refused.ID {
		t.Errorf("%v, %v, %v", glibc, musl, refused)
	}
}

// What varies does not make classes, however it is spelt.
func TestWhatVariesIsOfOneClass(t *testing.T) {
	classes := map[string]string{}
	for i := range 2000 {
		sum := sha256.Sum256([]byte{byte(i), byte(i >> 8)})
		hex := hex.EncodeToString(sum[:8]) // some begin with a letter, some are all letters but one
		for _, message := range []string{
			"worker process " + fmt.Sprint(i) + " exited on signal 11",
			`open() "/srv/` + hex + `" failed (2: No such file or directory), client: 10.0.0.` + fmt.Sprint(i),
			"no session " + hex + " of 10.1." + fmt.Sprint(i%256) + ".1:" + fmt.Sprint(i) + " found",
			"user " + hex + "@example.com is gone",
			fmt.Sprintf("upstream %q is slow: %d.%03d s of %08x", hex, i, i%1000, i),
			"[lua] a.lua:3: f(): id " + hex,
			"an upstream response is buffered to a temporary file /var/" + hex + "/" + fmt.Sprint(i) + " while reading upstream",
		} {
			c := ClassOf(ErrorLine{Message: message})
			classes[c.ID] = c.Template
		}
	}
	if len(classes) != 7 {
		t.Errorf("%d classes of 7: %q", len(classes), classes)
	}
}

func FuzzClassOf(f *testing.F) {
	for _, message := range []string{`a "b`, "(SSL: error:", "(111: ", `FastCGI sent in stderr: "PHP message: PHP X:  Uncaught `, "[lua] '", "…", "\x01\x02"} {
		f.Add(message)
	}
	f.Fuzz(func(t *testing.T, message string) {
		c := ClassOf(ErrorLine{Message: message})
		if c.Kind == "" || len(c.ID) != 12 || len(c.Template) > maxTemplate || c != ClassOf(ErrorLine{Message: message}) {
			t.Errorf("%q: %+v", message, c)
		}
	})
}

func BenchmarkClassOf(b *testing.B) {
	l := ErrorLine{Message: `connect() failed (111: Connection refused) while connecting to upstream, client: 127.0.0.1, server: localhost, request: "GET /app/ HTTP/1.1"`}
	b.ReportAllocs()
	for b.Loop() {
		ClassOf(l)
	}
}
