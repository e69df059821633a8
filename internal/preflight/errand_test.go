package preflight

import "testing"

func TestErrandsAreKnownByTheirWords(t *testing.T) {
	for line, want := range map[string]deed{
		"systemctl reload nginx":                                            reloads,
		"/bin/systemctl --quiet reload nginx.service || true":               reloads,
		"systemctl restart nginx":                                           starts,
		"systemctl try-reload-or-restart nginx.service":                     starts,
		"systemctl stop nginx":                                              stops,
		"systemctl kill -s HUP nginx":                                       reloads,
		"systemctl reload apache2":                                          0,
		"systemctl status nginx":                                            0,
		"service nginx reload":                                              reloads,
		"service nginx upgrade":                                             starts,
		"service nginx status":                                              0,
		"invoke-rc.d nginx rotate >/dev/null 2>&1":                          0,
		"/etc/init.d/nginx restart":                                         starts,
		"nginx -s reload":                                                   reloads,
		"nginx -t && nginx -s reload":                                       reloads,
		"nginx -t":                                                          0,
		"nginx -s reopen":                                                   0,
		"/usr/sbin/nginx -s quit":                                           stops,
		"/usr/local/openresty/bin/openresty":                                starts,
		"/usr/sbin/nginx -c /etc/nginx/nginx.conf":                          starts,
		`start program = "/usr/sbin/nginx"`:                                 starts,
		`stop program = "/usr/sbin/nginx -s stop"`:                          stops,
		"check process nginx with pidfile /run/nginx.pid":                   0,
		"renew_hook = systemctl reload nginx":                               reloads,
		"kill -HUP $(cat /run/web.pid)":                                     reloads,
		"[ -s /run/nginx.pid ] && kill -USR1 `cat /run/nginx.pid`":          0,
		"test -f /run/nginx.pid && /bin/kill -s QUIT $(cat /run/nginx.pid)": stops,
		"kill -USR2 `cat /run/nginx.pid`":                                   starts,
		"kill -HUP $(cat /run/apache2.pid)":                                 0,
		"pkill -HUP nginx":                                                  reloads,
		"killall nginx":                                                     stops,
		"pkill -HUP php-fpm":                                                0,
		"/bin/sh -c 'systemctl reload nginx'":                               reloads,
		"if pgrep nginx; then systemctl start nginx; fi":                    starts,
		"# systemctl restart nginx":                                         0,
		"rsync -a /etc/nginx/ backup:/nginx":                                0,
		"/var/log/nginx/*.log {":                                            0,
		"certbot renew --deploy-hook 'nginx -s reload'":                     0, // its hook is written to renewal/*.conf as well
	} {
		e, found := readErrand(line, "/run/web.pid")
		if e.does != want || found != (want != 0) {
			t.Errorf("%s: %v, want %v", line, e.does, want)
		}
	}
	if e, _ := readErrand("systemctl reload nginx", ""); !e.byService || e.byName {
		t.Errorf("through the service: %+v", e)
	}
	if e, _ := readErrand("pkill -HUP nginx", ""); !e.byName {
		t.Errorf("by name: %+v", e)
	}
	if e, _ := readErrand("nginx -s reload", ""); e.byName || e.byService {
		t.Errorf("by the pid file: %+v", e)
	}
}
