package accesslog

import (
	"fmt"
	"path"
	"strings"
)

func exitTemplate(e Exit) string {
	return fmt.Sprintf("%s … exited on signal %d", e.Process, e.Signal)
}

// isLua tells what the Lua module and Lua code write.
func isLua(message string) bool {
	return strings.HasPrefix(message, "lua ") || strings.HasPrefix(message, "[lua] ") || strings.Contains(message, "_by_lua") ||
		strings.HasPrefix(message, "failed to load external Lua file") || strings.HasPrefix(message, "failed to run the Lua")
}

// luaTemplate keeps the place of an error and the names in the code.
func luaTemplate(message string) string { return mask(message, variesInLua) }

func variesInLua(word, before string) bool {
	_ = before
	return variesInNginx(word, before)
}

// phpTemplate keeps what PHP calls the message, and of an exception that nobody caught its class and
// place: its own text may be anything.
func phpTemplate(stderr, more string) string {
	_ = more
	return "FastCGI stderr: " + mask(path.Clean(stderr), variesInNginx)
}
