package needs

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"

	"graft/internal/build/job"
)

// headers is what the preprocessor and PATH tell.
type headers struct {
	programs    map[string]bool
	broken      string            // what the compiler said, if it cannot even preprocess
	macros      map[string]string // a few that tell versions
	fingerprint string
}

var (
	haveMacro    = regexp.MustCompile(`(?m)^#define GRAFT_HAVE_([0-9]+)_([0-9]+) 1$`)
	versionMacro = regexp.MustCompile(`(?m)^#define (OPENSSL_VERSION_MAJOR|__GNUC__|__clang_major__) ([0-9]+)`)
)

// findHeaders looks for programs in PATH, and asks the preprocessor, in one run, which headers it finds
// and all macros that the version headers define: it sees what configure will see. It sets alt of list.
func findHeaders(ctx context.Context, j *job.Job, s subject, list []needed) (headers, error) {
	h := headers{programs: map[string]bool{}, macros: map[string]string{}}
	for _, n := range list {
		for _, tool := range n.programs(s) {
			h.programs[tool] = inPath(tool)
		}
	}
	if !h.programs[s.compiler()[0]] {
		return h, nil
	}
	command := append(s.compiler(), "-E", "-dM")
	command = append(append(command, s.searchWords("--with-cc-opt")...), "-x", "c", "-")
	out, err := preprocess(ctx, j, command, probeText(list, true))
	if err != nil {
		// A version header may include what is not here.
		out, err = preprocess(ctx, j, command, probeText(list, false))
	}
	var failed *job.ToolError
	switch {
	case err == nil:
	case ctx.Err() != nil || !errors.As(err, &failed):
		return headers{}, fmt.Errorf("ask the compiler for its headers: %w", err)
	default:
		h.broken = failed.Err.Error()
		if len(failed.Lines) > 0 {
			h.broken = failed.Lines[0]
		}
		return h, nil
	}
	if bytes.Contains(out, []byte("#define GRAFT_PROBED 1")) {
		for _, m := range haveMacro.FindAllSubmatch(out, -1) {
			var i, k int
			fmt.Sscan(string(m[1])+" "+string(m[2]), &i, &k) //nolint:errcheck // they are digits
			list[i].alt[k] = true
		}
	} else if err := includeEach(ctx, j, command, list); err != nil {
		return headers{}, err
	}
	for _, m := range versionMacro.FindAllSubmatch(out, -1) {
		h.macros[string(m[1])] = string(m[2])
	}
	sum := sha256.Sum256(out)
	h.fingerprint = hex.EncodeToString(sum[:])
	return h, nil
}

func preprocess(ctx context.Context, j *job.Job, command []string, text string) ([]byte, error) {
	var out bytes.Buffer
	err := j.Run(ctx, job.Command{Args: command, In: text, Out: &out})
	return out.Bytes(), err
}

// probeText is a source that defines a macro for each header that is here.
func probeText(list []needed, versions bool) string {
	var text strings.Builder
	text.WriteString("#ifdef __has_include\n#define GRAFT_PROBED 1\n")
	for i, n := range list {
		for k, l := range n.have {
			for _, header := range l.headers {
				fmt.Fprintf(&text, "#if __has_include(<%s>)\n#define GRAFT_HAVE_%d_%d 1\n#endif\n", header, i, k)
			}
			if len(l.headers) == 0 {
				fmt.Fprintf(&text, "#define GRAFT_HAVE_%d_%d 1\n", i, k)
			}
			if l.version == "" || !versions {
				continue
			}
			if l.define != "" {
				fmt.Fprintf(&text, "#define %s\n", l.define)
			}
			fmt.Fprintf(&text, "#if __has_include(<%s>)\n#include <%s>\n#endif\n", l.version, l.version)
		}
	}
	text.WriteString("#endif\n")
	return text.String()
}

// includeEach asks for one header after the other: compilers before gcc 5 have no __has_include.
func includeEach(ctx context.Context, j *job.Job, command []string, list []needed) error {
	for i, n := range list {
		for k, l := range n.have {
			list[i].alt[k] = len(l.headers) == 0
			for _, header := range l.headers {
				_, err := preprocess(ctx, j, command, "#include <"+header+">\n")
				if ctx.Err() != nil {
					return ctx.Err()
				}
				list[i].alt[k] = list[i].alt[k] || err == nil
			}
		}
	}
	return nil
}

// inPath tells whether a program can be started. OpenResty's configure looks for ldconfig in PATH,
// where users who are not root often have no sbin; the build adds those.
func inPath(program string) bool {
	if _, err := exec.LookPath(program); err == nil {
		return true
	}
	if strings.Contains(program, "/") {
		return false
	}
	for _, dir := range []string{"/usr/sbin", "/sbin"} {
		if info, err := os.Stat(filepath.Join(dir, program)); err == nil && info.Mode()&0o111 != 0 {
			return true
		}
	}
	return false
}

var (
	// searchWord fits words that change where headers and libraries are looked for, or for which machine.
	searchWord = regexp.MustCompile(`^(-I.|-L.|-B.|--sysroot=|-m(32|64|x32|arch=|cpu=|abi=)|-D(PCRE|OPENSSL)|-fuse-ld=|-Wl,-rpath-link)`)
	// searchPair fits those whose value is the next word.
	searchPair = regexp.MustCompile(`^(-I|-L|-B|-isystem|-idirafter|-iquote|-isysroot|--sysroot)$`)
)

// searchWords are those of --with-cc-opt or --with-ld-opt by which headers and libraries are found. The
// others may name what is only there when the tree is, as -include does.
func (s subject) searchWords(option string) []string {
	var kept []string
	for _, arg := range s.Configure {
		value, ok := strings.CutPrefix(arg, option+"=")
		if !ok {
			continue
		}
		words := strings.Fields(strings.NewReplacer("'", "", `"`, "").Replace(value))
		for i, word := range words {
			switch {
			case searchPair.MatchString(word) && i+1 < len(words):
				kept = append(kept, word, words[i+1])
			case searchWord.MatchString(word):
				kept = append(kept, word)
			}
		}
	}
	return kept
}
