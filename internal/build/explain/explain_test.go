package explain

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"graft/internal/build/job"
	"graft/internal/build/needs"
	"graft/internal/build/source"
	"graft/internal/nginxtest"
	"graft/internal/sandbox"
)

func TestMain(m *testing.M) {
	sandbox.Main()
	os.Exit(m.Run())
}

// release is a Debian 12, whatever the tests run on.
func release(t *testing.T, text string) source.OSRelease {
	t.Helper()
	file := filepath.Join(t.TempDir(), "os-release")
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	r, err := source.ReadOSRelease(file)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

const debian12 = "ID=debian\nVERSION_ID=12\nVERSION_CODENAME=bookworm\n"

// Each failure is provoked on a real nginx tree with the real tools, in a copy-on-write view of this machine
// that vanishes: headers and libraries are taken away, not named in a mock.
func TestFailuresProvoked(t *testing.T) {
	tree := nginxtest.Source(t, "1.26.3")
	const small = "--without-http_gzip_module --without-http_rewrite_module --without-http "
	for name, tt := range map[string]struct {
		script string
		remedy string // what it must name
	}{
		"XSLT":                    {`rm -rf /usr/include/libxslt /usr/include/libxml2; ./configure --with-http_xslt_module`, "libxml2-dev libxslt1-dev"},
		"GD":                      {`rm -f /usr/include/gd.h; ./configure --with-http_image_filter_module`, "apt-get install libgd-dev"},
		"GeoIP":                   {`rm -f /usr/include/GeoIP.h; ./configure --with-http_geoip_module`, "apt-get install libgeoip-dev"},
		"PCRE":                    {`rm -f /usr/include/pcre*.h; ./configure`, "apt-get install libpcre2-dev"},
		"OpenSSL":                 {`find /usr/include -path '*openssl*' -name '*.h' -delete; ./configure --with-http_ssl_module --without-http_rewrite_module`, "apt-get install libssl-dev"},
		"zlib":                    {`rm -f /usr/include/zlib.h; ./configure --without-http_rewrite_module`, "apt-get install zlib1g-dev"},
		"libatomic":               {`rm -f /usr/include/atomic_ops.h; ./configure --with-libatomic ` + small, "apt-get install libatomic-ops-dev"},
		"perftools":               {`rm -rf /usr/include/gperftools /usr/lib/*/libprofiler.so; ./configure --with-google_perftools_module ` + small, "libgoogle-perftools-dev"},
		"no compiler":             {`rm -f /usr/bin/cc /usr/bin/gcc /usr/bin/*-linux-gnu-gcc* /usr/local/bin/cc /usr/local/bin/gcc; ./configure ` + small, "gcc libc6-dev"},
		"unknown option":          {`./configure --with-http_spdy_module`, "--without-flag=--with-http_spdy_module"},
		"library without its .so": {`./configure --with-ld-opt=-lz ` + small + `>/dev/null && find /usr/lib -name 'libz.so' -delete -o -name libz.a -delete; make`, "apt-get install zlib1g-dev"},
		"header while compiling":  {`./configure ` + small + `>/dev/null && sed -i '1i #include <zlib.h>' src/core/nginx.c && rm -f /usr/include/zlib.h; make`, "apt-get install zlib1g-dev"},
		"-Werror":                 {`./configure --with-cc-opt='-Wextra -Wconversion -Werror' ` + small + `>/dev/null && make`, "--flag=--with-cc-opt=-Wno-error="},
		"-fPIE in a module":       {`./configure --with-cc-opt=-fPIE --with-mail=dynamic ` + small + `>/dev/null && make modules`, "-fPIC"},
		"no space":                {`mkdir /tmp/small && mount -t tmpfs -o size=3m none /tmp/small && cp -r auto configure src /tmp/small/; cd /tmp/small && ./configure ` + small + `>/dev/null && make -j2`, "XDG_CACHE_HOME"},
		"no memory":               {`./configure ` + small + `>/dev/null && ulimit -v 60000 && make`, "--jobs 1"},
		"noexec":                  {`mkdir /tmp/small && mount -t tmpfs -o noexec none /tmp/small && cp -r auto configure src /tmp/small/; cd /tmp/small && ./configure`, "XDG_CACHE_HOME"},
		"old nginx, new glibc":    {`./configure ` + small + `>/dev/null && echo 'int old(struct crypt_data *cd); int old(struct crypt_data *cd) { return cd->current_salt[0]; }' >>src/os/unix/ngx_user.c && make`, "newer source"},
		"a module of another age": {`mkdir -p ../modules/ngx_old && printf 'ngx_addon_name=ngx_old\nNGX_ADDON_SRCS="$NGX_ADDON_SRCS $ngx_addon_dir/old.c"\n' >../modules/ngx_old/config
			printf '#include <ngx_config.h>\n#include <ngx_core.h>\nint old(ngx_connection_t *c);\nint old(ngx_connection_t *c) { return c->single_connection; }\n' >../modules/ngx_old/old.c
			./configure --add-module=../modules/ngx_old ` + small + `>/dev/null && make`, "--add-module DIR"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tool := fail(t, tree, tt.script)
			got, ok := Failure(tool, release(t, debian12))
			if !ok || !strings.Contains(got.Remedy, tt.remedy) || got.What == "" {
				t.Errorf("%+v (known: %v), want %q\n%s", got, ok, tt.remedy, strings.Join(tool.Lines, "\n"))
			}
		})
	}
}

// fail runs the script at the top of a tree, in a sandbox, as a build runs its programs.
func fail(t *testing.T, tree, script string) *job.ToolError {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	cmd, err := sandbox.Command(ctx, sandbox.Options{}, "/bin/sh", "-c", "cp -a "+tree+" /tmp/tree && cd /tmp/tree && "+script)
	if err != nil {
		t.Fatal(err)
	}
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() == sandbox.ExitSetup {
		t.Fatalf("the script did not fail as it should: %v\n%s", err, out)
	}
	return &job.ToolError{Args: []string{"./configure"}, Lines: job.Telling(string(out)), Err: err}
}

// The packages are the distribution's own.
func TestRemediesNameThePackagesOfTheFamily(t *testing.T) {
	tool := &job.ToolError{Lines: []string{"./configure: error: the HTTP XSLT module requires the libxml2/libxslt"}}
	for text, want := range map[string]string{
		debian12: "apt-get install libxml2-dev libxslt1-dev",
		"ID=rocky\nID_LIKE=\"rhel\"\nVERSION_ID=9.4\n": "dnf install libxml2-devel libxslt-devel",
		"ID=alpine\nVERSION_ID=3.20.1\n":               "apk add libxml2-dev libxslt-dev",
	} {
		if got, ok := Failure(tool, release(t, text)); !ok || got.Remedy != want {
			t.Errorf("%+v, want %q", got, want)
		}
	}
}

// Every dependency that a row names is one that needs knows: else the remedy would be a vague sentence.
func TestDependenciesOfTheRowsAreKnown(t *testing.T) {
	r := release(t, debian12)
	for _, name := range []string{"C compiler", "C library headers", "libxml2", "libxslt", "GD", "GeoIP", "PCRE", "PCRE2", "OpenSSL", "zlib", "libatomic_ops", "Google perftools", "Perl headers"} {
		if k, ok := needs.ByName(name, r); !ok || k.Install == "" {
			t.Errorf("%s: %+v, known: %v", name, k, ok)
		}
	}
}

func TestUnknownFailureIsNotExplained(t *testing.T) {
	if got, ok := Failure(&job.ToolError{Lines: []string{"something else happened"}}, release(t, debian12)); ok {
		t.Errorf("%+v", got)
	}
}
