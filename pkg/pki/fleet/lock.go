package fleet

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/gofrs/flock"
)

// lock makes sure that no other process writes the same output. The file disappears with the lock.
func lock(root *os.Root, dir, name string) (unlock func(), err error) {
	for range 100 {
		// The file is made inside the folder, where no symbolic link leads out.
		file, err := root.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600)
		if err != nil {
			return nil, fmt.Errorf("lock %q: %w", filepath.Join(dir, name), cause(err))
		}
		if err := file.Close(); err != nil {
			return nil, fmt.Errorf("lock %q: %w", filepath.Join(dir, name), cause(err))
		}
		l := flock.New(filepath.Join(dir, name), flock.SetFlag(os.O_RDWR))
		ok, err := l.TryLock()
		if errors.Is(err, fs.ErrNotExist) {
			continue // removed by its owner just now
		}
		if err != nil {
			return nil, fmt.Errorf("lock %q: %w", filepath.Join(dir, name), cause(err))
		}
		if !ok {
			return nil, fmt.Errorf("lock %q: %w", filepath.Join(dir, name), ErrLocked)
		}
		mine, err := l.Stat()
		there, statErr := root.Lstat(name)
		if err == nil && statErr == nil && os.SameFile(mine, there) {
			return func() {
				// Windows removes no open file. There, another process may remove it instead.
				_ = root.Remove(name)
				_ = l.Unlock()
				if there, err := root.Lstat(name); err == nil && os.SameFile(mine, there) {
					_ = root.Remove(name)
				}
			}, nil
		}
		_ = l.Unlock() // the lock of a file that is gone
	}
	return nil, fmt.Errorf("lock %q: %w", filepath.Join(dir, name), ErrLocked)
}
