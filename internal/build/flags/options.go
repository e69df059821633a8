package flags

import (
	"slices"
	"strings"
)

// newerOptions are the options of nginx's configure since 1.0, by the release that brought them
// (nginx's CHANGES). They tell what an older target refuses when its own list is not at hand.
var newerOptions = map[string]string{
	"--with-pcre-jit":                       "1.1.12",
	"--with-http_mp4_module":                "1.1.3",
	"--with-http_gunzip_module":             "1.3.6",
	"--with-http_spdy_module":               "1.3.15",
	"--with-http_auth_request_module":       "1.5.4",
	"--without-http_upstream_hash_module":   "1.7.2",
	"--with-threads":                        "1.7.11",
	"--with-stream":                         "1.9.0",
	"--with-stream_ssl_module":              "1.9.0",
	"--with-http_v2_module":                 "1.9.5",
	"--with-http_slice_module":              "1.9.8",
	"--modules-path":                        "1.9.11",
	"--add-dynamic-module":                  "1.9.11",
	"--with-stream_geoip_module":            "1.11.3",
	"--with-stream_realip_module":           "1.11.4",
	"--with-compat":                         "1.11.5",
	"--with-stream_ssl_preread_module":      "1.11.5",
	"--without-http_mirror_module":          "1.13.4",
	"--without-http_grpc_module":            "1.13.10",
	"--without-http_upstream_random_module": "1.15.1",
	"--without-stream_set_module":           "1.19.3",
	"--without-pcre2":                       "1.21.5",
	"--with-http_v3_module":                 "1.25.0",
	"--without-quic_bpf_module":             "1.25.0",
	"--without-stream_pass_module":          "1.25.5",
}

// oldOptions are those that every release still in use knows.
const oldOptions = `--with-openssl --with-openssl-opt --with-zlib --with-zlib-opt
	--with-zlib-asm --with-pcre --with-pcre-opt --without-pcre
	--with-libatomic --with-google_perftools_module --with-cpp_test_module --with-select_module
	--without-select_module --with-poll_module --without-poll_module --with-http_ssl_module
	--with-http_realip_module --with-http_addition_module --with-http_xslt_module --with-http_image_filter_module
	--with-http_sub_module --with-http_dav_module --with-http_flv_module --with-http_gzip_static_module
	--with-http_random_index_module --with-http_secure_link_module --with-http_degradation_module --with-http_stub_status_module
	--with-http_perl_module --with-perl_modules_path --with-perl --with-mail
	--with-mail_ssl_module --with-cc --with-cpp --with-cpu-opt
	--with-http_geoip_module --with-file-aio --with-ipv6
	--without-http --without-http-cache --conf-path --sbin-path
	--error-log-path --http-log-path --pid-path --lock-path
	--user --group --crossbuild --http-client-body-temp-path
	--http-proxy-temp-path --http-fastcgi-temp-path --http-uwsgi-temp-path --http-scgi-temp-path
	--without-mail_pop3_module --without-mail_imap_module --without-mail_smtp_module --without-http_upstream_keepalive_module
	--without-http_upstream_zone_module --without-http_upstream_ip_hash_module --without-http_upstream_least_conn_module `

// switchedOff are the modules of http and stream that --without-NAME_module can leave out.
const switchedOff = `charset gzip ssi userid access auth_basic autoindex status geo map split_clients referer
	rewrite proxy fastcgi uwsgi scgi memcached limit_conn limit_req limit_zone empty_gif browser
	return upstream_hash upstream_least_conn upstream_random upstream_zone`

// optionSince tells whether nginx has, or had, an option of this name, and since which release:
// empty means always, or long enough not to matter.
func optionSince(name string) (since string, known bool) {
	if since, known = newerOptions[name]; known {
		return since, true
	}
	if slices.Contains(strings.Fields(oldOptions), name) {
		return "", true
	}
	for _, prefix := range []string{"--without-http_", "--without-stream_"} {
		if module, ok := strings.CutPrefix(name, prefix); ok {
			module = strings.TrimSuffix(module, "_module")
			return "", slices.Contains(strings.Fields(switchedOff), module)
		}
	}
	return "", false
}
