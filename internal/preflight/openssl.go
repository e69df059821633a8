package preflight

import (
	"cmp"
	"fmt"
	"path"
	"regexp"
	"strings"

	"graft/internal/elffile"
)

// tlsLibrary is one version of a TLS library as it names itself: "OpenSSL 3.0.11 19 Sep 2023".
type tlsLibrary struct {
	name, version string
}

func (l tlsLibrary) String() string { return l.name + " " + l.version }

// builtWith reads the line of -V: what the binary was compiled with and, if it is another, what it runs with.
var builtWith = regexp.MustCompile(`^(\S+) (\d\S*)[^(]*(?:\(running with (\S+) (\d\S*)[^)]*\))?`)

// tlsLibraries reads "OpenSSL 3.0.20 7 Apr 2026 (running with OpenSSL 3.0.19 27 Jan 2026)".
func tlsLibraries(line string) (built, running tlsLibrary, ok bool) {
	m := builtWith.FindStringSubmatch(line)
	if m == nil {
		return tlsLibrary{}, tlsLibrary{}, false
	}
	built = tlsLibrary{m[1], m[2]}
	running = built
	if m[3] != "" {
		running = tlsLibrary{m[3], m[4]}
	}
	return built, running, true
}

// series is what a library keeps its ABI in: OpenSSL's 1.0.2, 1.1.1 and 3.
func (l tlsLibrary) series() string {
	parts := strings.SplitN(l.version, ".", 3)
	if l.name == "OpenSSL" && parts[0] != "1" {
		return parts[0]
	}
	number, _, _ := strings.Cut(l.version, "-") // "1.0.2k-fips"
	return strings.TrimRight(number, "abcdefghijklmnopqrstuvwxyz")
}

// opensslABI compares the TLS library that each binary was compiled with and the one that the loader gives
// it here, as the binary itself tells. nginx compiles its own ways around a library's version in
// (OPENSSL_VERSION_NUMBER), so that another series may break what -t never calls.
func opensslABI(e *examination) Check {
	if !e.newHelp.passed() {
		if e.newHelp.err != nil {
			return e.untried(e.newHelp.err)
		}
		return e.unknown("library-missing", e.newHelp)
	}
	built, running, uses := tlsLibraries(e.build.BuiltWith)
	if !uses {
		if e.Instance.Build.BuiltWith != "" {
			return ok("the target has no TLS library (-V); the running binary has %s", e.Instance.Build.BuiltWith)
		}
		return ok("neither binary has a TLS library (-V)")
	}
	from := e.loadedTLS()
	told := fmt.Sprintf("the target is built with %s and runs with %s (-V in isolation%s)", built, running, from)
	const rebuild = "build the target on this host, against its own library: graft build --like PID"
	if built.name != running.name || built.series() != running.series() {
		return warning(rebuild, "%s: that is another library or series of it, and what nginx compiled in for %s may not fit", told, built)
	}
	if built.name == "OpenSSL" && older(running.version, minorOf(built.version)) {
		return warning("install that version or a later one, or "+rebuild, "%s: that is an older minor release than it was compiled for", told)
	}
	_, now, had := tlsLibraries(e.Instance.Build.BuiltWith)
	if had && (now.name != running.name || now.series() != running.series()) {
		return note("compare what TLS clients get: openssl s_client -connect HOST:443 -tls1_2, before and after; protocols, ciphers and engines differ in their defaults",
			"%s; the running binary has %s", told, now)
	}
	if replaced := e.replacedTLS(); replaced != "" {
		return note("", "%s. Master %d still runs with %s, which was replaced on the disk", told, e.Instance.Master.PID, replaced)
	}
	return ok("%s; the running binary has %s", told, cmp.Or(e.Instance.Build.BuiltWith, "none"))
}

// minorOf is the first release of a version's minor series: "3.2.0" of "3.2.4".
func minorOf(version string) string {
	parts := strings.SplitN(version, ".", 3)
	if len(parts) < 2 {
		return version
	}
	return parts[0] + "." + parts[1] + ".0"
}

// loadedTLS tells the file that the loader takes for the target, for evidence.
func (e *examination) loadedTLS() string {
	opts := elffile.Options{At: e.binary, Dir: e.Instance.Cwd}
	if prefix := e.Target.Manifest.Prefix; prefix != "" {
		opts.Trees = []elffile.Tree{{Dir: e.Target.Tree() + prefix, At: prefix}}
	}
	libraries, err := elffile.Libraries(e.Target.BinaryPath(), opts)
	if err != nil {
		return ""
	}
	for _, l := range libraries {
		if strings.HasPrefix(l.Name, "libssl.") && l.Path != "" {
			return ", " + l.Path
		}
	}
	return ", linked in"
}

// replacedTLS is the library that the master has mapped and that no path leads to any more; "" if there is
// none.
func (e *examination) replacedTLS() string {
	files, err := e.FS.Unlinked(e.Instance.Master.PID)
	if err != nil {
		return ""
	}
	for _, file := range files {
		if strings.HasPrefix(path.Base(file), "libssl.") {
			return file
		}
	}
	return ""
}
