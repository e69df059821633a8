package nginx

import (
	"slices"

	"graft/internal/nginx/conf"
)

// Default is a path compiled into a binary that the configuration leaves in effect.
type Default struct {
	Option    string // of configure
	Directive string // what would replace it
	Path      string // absolute
	IsDir     bool
}

// temporary are the directories of ngx_conf_merge_path_value, with what configure leaves their module out by.
var temporary = []struct{ option, directive, path, without string }{
	{"--http-client-body-temp-path", "client_body_temp_path", "client_body_temp", ""},
	{"--http-proxy-temp-path", "proxy_temp_path", "proxy_temp", "--without-http_proxy_module"},
	{"--http-fastcgi-temp-path", "fastcgi_temp_path", "fastcgi_temp", "--without-http_fastcgi_module"},
	{"--http-uwsgi-temp-path", "uwsgi_temp_path", "uwsgi_temp", "--without-http_uwsgi_module"},
	{"--http-scgi-temp-path", "scgi_temp_path", "scgi_temp", "--without-http_scgi_module"},
}

// Defaults lists the compiled-in files and directories that nginx uses with this configuration: those of
// http wherever one server sets none itself, and the error log, which is opened first, before the
// configuration is read. The pid file is in p.
func (b Build) Defaults(p Paths, c *conf.Config) []Default {
	var list []Default
	if p.ErrorLog != "stderr" {
		list = append(list, Default{Option: "--error-log-path", Directive: "error_log", Path: p.ErrorLog})
	}
	if inheritsDefault(c, "access_log") {
		list = append(list, Default{Option: "--http-log-path", Directive: "access_log", Path: b.accessLog(p)})
	}
	for _, t := range temporary {
		if !slices.Contains(b.Configure, t.without) && inheritsDefault(c, t.directive) {
			list = append(list, Default{Option: t.option, Directive: t.directive, Path: under(p.Prefix, b.option(t.option, t.path)), IsDir: true})
		}
	}
	return list
}

func (b Build) accessLog(p Paths) string {
	return under(p.Prefix, b.option("--http-log-path", "logs/access.log"))
}

// inheritsDefault tells whether an http server has the directive neither itself nor from above: there
// nginx takes what is compiled in, whatever the server's locations say.
func inheritsDefault(c *conf.Config, directive string) bool {
	return slices.ContainsFunc(c.Find("server"), func(server *conf.Directive) bool {
		return server.IsBlock && server.Context() == "http" && server.Enclosing("upstream") == nil && c.Effective(server, directive) == nil
	})
}
