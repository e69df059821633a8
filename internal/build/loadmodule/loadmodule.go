// Package loadmodule is an addon for nginx's configure, in C, by which the built nginx understands the
// load_module lines of the binary that it replaces: see docs/adr/0004-load-module.md.
package loadmodule

import (
	_ "embed"
	"os"
	"path/filepath"
	"strconv"
)

// Name is the addon's directory, by which a later build knows it among the configure arguments.
const Name = "graft-load-module"

//go:embed addon/config
var config []byte

//go:embed addon/graft_load_module.c
var code []byte

// Write makes the addon in dir, which must not exist. modulesPath is the directory on the host that has
// the .so modules of the build.
func Write(dir, modulesPath string) error {
	if err := os.Mkdir(dir, 0o755); err != nil {
		return err
	}
	header := []byte("#define GRAFT_MODULES_PATH " + strconv.Quote(modulesPath) + "\n")
	for name, text := range map[string][]byte{"config": config, "graft_load_module.c": code, "graft_modules_path.h": header} {
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o644); err != nil {
			return err
		}
	}
	return nil
}
