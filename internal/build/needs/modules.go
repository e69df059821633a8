package needs

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
)

// thirdParty is a need of third-party modules of these names, as flags.ModuleName gives them.
func thirdParty(names ...string) func(subject) string {
	return func(s subject) string { return s.module(names...) }
}

// moduleNeeds are what third-party modules need beyond what nginx's configure looks for by itself;
// each is what the module's own config file tests.
var moduleNeeds = []need{
	{name: "PAM", why: thirdParty("auth-pam"), have: []library{{headers: []string{"security/pam_appl.h"}, links: []string{"-lpam"}, symbol: "pam_start"}},
		packages: packages{debian: "libpam0g-dev", rhel: "pam-devel", alpine: "linux-pam-dev", suse: "pam-devel", arch: "pam"}},
	{name: "libmaxminddb", why: thirdParty("geoip2"), have: []library{{headers: []string{"maxminddb.h"}, links: []string{"-lmaxminddb"}, symbol: "MMDB_open"}},
		packages: packages{debian: "libmaxminddb-dev", rhel: "libmaxminddb-devel", alpine: "libmaxminddb-dev", suse: "libmaxminddb-devel", arch: "libmaxminddb"}},
	{name: "Brotli", why: brotli, have: []library{{headers: []string{"brotli/encode.h"}, links: []string{"-lbrotlienc"}, symbol: "BrotliEncoderCreateInstance"}},
		packages: packages{debian: "libbrotli-dev", rhel: "brotli-devel", alpine: "brotli-dev", suse: "libbrotli-devel", arch: "brotli"}},
	{name: "Zstandard", why: thirdParty("zstd"), have: []library{{headers: []string{"zstd.h"}, links: []string{"-lzstd"}, symbol: "ZSTD_createCStream"}},
		packages: packages{debian: "libzstd-dev", rhel: "libzstd-devel", alpine: "zstd-dev", suse: "libzstd-devel", arch: "zstd"}},
	{name: "ModSecurity", why: thirdParty("modsecurity"), have: []library{{headers: []string{"modsecurity/modsecurity.h"}, links: []string{"-lmodsecurity"}, symbol: "msc_init"}},
		packages: packages{debian: "libmodsecurity-dev", rhel: "libmodsecurity-devel", epel: true, alpine: "libmodsecurity-dev", arch: "libmodsecurity"}},
	{name: "OpenLDAP", why: thirdParty("auth-ldap"), have: []library{{headers: []string{"ldap.h"}, links: []string{"-lldap"}, symbol: "ldap_initialize"}},
		packages: packages{debian: "libldap-dev", rhel: "openldap-devel", alpine: "openldap-dev", suse: "openldap2-devel", arch: "libldap"}},
	{name: "GSSAPI", why: thirdParty("auth-spnego", "spnego-http-auth"), have: []library{{headers: []string{"gssapi/gssapi.h"}, links: []string{"-lgssapi_krb5"}, symbol: "gss_accept_sec_context"}},
		packages: packages{debian: "libkrb5-dev", rhel: "krb5-devel", alpine: "krb5-dev", suse: "krb5-devel", arch: "krb5"}},
	{name: "libpq", why: thirdParty("postgres"), have: []library{{headers: []string{"libpq-fe.h", "postgresql/libpq-fe.h"}, links: []string{"-lpq"}, symbol: "PQconnectStart"}},
		packages: packages{debian: "libpq-dev", rhel: "libpq-devel", alpine: "libpq-dev", suse: "postgresql-devel", arch: "postgresql-libs"}},
}

// others are libraries that a module's config file may name; which module does is not known beforehand.
var others = []need{
	{name: "YAJL", have: []library{{links: []string{"-lyajl"}}},
		packages: packages{debian: "libyajl-dev", rhel: "yajl-devel", alpine: "yajl-dev", suse: "libyajl-devel", arch: "yajl"}},
	{name: "Jansson", have: []library{{links: []string{"-ljansson"}}},
		packages: packages{debian: "libjansson-dev", rhel: "jansson-devel", alpine: "jansson-dev", suse: "libjansson-devel", arch: "jansson"}},
	{name: "librdkafka", have: []library{{links: []string{"-lrdkafka"}}},
		packages: packages{debian: "librdkafka-dev", rhel: "librdkafka-devel", epel: true, alpine: "librdkafka-dev", suse: "librdkafka-devel", arch: "librdkafka"}},
	{name: "libcurl", have: []library{{links: []string{"-lcurl"}}},
		packages: packages{debian: "libcurl4-openssl-dev", rhel: "libcurl-devel", alpine: "curl-dev", suse: "libcurl-devel", arch: "curl"}},
	{name: "hiredis", have: []library{{links: []string{"-lhiredis"}}},
		packages: packages{debian: "libhiredis-dev", rhel: "hiredis-devel", epel: true, alpine: "hiredis-dev", suse: "hiredis-devel", arch: "hiredis"}},
}

// brotli returns the module unless its source brings the library along.
func brotli(s subject) string {
	for _, m := range s.modules {
		if m.name != "brotli" {
			continue
		}
		if _, err := os.Stat(filepath.Join(m.dir, "deps/brotli/c/include/brotli/encode.h")); m.dir == "" || err != nil {
			return m.arg
		}
	}
	return ""
}

// maybe is a library that a module's config file names; whether it is needed only configure finds out.
type maybe struct {
	link string // "-lyajl"
	arg  string // of the module
}

var linkWord = regexp.MustCompile(`(^|[\s"'=])(-l[A-Za-z0-9_][A-Za-z0-9_+.-]*)`)

// ordinary libraries come with the compiler or the C library; LuaJIT is found by a way of its own.
var ordinary = []string{"-lc", "-lm", "-ldl", "-lpthread", "-lrt", "-lcrypt", "-lstdc++", "-lgcc", "-lluajit-5.1", "-llua51", "-llua"}

// maybes reads the libraries out of the modules' config files that no rule knows of.
func (s subject) maybes(known []needed) []maybe {
	seen := slices.Clone(ordinary)
	for _, n := range known {
		for _, l := range n.have {
			seen = append(seen, l.links...)
		}
	}
	var list []maybe
	for _, m := range s.modules {
		for _, word := range linkWord.FindAllStringSubmatch(uncommented(m.config), -1) {
			if link := word[2]; !slices.Contains(seen, link) {
				seen = append(seen, link)
				list = append(list, maybe{link: link, arg: m.arg})
			}
		}
	}
	return list
}

var shellComment = regexp.MustCompile(`(?m)(^|\s)#.*$`)

func uncommented(script string) string { return shellComment.ReplaceAllString(script, "") }
