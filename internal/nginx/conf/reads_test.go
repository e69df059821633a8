package conf

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestReadsListsWhatDecidesTheAnswers(t *testing.T) {
	directives, err := Parse("nginx.conf", []byte(`load_module modules/a.so; pid run/nginx.pid; error_log logs/e.log;
http {
    access_log logs/a.log; root html; proxy_cache_path cache keys_zone=a:1m; client_body_temp_path temp;
    server {
        ssl_certificate a.pem; ssl_certificate_key /keys/a.key; ssl_session_ticket_key t.key; ssl_stapling_file a.der;
        location /a { auth_basic_user_file users; proxy_ssl_trusted_certificate ca.pem; }
        location /b { auth_basic_user_file off; content_by_lua_file lua/b.lua; }
        location /c { auth_basic_user_file users; rewrite_by_lua_file lua/$host.lua; }
    }
    server { ssl_certificate $ssl_server_name.pem; ssl_certificate_key "engine:pkcs11:a"; }
}`))
	if err != nil {
		t.Fatal(err)
	}
	c := &Config{Directives: directives, ConfPrefix: "/etc/nginx/"}
	want := []string{"/usr/share/nginx/modules/a.so", "/etc/nginx/a.pem", "/keys/a.key", "/etc/nginx/users", "/etc/nginx/ca.pem", "/usr/share/nginx/lua/b.lua"}
	if diff := cmp.Diff(want, c.Reads("/usr/share/nginx/")); diff != "" {
		t.Error(diff)
	}
}
