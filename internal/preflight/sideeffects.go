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

// lateLua tells of init_by_lua code that `-t` passes over: with a lua_shared_dict lua-nginx-module puts it
// off until the last shared zone is set up, and there it stops under -t.
func lateLua(c *conf.Config) string {
	code := c.Find("init_by_lua", "init_by_lua_block", "init_by_lua_file")
	dicts := c.Find("lua_shared_dict")
	if len(code) == 0 || len(dicts) == 0 {
		return ""
	}
	return fmt.Sprintf("-t does not run %s (%s), because there is a lua_shared_dict (%s): an error in it shows at the start only",
		code[0].Name, code[0].Pos(), dicts[0].Pos())
}
