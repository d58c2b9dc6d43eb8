package rollout

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"

	"github.com/gofrs/flock"
)

// lockReport takes the lock of a report, which is a file beside it.
func lockReport(path string) (*flock.Flock, error) {
	for {
		lock := flock.New(path+".lock", flock.SetPermissions(0o600))
		switch locked, err := lock.TryLock(); {
		case err != nil:
			return nil, fmt.Errorf("folder %q: %w", filepath.Dir(path), withoutPath(err))
		case !locked:
			_ = lock.Unlock()
			return nil, ErrLocked
		}
		held, err := lock.Stat()
		if err != nil {
			_ = lock.Unlock()
			return nil, err
		}
		there, err := os.Stat(lock.Path())
		switch {
		case err == nil && os.SameFile(held, there):
			return lock, nil
		case err != nil && !errors.Is(err, fs.ErrNotExist):
			_ = lock.Unlock()
			return nil, err
		}
		_ = lock.Unlock() // of a run that ended just now and removed its file
	}
}

// unlockReport removes the lock file while it is locked, so that whoever has
// opened it meanwhile finds out that it is not that of the report any more.
// Windows removes no file that is open, and none that another run has opened.
func unlockReport(lock *flock.Flock) {
	if runtime.GOOS != "windows" {
		_ = os.Remove(lock.Path())
	}
	_ = lock.Unlock()
	if runtime.GOOS == "windows" {
		_ = os.Remove(lock.Path())
	}
}
