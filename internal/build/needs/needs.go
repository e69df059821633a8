// Package needs predicts, from the final configure line, what a build needs on this machine, before
// configure runs.
package needs

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"graft/internal/build/job"
	"graft/internal/build/source"
	"graft/internal/nginx"
	"os/exec"
	"regexp"
	"slices"
	"strings"
)

// Dependency is something the build needs on this machine.
type Dependency struct {
	Name      string `json:"name"` // "OpenSSL"
	Installed bool   `json:"installed"`
	Package   string `json:"package"` // what to install on this distribution; words apart by spaces
}

// need is a dependency as a rule: when it is needed, how it is recognised, who packages it.
type need struct {
	name    string
	header  string   // for the compiler to find
	or      string   // a header that configure falls back to
	version string   // header that holds the version in macros, if it can be included alone
	tools   []string // or programs to find in PATH
	needed  func(n Query) bool
	debian  string
	rhel    string
	alpine  string
}

// Query are the facts that decide what a build needs.
type Query struct {
	Layout    source.Layout
	Nginx     string   // version of the source's nginx core; empty if not known
	Configure []string // the final arguments, unquoted
	PCRE1     bool     // its Lua module can only use PCRE1
}

// Prediction is what a build needs, and what of it is here.
type Prediction struct {
	Dependencies []Dependency
	// Fingerprint is a hash of the compiler's own version and of the libraries' versions.
	Fingerprint string

	family source.Family
}

// Predict finds what q needs and whether this machine, which is of release, has it.
func Predict(ctx context.Context, j *job.Job, q Query, release source.OSRelease) (Prediction, error) {
	tc, err := probeToolchain(ctx, j, q)
	if err != nil {
		return Prediction{}, err
	}
	family := release.Family()
	return Prediction{Dependencies: dependencies(q, tc, family), Fingerprint: tc.fingerprint, family: family}, nil
}

func (n Query) has(names ...string) bool {
	return slices.ContainsFunc(n.Configure, func(arg string) bool { return slices.Contains(names, optionName(arg)) })
}

// optionName is what stands before the "=".
func optionName(arg string) string { name, _, _ := strings.Cut(arg, "="); return name }

func (n Query) bare(name string) bool { return slices.Contains(n.Configure, name) }

func (n Query) ssl() bool {
	return n.Layout == source.LayoutOpenResty || slices.ContainsFunc(n.Configure, func(arg string) bool {
		return strings.HasPrefix(arg, "--with-") && strings.HasSuffix(arg, "_ssl_module") || arg == "--with-http_v3_module"
	})
}

// pcre tells which PCRE headers nginx's configure takes: PCRE2 since 1.21.5 unless it is switched off.
func (n Query) pcre(two bool) bool {
	if n.Layout == source.LayoutDistro && n.PCRE1 || n.bare("--without-http_rewrite_module") || n.has("--without-pcre") || slices.ContainsFunc(n.Configure, func(arg string) bool { return strings.HasPrefix(arg, "--with-pcre=") }) {
		return false
	}
	return two == (!n.PCRE1 && !n.bare("--without-pcre2") && (n.Nginx == "" || nginx.AtLeast(n.Nginx, "1.21.5")))
}

func always(Query) bool { return true }

func openResty(n Query) bool { return n.Layout == source.LayoutOpenResty }

func distro(n Query) bool { return n.Layout == source.LayoutDistro }

// needs are in the order in which a build would miss them.
var needs = []need{
	{name: "C compiler", tools: []string{"cc"}, needed: always, debian: "gcc", rhel: "gcc", alpine: "gcc"},
	{name: "C library headers", header: "stdio.h", needed: always, debian: "libc6-dev", rhel: "glibc-devel", alpine: "musl-dev"},
	{name: "make", tools: []string{"make"}, needed: always, debian: "make", rhel: "make", alpine: "make"},
	{name: "Perl", tools: []string{"perl"}, needed: openResty, debian: "perl", rhel: "perl", alpine: "perl"},
	{name: "patch", tools: []string{"patch"}, needed: distro, debian: "patch"},
	{name: "xz", tools: []string{"xz"}, needed: distro, debian: "xz-utils"},
	{name: "PCRE", header: "pcre.h", version: "pcre.h", needed: func(n Query) bool { return n.pcre(false) },
		debian: "libpcre3-dev", rhel: "pcre-devel", alpine: "pcre-dev"},
	{name: "PCRE2", header: "pcre2.h", or: "pcre.h", needed: func(n Query) bool { return n.pcre(true) },
		debian: "libpcre2-dev", rhel: "pcre2-devel", alpine: "pcre2-dev"},
	{name: "OpenSSL", header: "openssl/ssl.h", version: "openssl/opensslv.h", needed: func(n Query) bool { return n.ssl() && !n.has("--with-openssl") },
		debian: "libssl-dev", rhel: "openssl-devel", alpine: "openssl-dev"},
	{name: "zlib", header: "zlib.h", version: "zlib.h", needed: func(n Query) bool {
		return !n.has("--without-http_gzip_module", "--with-zlib")
	}, debian: "zlib1g-dev", rhel: "zlib-devel", alpine: "zlib-dev"},
	{name: "libxml2", header: "libxml2/libxml/parser.h", needed: func(n Query) bool { return n.has("--with-http_xslt_module") },
		debian: "libxml2-dev", rhel: "libxml2-devel", alpine: "libxml2-dev"},
	{name: "libxslt", header: "libxslt/xslt.h", needed: func(n Query) bool { return n.has("--with-http_xslt_module") },
		debian: "libxslt1-dev", rhel: "libxslt-devel", alpine: "libxslt-dev"},
	{name: "GD", header: "gd.h", needed: func(n Query) bool { return n.has("--with-http_image_filter_module") },
		debian: "libgd-dev", rhel: "gd-devel", alpine: "gd-dev"},
	{name: "GeoIP", header: "GeoIP.h", needed: func(n Query) bool {
		return n.has("--with-http_geoip_module", "--with-stream_geoip_module")
	}, debian: "libgeoip-dev", rhel: "GeoIP-devel", alpine: "geoip-dev"},
	{name: "libatomic_ops", header: "atomic_ops.h", needed: func(n Query) bool { return n.bare("--with-libatomic") },
		debian: "libatomic-ops-dev", rhel: "libatomic_ops-devel", alpine: "libatomic_ops-dev"},
	{name: "Google perftools", header: "gperftools/profiler.h", needed: func(n Query) bool { return n.has("--with-google_perftools_module") },
		debian: "libgoogle-perftools-dev", rhel: "gperftools-devel", alpine: "gperftools-dev"},
	{name: "Perl headers", tools: []string{"perl"}, needed: func(n Query) bool { return n.has("--with-http_perl_module") },
		debian: "libperl-dev", rhel: "perl-devel perl-ExtUtils-Embed", alpine: "perl-dev"},
}

