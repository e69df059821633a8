package conf

import (
	"slices"
	"strings"
)

// inheritance is how nginx hands a directive down to the blocks inside the one it stands in: what the
// module's merge_loc_conf or merge_srv_conf does.
type inheritance int

const (
	// nearest: those of the innermost level that has any hold, all of them; an inner level replaces the
	// outer one's, it does not add to them. It is nginx's rule for nearly everything: single values
	// (root, gzip), lists (add_header, proxy_set_header, fastcgi_param, access_log, error_page, index,
	// set_real_ip_from, limit_req, ssl_certificate), and blocks (types).
	nearest inheritance = iota
	// ownLevel: it holds in the block it stands in and nowhere else. The rewrite module's directives run
	// where they stand, and try_files has no merge.
	ownLevel
	// contentHandler: it answers the request in its location and in the `if` blocks of it, which leave
	// the handler as it was set; neither in a location inside nor in limit_except.
	contentHandler
	// passHandler: a contentHandler that is handed on to limit_except, too.
	passHandler
	// adding: those of all levels hold, the outer ones first.
	adding
)

// inheritanceOf is the table. What is not in it is nearest. The tests have a real nginx bear it out.
func inheritanceOf(name string) inheritance {
	switch name {
	case "return", "rewrite", "set", "break", "if", "try_files", "limit_except", "location", "server",
		"set_by_lua", "set_by_lua_block", "set_by_lua_file":
		return ownLevel
	case "proxy_pass", "fastcgi_pass", "uwsgi_pass", "scgi_pass", "grpc_pass":
		return passHandler
	case "memcached_pass", "stub_status", "empty_gif", "flv", "mp4", "perl", "js_content",
		"content_by_lua", "content_by_lua_block", "content_by_lua_file",
		"echo", "echo_duplicate", "echo_exec", "echo_flush", "echo_location", "echo_location_async",
		"echo_read_request_body", "echo_request_body", "echo_sleep", "echo_subrequest", "echo_subrequest_async",
		"drizzle_pass", "memc_pass", "postgres_pass", "redis_pass", "redis2_pass":
		return contentHandler
	case "more_set_headers", "more_clear_headers", "more_set_input_headers", "more_clear_input_headers":
		return adding
	}
	return nearest
}

// settings are directives that write into one place, so that one of them on a level takes the place
// of all of them on the levels above.
var settings = [...][]string{
	{"root", "alias"},
	{"allow", "deny"},
	{"more_set_headers", "more_clear_headers", "more_set_input_headers", "more_clear_input_headers"},
}

// sameSetting tells whether a directive called other decides about what name asks for.
func sameSetting(name, other string) bool {
	if name == other {
		return true
	}
	if phase, ok := luaPhase(name); ok {
		otherPhase, ok := luaPhase(other)
		return ok && phase == otherPhase
	}
	for _, names := range settings {
		if slices.Contains(names, name) {
			return slices.Contains(names, other)
		}
	}
	return false
}

// luaPhase is "access_by_lua" for each of its three forms. set_by_lua is no phase: each one counts.
func luaPhase(name string) (string, bool) {
	name = strings.TrimSuffix(strings.TrimSuffix(name, "_block"), "_file")
	return name, strings.HasSuffix(name, "_by_lua") && name != "set_by_lua"
}

// InEffect lists the directives that hold inside block for what name sets, in their order, inherited
// ones included; none if nginx's default holds. block nil asks for the main context. Blocks are
// nginx's contexts: server, location, `if`, limit_except, …
//
// Where several names share one setting (root and alias; allow and deny; the forms of one Lua phase)
// it lists those of all of them: asked for root, it answers with the alias that is in its place.
// Whether a directive that answers requests (return, try_files, a *_pass) is reached in a block that
// has several is not told.
func (c *Config) InEffect(block *Directive, name string) []*Directive {
	own := c.onLevel(block, name)
	how := inheritanceOf(name)
	if block == nil || how == ownLevel || len(own) > 0 && how != adding {
		return own
	}
	if !handsOn(how, block) {
		return own
	}
	outer := c.InEffect(block.Parent, name)
	if len(own) == 0 {
		return outer
	}
	return append(outer[:len(outer):len(outer)], own...)
}

// handsOn tells whether block gets what the level around it has.
func handsOn(how inheritance, block *Directive) bool {
	switch how {
	case passHandler:
		return block.Name == "if" || block.Name == "limit_except"
	case contentHandler:
		return block.Name == "if"
	}
	return true
}

// onLevel lists the directives of one block that write into name's setting.
func (c *Config) onLevel(block *Directive, name string) []*Directive {
	ds := c.Directives
	if block != nil {
		ds = block.Block
	}
	var found []*Directive
	for _, d := range ds {
		if !d.Data && sameSetting(name, d.Name) {
			found = append(found, d)
		}
	}
	return found
}

// Effective is the directive of that name that holds inside block, its own or one inherited; the
// first if there are several, nil if there is none. It is [Config.InEffect] for what may stand once:
// nil, too, where another directive took its place, as alias takes root's.
func (c *Config) Effective(block *Directive, name string) *Directive {
	return first(c.InEffect(block, name), name)
}
