package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/dpskit/dpskit/pkg/pki/workspace"
)

// writeOut writes a file outside of the folder of certificates: as a whole or
// not at all, readable for its owner alone, and over an existing one only by
// force.
func writeOut(path string, data []byte, force bool) (err error) {
	if info, statErr := os.Lstat(path); statErr == nil {
		if info.IsDir() {
			return fmt.Errorf("write %q: a folder is in its place", path)
		}
		if !force {
			return fmt.Errorf("write %q: it %w", path, workspace.ErrExists)
		}
	} else if !errors.Is(statErr, fs.ErrNotExist) {
		return fmt.Errorf("write %q: %w", path, statErr)
	}
	temp, err := os.CreateTemp(filepath.Dir(path), ".certgen-*.tmp") // with mode 0600
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
