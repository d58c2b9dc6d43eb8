package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/dpskit/dpskit/cmd/internal/cliapp"
)

// mayWrite refuses a path where something is, unless by force. It is called
// before the work whose result goes there.
func mayWrite(flag, path string, force bool) error {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return fmt.Errorf("write --%s: %w", flag, err)
	case info.IsDir():
		return cliapp.WithCode(fmt.Errorf("write --%s %q: a folder is in its place", flag, path), cliapp.ExitConflict)
	case !force:
		return cliapp.WithHint(cliapp.WithCode(fmt.Errorf("write --%s %q: it exists already", flag, path), cliapp.ExitConflict),
			"replace it with --%s", flagForce)
	}
	return nil
}

// writePrivate writes a file as a whole or not at all, readable for its owner
// alone.
func writePrivate(path string, data []byte) (err error) {
	temp, err := os.CreateTemp(filepath.Dir(path), ".enroll-*.tmp") // with mode 0600
	if err != nil {
		return fmt.Errorf("write %q: %w", path, err)
	}
	defer func() {
		if err != nil {
			_ = temp.Close()
			_ = os.Remove(temp.Name())
			err = fmt.Errorf("write %q: %w", path, err)
		}
	}()
	if _, err = temp.Write(data); err != nil {
		return err
	}
	if err = temp.Sync(); err != nil {
		return err
	}
	if err = temp.Close(); err != nil {
		return err
	}
	return os.Rename(temp.Name(), path)
}
