package accesslog

import (
	"fmt"
	"path"
	"regexp"
	"strings"
)

func exitTemplate(e Exit) string {
	return fmt.Sprintf("%s … exited on signal %d", e.Process, e.Signal)
}

// isLua tells what the Lua module and Lua code write.
func isLua(message string) bool {
	return strings.HasPrefix(message, "lua ") || strings.HasPrefix(message, "[lua] ") || strings.Contains(message, "_by_lua") ||
		strings.HasPrefix(message, "failed to load external Lua file") || strings.HasPrefix(message, "failed to run ")
}

// luaTemplate keeps the place of an error, by its file's base name, and the names in the code. Another
// installation has other directories, and Lua shortens long paths from the front.
func luaTemplate(message string) string {
	if end := strings.Index(message, ", context: "); end >= 0 { // of a timer, which has no client
		message = message[:end]
	}
	message = luaPlace.ReplaceAllStringFunc(message, func(place string) string {
		at := strings.LastIndexByte(place, '/') + 1
		if at == 0 {
			return keep(place)
		}
		return keep(place[at:])
	})
	message = luaName.ReplaceAllStringFunc(message, keep)
	return kept.Replace(mask(message, func(word, before string) bool {
		return !strings.HasPrefix(word, keepMark) && !strings.HasPrefix(word, "ngx.") && variesInNginx(word, before)
	}))
}

var (
	// luaPlace is "…/app.lua:12:" or "access_by_lua(nginx.conf:23):2:".
	luaPlace = regexp.MustCompile(`[^\s"'(]*[\w.-]+\.lua:\d+:|[^\s"'(]*\w+_by_lua\w*(\([^()\s]*:\d+\))?:\d+:`)
	// luaName is a name in the code that an error is about.
	luaName = regexp.MustCompile(`\b(local|global|field|method|upvalue|function|module) '[^'\s]{1,60}'`)
)

// keepMark begins a word that mask leaves alone; keptSpace stands for a space in it, keptQuote for a quote.
const (
	keepMark  = "\x01"
	keptSpace = "\x02"
	keptQuote = "\x03"
)

var kept = strings.NewReplacer(keepMark, "", keptSpace, " ", keptQuote, "'")

func keep(text string) string {
	return keepMark + strings.NewReplacer(" ", keptSpace, "'", keptQuote).Replace(text)
}

// phpTemplate keeps what PHP calls the message and where it arose, and its text unless that is an
// exception's that nobody caught: of this the class is kept, for its text may be anything. stderr is
// the first line of what the FastCGI server wrote; nginx passes on what follows.
func phpTemplate(stderr string) string {
	if end := strings.LastIndex(stderr, `" while `); end >= 0 {
		stderr = stderr[:end]
	}
	text, ok := strings.CutPrefix(stderr, "PHP message: ")
	if !ok {
		return "FastCGI stderr: " + mask(strings.TrimSuffix(stderr, `"`), variesInNginx)
	}
	text, _, _ = strings.Cut(text, "; PHP message: ")
	text, _, _ = strings.Cut(text, "PHP message: ") // PHP before 7.4 puts nothing between
	place := ""
	if at := phpPlace.FindStringSubmatchIndex(text); at != nil {
		place = " in " + path.Base(text[at[2]:at[3]]) + ":" + text[at[4]:at[5]]
		text = text[:at[0]]
	}
	if m := phpUncaught.FindStringSubmatch(text); m != nil {
		return strings.Join(strings.Fields(m[1]+m[2]), " ") + place
	}
	return mask(text, variesInNginx) + place
}

var (
	phpPlace    = regexp.MustCompile(` in (/\S+?)(?::| on line )(\d+)`)
	phpUncaught = regexp.MustCompile(`^(PHP [A-Z][\w ]*:  ?Uncaught )(?:exception ')?([A-Za-z_\\][\w\\]*)`)
)
