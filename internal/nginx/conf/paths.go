package conf

import "strings"

// Base is what nginx resolves a relative path against.
type Base string

// nginx's two bases (the cycle's prefix and conf_prefix), and the working directory for the few
// directives that nginx hands to a library as they are.
const (
	BasePrefix     Base = "prefix"      // -p, or compiled in
	BaseConfPrefix Base = "conf-prefix" // the conf file's directory
	BaseWorkingDir Base = "working-directory"
)

// RelativePath is a path of the configuration whose meaning changes with the base.
type RelativePath struct {
	Directive *Directive
	Value     string // as written
	Base      Base
}

// RelativePaths lists the relative paths of the directives that carry one, in order. A path that
// begins with a variable is left out where nginx leaves it alone. Compiled-in defaults (`root html`,
// logs, temporary directories) are not directives and are not here.
func (c *Config) RelativePaths() []RelativePath {
	var paths []RelativePath
	c.Walk(func(d *Directive) bool {
		base, ok := pathBase(d)
		if !ok || len(d.Args) == 0 {
			return !d.Data
		}
		if value := d.Args[0]; isRelative(d.Name, value) {
			paths = append(paths, RelativePath{d, value, base})
		}
		return true
	})
	return paths
}

// pathBase tells what the first argument of a path-carrying directive is relative to. The source is
// the last argument of ngx_conf_full_name in each module.
func pathBase(d *Directive) (Base, bool) {
	if d.Data {
		return "", false
	}
	switch d.Name {
	case "root", "alias", "error_log", "access_log", "pid", "lock_file", "load_module",
		"client_body_temp_path", "proxy_temp_path", "fastcgi_temp_path", "uwsgi_temp_path", "scgi_temp_path",
		"proxy_cache_path", "fastcgi_cache_path", "uwsgi_cache_path", "scgi_cache_path",
		"perl_modules", "xslt_stylesheet":
		return BasePrefix, true
	case "include", "auth_basic_user_file",
		"ssl_certificate", "ssl_certificate_key", "ssl_password_file", "ssl_trusted_certificate",
		"ssl_client_certificate", "ssl_crl", "ssl_dhparam", "ssl_session_ticket_key", "ssl_stapling_file",
		"quic_host_key":
		return BaseConfPrefix, true
	case "geoip_country", "geoip_city", "geoip_org", "xml_entities", "working_directory":
		return BaseWorkingDir, true
	}
	if strings.HasSuffix(d.Name, "_by_lua_file") { // lua-nginx-module, ngx_http_lua_rebase_path
		return BasePrefix, true
	}
	for _, client := range [...]string{"proxy_", "grpc_", "uwsgi_", "lua_"} {
		switch name, ok := strings.CutPrefix(d.Name, client); {
		case !ok:
		case name == "ssl_certificate", name == "ssl_certificate_key", name == "ssl_password_file",
			name == "ssl_trusted_certificate", name == "ssl_crl":
			return BaseConfPrefix, true
		}
	}
	return "", false
}

// isRelative tells whether nginx puts the base in front of a directive's path.
func isRelative(name, value string) bool {
	if strings.HasPrefix(value, "/") {
		return false
	}
	switch name {
	case "access_log":
		// A name that begins with a variable is relative too (ngx_http_log_set_log).
		return value != "off" && !strings.HasPrefix(value, "syslog:")
	case "error_log":
		return value != "stderr" && !strings.HasPrefix(value, "syslog:") && !strings.HasPrefix(value, "memory:")
	case "auth_basic_user_file":
		return value != "off" && !strings.HasPrefix(value, "$")
	case "pid", "load_module", "include", "lock_file":
		return true
	}
	if strings.Contains(name, "ssl_certificate") {
		// Not files: an OpenSSL engine's key, a provider's URI, the key itself.
		for _, scheme := range [...]string{"engine:", "store:", "data:"} {
			if strings.HasPrefix(value, scheme) {
				return false
			}
		}
		return value != "" && !strings.HasPrefix(value, "$") // "" switches it off
	}
	return !strings.HasPrefix(value, "$")
}