// toolchain is what the compiler tells: which needs are met, and a hash of its own version and of
// the libraries' versions.
type toolchain struct {
	met         map[string]bool // by need's name
	fingerprint string
}

var macro = regexp.MustCompile(`(?m)^#define GRAFT_HAVE_([0-9]+) 1$`)

// probeToolchain asks the preprocessor, in one run, which headers it finds and all macros that the
// version headers define: that takes 20 ms, and it sees what configure would see.
func probeToolchain(ctx context.Context, j *job.Job, n Query) (toolchain, error) {
	tc := toolchain{met: map[string]bool{}}
	var probe strings.Builder
	for i, need := range needs {
		if !need.needed(n) {
			continue
		}
		tc.met[need.name] = !slices.ContainsFunc(need.tools, func(tool string) bool {
			_, err := exec.LookPath(tool)
			return err != nil
		})
		if need.header == "" {
			continue
		}
		fmt.Fprintf(&probe, "#if __has_include(<%s>) || __has_include(<%s>)\n#define GRAFT_HAVE_%d 1\n#endif\n",
			need.header, cmp.Or(need.or, need.header), i)
		if need.version != "" {
			fmt.Fprintf(&probe, "#if __has_include(<%s>)\n#include <%s>\n#endif\n", need.version, need.version)
		}
	}
	if !tc.met["C compiler"] {
		for _, need := range needs {
			if need.header != "" {
				delete(tc.met, need.name)
			}
		}
		return tc, nil
	}
	var out bytes.Buffer
	if err := j.Run(ctx, job.Command{Args: []string{"cc", "-E", "-dM", "-x", "c", "-"}, In: probe.String(), Out: &out}); err != nil {
		return toolchain{}, fmt.Errorf("ask the compiler for its headers: %w", err)
	}
	found := map[string]bool{}
	for _, m := range macro.FindAllStringSubmatch(out.String(), -1) {
		found[m[1]] = true
	}
	for i, need := range needs {
		if need.header != "" && need.needed(n) {
			tc.met[need.name] = found[fmt.Sprint(i)]
		}
	}
	sum := sha256.Sum256(out.Bytes())
	tc.fingerprint = hex.EncodeToString(sum[:])
	return tc, nil
}

// dependencies lists what the build needs, for the people and packages of this distribution.
func dependencies(n Query, tc toolchain, f source.Family) []Dependency {
	list := []Dependency{}
	for _, need := range needs {
		if need.needed(n) {
			list = append(list, Dependency{Name: need.name, Installed: tc.met[need.name], Package: need.packageName(f)})
		}
	}
	return list
}

func (n need) packageName(f source.Family) string {
	switch f {
	case source.FamilyRHEL:
		return n.rhel
	case source.FamilyAlpine:
		return n.alpine
	}
	return n.debian
}

// MissingError says which dependencies are not installed, and what installs them.
type MissingError struct {
	Missing []Dependency
	Install string // one command; empty if the distribution is not known
}

func (e *MissingError) Error() string {
	names := make([]string, len(e.Missing))
	for i, d := range e.Missing {
		names[i] = d.Name
		if d.Package != "" {
			names[i] += " (" + d.Package + ")"
		}
	}
	text := "the build needs what is not installed here: " + strings.Join(names, ", ")
	if e.Install != "" {
		text += "; install it with: " + e.Install
	}
	return text
}

// Missing returns nil if everything is there, else a *MissingError.
func (p Prediction) Missing() error {
	e := &MissingError{}
	var packages []string
	for _, d := range p.Dependencies {
		if !d.Installed {
			e.Missing = append(e.Missing, d)
			packages = append(packages, strings.Fields(d.Package)...)
		}
	}
	if len(e.Missing) == 0 {
		return nil
	}
	installer := map[source.Family]string{source.FamilyDebian: "apt-get install", source.FamilyRHEL: "dnf install", source.FamilyAlpine: "apk add"}[p.family]
	if installer != "" {
		e.Install = installer + " " + strings.Join(packages, " ")
	}
	return e
}
