package nginxtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// apt is apt-get with lists, sources and cache of its own: it reads the
// machine's set-up to learn the mirror, and changes nothing of it.
type apt struct {
	dir    string // everything of it
	config string // its whole configuration, for $APT_CONFIG
}

// openApt prepares apt-get in dir for one suite of the distribution's archive,
// on the mirror that this machine uses, and fetches the package lists.
func openApt(ctx context.Context, dir, suite string) (apt, error) {
	a := apt{dir: dir, config: filepath.Join(dir, "apt.conf")}
	release, err := osRelease()
	if err != nil {
		return apt{}, err
	}
	uri, err := mirror(ctx, release["VERSION_CODENAME"])
	if err != nil {
		return apt{}, err
	}
	acquire, err := output(exec.CommandContext(ctx, "apt-config", "dump", "Acquire"))
	if err != nil {
		return apt{}, fmt.Errorf("read the machine's apt configuration: %w", err)
	}
	// Of the machine's configuration only the proxies, retries and the like are
	// taken: hooks that run after an update would work on the machine's own
	// lists, and further index files (desktop metadata) are not needed.
	var config strings.Builder
	for line := range strings.Lines(acquire) {
		if !strings.HasPrefix(line, "Acquire::IndexTargets") && !strings.HasPrefix(line, "Acquire::Languages") {
			config.WriteString(line)
		}
	}
	fmt.Fprintf(&config, `Acquire::Languages "none";
Dir::Etc::main "/dev/null";
Dir::Etc::parts "%[1]s/empty";
Dir::Etc::sourcelist "/dev/null";
Dir::Etc::sourceparts "%[1]s/sources";
Dir::Etc::preferences "/dev/null";
Dir::Etc::preferencesparts "%[1]s/empty";
Dir::State::lists "%[1]s/lists";
Dir::Cache "%[1]s/cache";
`, dir)
	if os.Geteuid() == 0 {
		// The unprivileged user apt downloads as may not enter root's cache.
		config.WriteString("APT::Sandbox::User \"root\";\n")
	}
	sources := fmt.Sprintf("Types: deb deb-src\nURIs: %s\nSuites: %s\nComponents: main\nSigned-By: /usr/share/keyrings/%s-archive-keyring.gpg\n",
		uri, suite, release["ID"])
	err = errors.Join(
		os.MkdirAll(filepath.Join(dir, "empty"), 0o755),
		os.MkdirAll(filepath.Join(dir, "lists/partial"), 0o755),
		os.MkdirAll(filepath.Join(dir, "cache/archives/partial"), 0o755),
		os.MkdirAll(filepath.Join(dir, "sources"), 0o755),
		os.WriteFile(filepath.Join(dir, "sources/archive.sources"), []byte(sources), 0o644),
		os.WriteFile(a.config, []byte(config.String()), 0o644))
	if err != nil {
		return apt{}, fmt.Errorf("private apt directory: %w", err)
	}
	if err := a.get(ctx, dir, "update"); err != nil {
		return apt{}, fmt.Errorf("package lists of %s: %w", suite, err)
	}
	return a, nil
}

// get runs apt-get with args in the directory dir.
func (a apt) get(ctx context.Context, dir string, args ...string) error {
	// Without Error-Mode=any a list that cannot be fetched is only a warning.
	cmd := exec.CommandContext(ctx, "apt-get", append([]string{"-q", "-o", "APT::Update::Error-Mode=any"}, args...)...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "APT_CONFIG="+a.config, "LC_ALL=C")
	_, err := output(cmd)
	return err
}

// mirror is where this machine gets the packages of its own release from.
func mirror(ctx context.Context, codename string) (string, error) {
	// apt itself reads its configuration, in all formats it ever had.
	out, err := output(exec.CommandContext(ctx, "apt-get", "update", "--print-uris"))
	if err != nil {
		return "", fmt.Errorf("find the package mirror: %w", err)
	}
	for line := range strings.Lines(out) {
		uri, ok := strings.CutPrefix(line, "'")
		if base, _, found := strings.Cut(uri, "/dists/"+codename+"/InRelease'"); ok && found {
			return base, nil
		}
	}
	return "", fmt.Errorf("find the package mirror: apt's sources name none for %q (see apt-get update --print-uris)", codename)
}

// osRelease reads /etc/os-release (os-release(5)).
func osRelease() (map[string]string, error) {
	text, err := os.ReadFile("/etc/os-release")
	if err != nil {
		return nil, fmt.Errorf("which distribution is this: %w", err)
	}
	fields := map[string]string{}
	for line := range strings.Lines(string(text)) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), "="); ok {
			fields[name] = strings.Trim(value, `"'`)
		}
	}
	if fields["ID"] == "" || fields["VERSION_CODENAME"] == "" {
		return nil, errors.New("which distribution is this: /etc/os-release has no ID or VERSION_CODENAME")
	}
	return fields, nil
}

// output runs cmd and returns what it printed; an error tells what it said.
func output(cmd *exec.Cmd) (string, error) {
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		said := strings.TrimSpace(stderr.String())
		if said == "" {
			said = lastLines(string(out), 5)
		}
		return "", fmt.Errorf("%s: %w\n%s", strings.Join(cmd.Args, " "), err, said)
	}
	return string(out), nil
}

func lastLines(s string, n int) string {
	lines := strings.Split(strings.TrimRight(s, "\n"), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}
