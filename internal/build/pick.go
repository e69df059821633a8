package build

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"graft/internal/artifact"
	"graft/internal/build/job"
	"graft/internal/build/source"
	"graft/internal/nginx"
)

// pick moves what the artifact is made of from what was installed below dest to tree: the binary,
// and what lies under the prefix. Configuration, html and log directories stay behind: the host has
// its own.
func pick(pr prepared, dest, tree string) (artifact.Manifest, error) {
	binary, err := installedBinary(pr, dest)
	if err != nil {
		return artifact.Manifest{}, err
	}
	m := artifact.Manifest{Binary: strings.TrimPrefix(binary, "/")}
	runtime := filepath.Join(tree, pr.target.Prefix)
	if pr.target.Layout == source.LayoutNginx {
		if err := moveTo(filepath.Join(dest, binary), filepath.Join(tree, binary)); err != nil {
			return artifact.Manifest{}, err
		}
		// A plain nginx has no runtime but its .so modules.
		if _, err := os.Stat(filepath.Join(dest, pr.target.ModulesPath)); errors.Is(err, fs.ErrNotExist) {
			return m, nil
		}
	}
	m.Prefix = pr.target.Prefix
	if err := moveTo(filepath.Join(dest, m.Prefix), runtime); err != nil {
		return artifact.Manifest{}, err
	}
	if err := keepOnly(filepath.Join(runtime, "nginx"), "sbin", "modules", "perl"); err != nil {
		return artifact.Manifest{}, err
	}
	conf := path.Dir(lastValue(pr.Configure, "--conf-path"))
	if strings.HasPrefix(conf, m.Prefix+"/") {
		if err := os.RemoveAll(filepath.Join(tree, conf)); err != nil {
			return artifact.Manifest{}, err
		}
	}
	return m, forgetInstallation(runtime)
}

// keepOnly removes everything else from a directory.
func keepOnly(dir string, names ...string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if slices.Contains(names, e.Name()) {
			continue
		}
		if err := os.RemoveAll(filepath.Join(dir, e.Name())); err != nil {
			return err
		}
	}
	return nil
}

// forgetInstallation removes what Perl's make install notes about itself: where and when.
func forgetInstallation(runtime string) error {
	return filepath.WalkDir(runtime, func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.Name() != ".packlist" && d.Name() != "perllocal.pod" {
			return err
		}
		return os.Remove(p)
	})
}

// installedBinary returns the absolute path, on the host, of the program that make install put
// below dest.
func installedBinary(pr prepared, dest string) (string, error) {
	prefix := lastValue(pr.Configure, "--prefix")
	if pr.target.Layout == source.LayoutOpenResty {
		prefix = path.Join(prefix, "nginx")
	}
	if sbin := lastValue(pr.Configure, "--sbin-path"); sbin != "" {
		if !path.IsAbs(sbin) {
			sbin = path.Join(prefix, sbin)
		}
		return sbin, nil
	}
	// Not always sbin/nginx: Angie calls its binary angie.
	entries, err := os.ReadDir(filepath.Join(dest, prefix, "sbin"))
	if err != nil {
		return "", fmt.Errorf("look for the installed binary: %w", err)
	}
	if len(entries) != 1 {
		return "", fmt.Errorf("look for the installed binary: %d files in %s/sbin, not one", len(entries), prefix)
	}
	return path.Join(prefix, "sbin", entries[0].Name()), nil
}

// lastValue returns the value of the last --name=value, as configure itself takes it.
func lastValue(configure []string, name string) string {
	for _, text := range slices.Backward(configure) {
		if a, ok := strings.CutPrefix(text, name+"="); ok {
			return a
		}
	}
	return ""
}

// moveTo renames from, making the directories that to lies in.
func moveTo(from, to string) error {
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	if err := os.Rename(from, to); err != nil {
		return fmt.Errorf("take what was installed: %w", err)
	}
	return nil
}

// identify asks the built binary what it is. Its libraries are not yet where its rpath says, so only
// here it is told by the environment.
func identify(ctx context.Context, j *job.Job, binary, runtime string) (nginx.Build, error) {
	libs, err := filepath.Glob(filepath.Join(runtime, "*", "lib"))
	if err != nil {
		return nginx.Build{}, err
	}
	ask := func(option string) (string, error) {
		var out bytes.Buffer
		// -V and -h print to stderr or stdout, depending on the release.
		err := j.Run(ctx, job.Command{Args: []string{binary, option}, Env: []string{"LD_LIBRARY_PATH=" + strings.Join(libs, ":")}, All: &out})
		if errors.Is(err, fs.ErrNotExist) {
			return "", fmt.Errorf("make install did not put the binary where it belongs: %w", err)
		}
		return out.String(), err
	}
	version, err := ask("-V")
	if err != nil {
		return nginx.Build{}, fmt.Errorf("run the built binary: %w", err)
	}
	help, err := ask("-h")
	if err != nil {
		return nginx.Build{}, fmt.Errorf("run the built binary: %w", err)
	}
	return nginx.ParseBuild(version, help)
}
