package preflight

import (
	"regexp"
	"strings"
)

// refusal is why a binary did not start or refused a configuration.
type refusal struct {
	trap    string // the ID it belongs to; "" if it says nothing about the binary (see readOnly)
	message string // its own words, without "nginx: [emerg]"
	at      string // "file:line", if it names one
	subject string // what it is about: the directive, module or library
}

// Messages of nginx (core/ngx_conf_file.c, core/nginx.c), of glibc's and musl's loaders and of env(1). The
// first one that fits tells the trap; its first group is the subject.
var refusals = []struct {
	trap string
	text *regexp.Regexp
}{
	{"library-missing", regexp.MustCompile(`error while loading shared libraries: ([^:\s]+):`)},
	{"library-missing", regexp.MustCompile("([^\\s:]+): version [`']\\S+' not found \\(required by")},
	{"library-missing", regexp.MustCompile(`Error loading shared library ([^:\s]+):`)},
	{"library-missing", regexp.MustCompile(`Error relocating [^:]+: ([^:\s]+): symbol not found`)},
	{"library-missing", regexp.MustCompile(`symbol lookup error: .*undefined symbol: ([^,\s]+)`)},
	{"library-missing", regexp.MustCompile(`(?m)^env: .*: (No such file or directory)`)}, // the loader itself
	{"argv-reused", regexp.MustCompile(`invalid option: "([^"]*)"`)},
	{"module-already-loaded", regexp.MustCompile(`module "([^"]+)" is already loaded`)},
	{"module-signature", regexp.MustCompile(`module "([^"]+)" is not binary compatible`)},
	{"module-signature", regexp.MustCompile(`module "([^"]+)" version \d+ instead of \d+`)},
	{"module-signature", regexp.MustCompile(`dlopen\(\) "([^"]+)" failed \(.*undefined symbol`)},
	{"library-missing", regexp.MustCompile(`dlopen\(\) "[^"]+" failed \(([^:\s]+): cannot open shared object`)},
	{"module-signature", regexp.MustCompile(`dl(?:open|sym)\(\) "([^"]+)"`)},
	{"module-lost", regexp.MustCompile(`unknown directive "([^"]+)"`)},
	{"module-lost", regexp.MustCompile(`unknown "([^"]+)" variable`)},
	{"module-lost", regexp.MustCompile(`requires (ngx_\w+)`)},
	{readOnly, regexp.MustCompile(`\((30: Read-only file system)\)`)},
}

// readOnly marks a refusal that may be the sandbox's doing: file systems that cannot be overlaid are
// read-only in it.
const readOnly = ""

var (
	emergency = regexp.MustCompile(`(?m)^.*\[emerg\] (?:\d+#\d+: )?(.*)$`)
	place     = regexp.MustCompile(` in (\S+:\d+|command line)$`)
)

// classify reads what a binary printed when it failed under -V or -t.
func classify(output string) refusal {
	r := refusal{trap: "config-test", message: firstLine(output)}
	if m := emergency.FindStringSubmatch(output); m != nil {
		r.message = m[1]
	}
	if m := place.FindStringSubmatch(r.message); m != nil {
		r.at = m[1]
	}
	for _, known := range refusals {
		if m := known.text.FindStringSubmatch(output); m != nil {
			r.trap, r.subject = known.trap, m[1]
			break
		}
	}
	return r
}

func firstLine(text string) string {
	line, _, _ := strings.Cut(strings.TrimSpace(text), "\n")
	if line == "" {
		return "it printed nothing"
	}
	return line
}

// warnings lists what nginx warned of, without its prefix.
func warnings(output string) []string {
	var list []string
	for line := range strings.Lines(output) {
		if _, text, found := strings.Cut(strings.TrimSpace(line), "[warn] "); found {
			list = append(list, text)
		}
	}
	return list
}
