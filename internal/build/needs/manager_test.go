package needs

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// What dnf 4.14 printed about packages made for that: one new with what it needs, one upgraded.
const dnfUpgrades = `Last metadata expiration check: 0:00:01 ago on Tue Nov 24 02:00:41 2026.
Dependencies resolved.
================================================================================
 Package               Architecture    Version             Repository      Size
================================================================================
Installing:
 GeoIP-devel           noarch          1.6-1               local          5.4 k
 gd-devel              noarch          2.3.0-1             local          5.4 k
Upgrading:
 gd                    noarch          2.3.0-1             local          5.4 k
Installing dependencies:
 libpng-devel          noarch          1.6-1               local          5.4 k

Transaction Summary
================================================================================
Install  3 Packages
Upgrade  1 Package

Total size: 22 k
Operation aborted.
`

// The same of a package that takes another's place.
const dnfReplaces = `Dependencies resolved.
================================================================================
 Package               Architecture     Version           Repository       Size
================================================================================
Installing:
 kills-devel           noarch           1.0-1             local           5.4 k
     replacing  gd.noarch 2.2.5-1

Transaction Summary
================================================================================
Install  1 Package

Total size: 5.4 k
Operation aborted.
`

func TestWhatPackageManagersWouldDo(t *testing.T) {
	for name, tt := range map[string]struct {
		manager, said string
		want          changes
		declined      bool
	}{
		"dnf":                     {"dnf", dnfUpgrades, changes{installs: []string{"GeoIP-devel", "gd-devel", "libpng-devel"}, upgrades: []string{"gd"}}, true},
		"dnf, replacing":          {"dnf", dnfReplaces, changes{installs: []string{"kills-devel"}, removes: []string{"gd.noarch"}}, true},
		"dnf, nothing to do":      {"dnf", "Package gd-2.2.5-1.noarch is already installed.\nDependencies resolved.\nNothing to do.\nComplete!\n", changes{}, false},
		"dnf, no such package":    {"dnf", "No match for argument: nonesuch-devel\nError: Unable to find a match: nonesuch-devel\n", changes{}, false},
		"apt":                     {"apt-get", "NOTE: This is only a simulation!\nRemv a [1]\nInst b [1] (2 x [all])\nInst c (1 Debian:12 [amd64])\nConf c (1 Debian:12 [amd64])\n", changes{installs: []string{"c"}, upgrades: []string{"b"}, removes: []string{"a"}}, false},
		"apk":                     {"apk", "(1/4) Installing zlib-dev (1.3.1-r1)\n(2/4) Upgrading zlib (1.3-r0 -> 1.3.1-r1)\n(3/4) Purging libressl-dev (3.8-r0)\n(4/4) Installing openssl-dev (3.3-r0)\nOK: 250 MiB in 80 packages\n", changes{installs: []string{"zlib-dev", "openssl-dev"}, upgrades: []string{"zlib"}, removes: []string{"libressl-dev"}}, false},
		"not one of its messages": {"dnf", "\n \nInstalling:\n\n x\n", changes{}, false},
	} {
		m := managers[tt.manager]
		if diff := cmp.Diff(tt.want, m.read(tt.said), cmp.AllowUnexported(changes{})); diff != "" || m.declined(tt.said) != tt.declined {
			t.Errorf("%s: declined %v\n%s", name, m.declined(tt.said), diff)
		}
	}
}

func TestPackagesOfWhatRunsAreNotChanged(t *testing.T) {
	for name, refused := range map[string]bool{
		"nginx": true, "nginx-common": true, "libnginx-mod-stream": true, "openresty": true, "angie-module-x": true, "nginx.x86_64": true,
		"libxslt1-dev": false, "nginxfoo": false, "python3-certbot-nginx": false,
	} {
		c := changes{installs: []string{"zlib1g-dev"}, upgrades: []string{name}}
		if err := c.refusal([]string{"zlib1g-dev"}); (err != nil) != refused {
			t.Errorf("%s: %v", name, err)
		}
	}
}
