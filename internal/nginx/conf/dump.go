package conf

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
)

// dumpHeader is what `nginx -T` prints before a file's content; a colon and a line feed follow the
// name, and a line feed the content (main in nginx's core/nginx.c).
const dumpHeader = "# configuration file "

// CompareDump compares what was read with what nginx read: dump is what `nginx -T` prints to its
// standard output, the authority on what is in effect. It returns nil if both read the same files, in
// the same order, with the same content; the directives follow from these. The error tells the first
// difference.
//
// In files with Lua blocks only what was added or changed is found: lua-nginx-module leaves pieces
// out of the dump (it reads the file on without adding to it).
//
// Where a file ends the dump does not say, and a comment can look like a header: the sizes that were
// read lead through it.
func (c *Config) CompareDump(dump []byte) error {
	rest, previous := dump, ""
	for i, file := range c.Files {
		text, ok := bytes.CutPrefix(rest, []byte(dumpHeader+file.Path+":\n"))
		if !ok {
			return unequal(rest, previous, file.Path)
		}
		if lua, ok := c.lua[file.Path]; ok {
			if rest, ok = afterLua(text, lua, c.Files[i+1:]); !ok {
				return otherContent(file.Path)
			}
			previous = file.Path
			continue
		}
		if int64(len(text)) <= file.Size || text[file.Size] != '\n' {
			return otherContent(file.Path)
		}
		if sum := sha256.Sum256(text[:file.Size]); hex.EncodeToString(sum[:]) != file.SHA256 {
			return otherContent(file.Path)
		}
		rest, previous = text[file.Size+1:], file.Path
	}
	if len(rest) > 0 {
		return unequal(rest, previous, "")
	}
	return nil
}

// unequal words that after the file previous graft reads ours, and nginx what rest begins with.
func unequal(rest []byte, previous, ours string) error {
	line, _, _ := bytes.Cut(rest, []byte(":\n"))
	theirs, isHeader := bytes.CutPrefix(line, []byte(dumpHeader))
	switch {
	case len(rest) == 0:
		return fmt.Errorf("graft reads %s, which nginx does not", ours)
	case !isHeader && previous == "":
		return fmt.Errorf("what nginx -T printed begins with no file: %q", clip(string(rest)))
	case !isHeader:
		return otherContent(previous)
	case ours == "":
		return fmt.Errorf("nginx reads %s, which graft does not", theirs)
	}
	return fmt.Errorf("nginx reads %s where graft reads %s", theirs, ours)
}

// afterLua is what follows a file with Lua blocks in the dump: from the header of the next file on.
func afterLua(text []byte, whole string, next []File) (rest []byte, ok bool) {
	shown := text
	if len(next) > 0 {
		at := bytes.Index(text, []byte("\n"+dumpHeader+next[0].Path+":\n"))
		if at < 0 {
			return nil, false
		}
		shown, rest = text[:at], text[at+1:]
	} else if shown, ok = bytes.CutSuffix(text, []byte("\n")); !ok {
		return nil, false
	}
	for i := 0; len(shown) > 0; i++ {
		if i == len(whole) {
			return nil, false
		}
		if whole[i] == shown[0] {
			shown = shown[1:]
		}
	}
	return rest, true
}

func otherContent(file string) error {
	return fmt.Errorf("nginx read another content of %s than graft did", file)
}
