package systemd

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"graft/internal/fault"
)

// dropIn is sorted behind all that others would name so; the next boot forgets it.
func dropIn(unit string) string {
	return filepath.Join("/run/systemd/system", unit+".d", "zzzz-graft-reads-pid-file.conf")
}

// harmless is an ExecReload that sends nothing to the service.
const harmless = "/bin/true"

// Reread has systemd read the unit's PIDFile again, and sends nothing to the service.
//
// systemd reads it when the main process ends, unless that is no child of its own, and when an ExecReload
// has succeeded. So ExecReload is /bin/true for a moment, by a drop-in that is gone afterwards. A call
// that was killed in between is finished by the next one.
func Reread(ctx context.Context, unit string) (err error) {
	if !Running() {
		return fmt.Errorf("have systemd read PIDFile again: %w", ErrNotRunning)
	}
	file := dropIn(unit)
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return fmt.Errorf("have systemd read PIDFile again: %w", err)
	}
	defer func() {
		if endErr := forget(context.WithoutCancel(ctx), file); endErr != nil || err != nil {
			err = fmt.Errorf("have systemd read PIDFile again: %w", errors.Join(err, endErr))
		}
	}()
	if err := os.WriteFile(file, []byte("[Service]\nExecReload=\nExecReload="+harmless+"\n"), 0o644); err != nil {
		return err
	}
	if _, err := systemctl(ctx, "daemon-reload"); err != nil {
		return err
	}
	u, err := Show(ctx, unit)
	if err != nil {
		return err
	}
	// What signals a main process that is gone would fail, and then systemd stops the unit.
	if !strings.HasPrefix(u.ExecReload, "{ path="+harmless+" ;") || strings.Count(u.ExecReload, "path=") != 1 {
		return fmt.Errorf("%s has ExecReload %s in spite of %s", unit, u.ExecReload, file)
	}
	_, err = systemctl(ctx, "reload", "--", unit)
	fault.Point("after-reread")
	return err
}

// Rereading tells whether a Reread of the unit was cut off.
func Rereading(unit string) bool {
	_, err := os.Lstat(dropIn(unit))
	return err == nil
}

// forget takes the drop-in back.
func forget(ctx context.Context, file string) error {
	if err := os.Remove(file); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	_ = os.Remove(filepath.Dir(file)) // others' drop-ins may lie there
	_, err := systemctl(ctx, "daemon-reload")
	return err
}
