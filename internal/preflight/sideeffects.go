package preflight

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"graft/internal/nginx/conf"
)

// configTestSideEffects tells what `-t` of the target would leave behind if somebody ran it on the host:
// what ngx_init_cycle creates before it stops (ngx_create_pidfile, ngx_create_paths, the logs). graft runs
// it in isolation only, so none of this comes to be.
func configTestSideEffects(e *examination) Check {
	var made []string
	for _, p := range e.opened() {
		if _, err := os.Lstat(p.path); errors.Is(err, fs.ErrNotExist) {
			made = append(made, fmt.Sprintf("%s (%s)", p.path, p.what))
		}
	}
	const isolated = "graft plan and graft rehearse run it in isolation; do not run -t of the target by hand on this host"
	unproven := lateLua(e.Instance.Config)
	switch {
	case len(made) == 0 && unproven == "":
		return ok("everything that -t of the target opens is there already, so that it would create nothing (pid file %s)", e.paths.Pid)
	case len(made) == 0:
		return note("graft rehearse starts the target for real, in isolation", "%s", unproven)
	}
	evidence := fmt.Sprintf("-t of the target, run outside isolation, would create %s", strings.Join(made, ", "))
	if unproven == "" {
		return note(isolated, "%s", evidence)
	}
	return note(isolated+"; graft rehearse also starts the target for real", "%s. And %s", evidence, unproven)
}

// openedPath is a file or directory that nginx makes if it is missing.
type openedPath struct{ path, what string }

// opened lists what the target opens or makes with this configuration, whether it starts or only tests.
func (e *examination) opened() []openedPath {
	c := e.Instance.Config
	list := []openedPath{{e.paths.Pid, "an empty pid file"}}
	for _, d := range e.build.Defaults(e.paths, c) {
		list = append(list, openedPath{d.Path, fmt.Sprintf("%s, compiled in", d.Option)})
	}
	under := func(path string) string {
		if filepath.IsAbs(path) {
			return path
		}
		return filepath.Join(e.paths.Prefix, path)
	}
	for _, log := range append(c.ErrorLogs(), c.AccessLogs()...) {
		if log.Kind == conf.LogFile {
			list = append(list, openedPath{under(log.Path), fmt.Sprintf("%s, %s", log.Directive.Name, log.Directive.Pos())})
		}
	}
	for _, d := range c.Find("client_body_temp_path", "proxy_temp_path", "fastcgi_temp_path", "uwsgi_temp_path", "scgi_temp_path",
		"proxy_cache_path", "fastcgi_cache_path", "uwsgi_cache_path", "scgi_cache_path") {
		list = append(list, openedPath{under(d.Arg(0)), fmt.Sprintf("%s, %s", d.Name, d.Pos())})
	}
	return once(list)
}

// once leaves the first of several that name one path.
func once(list []openedPath) []openedPath {
	seen := map[string]bool{}
	var kept []openedPath
	for _, p := range list {
		if !seen[p.path] {
			seen[p.path] = true
			kept = append(kept, p)
		}
	}
	return kept
}

// lateLua tells of init_by_lua code that `-t` passes over: ngx_http_lua_init of lua-nginx-module (0.10.23)
// returns at once under -t; older releases do run it there, unless a lua_shared_dict puts it off until the
// last shared zone is set up, where they ask for -t, too.
func lateLua(c *conf.Config) string {
	code := c.Find("init_by_lua", "init_by_lua_block", "init_by_lua_file")
	if len(code) == 0 {
		return ""
	}
	return fmt.Sprintf("-t proves nothing of %s (%s), which runs at a real start only: an error in it keeps the new master from starting", code[0].Name, code[0].Pos())
}
