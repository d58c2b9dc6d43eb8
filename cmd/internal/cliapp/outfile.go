package cliapp

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// MayWrite refuses a path, the value of flag, where [WriteOut] would destroy
// something: an existing file unless by force, and by no means a folder, a
// device, a pipe or a link. Call it before the work whose result goes there.
func MayWrite(flag, path string, force bool) error {
	refuse := func(why string) error {
		return WithCode(fmt.Errorf("write --%s %q: %s", flag, path, why), ExitConflict)
	}
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return fmt.Errorf("write --%s: %w", flag, err)
	case info.IsDir():
		return refuse("a folder is in its place")
	case info.Mode()&fs.ModeSymlink != 0:
		return refuse("a symbolic link is in its place: name the file that it leads to")
	case !info.Mode().IsRegular():
		return refuse("what is in its place is no file")
	case !force:
		return WithHint(refuse("it exists already"), "replace it with --force")
	}
	return nil
}

// WriteOut writes a file as a whole or not at all, readable for its owner
// alone. It replaces what [MayWrite] allows.
func WriteOut(path string, data []byte) (err error) {
	temp, err := os.CreateTemp(filepath.Dir(path), ".dpskit-out-*") // with mode 0600
	if err != nil {
		return fmt.Errorf("write %q: %w", path, withoutPath(err))
	}
	defer func() {
		if err != nil {
			_ = temp.Close()
			_ = os.Remove(temp.Name())
			err = fmt.Errorf("write %q: %w", path, withoutPath(err))
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

// withoutPath takes the name of the temporary file out of an error: nobody gave
// it, and it is gone.
func withoutPath(err error) error {
	var path *fs.PathError
	if errors.As(err, &path) {
		return path.Err
	}
	var link *os.LinkError
	if errors.As(err, &link) {
		return link.Err
	}
	return err
}
