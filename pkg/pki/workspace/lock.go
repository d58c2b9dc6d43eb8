package workspace

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/gofrs/flock"
)

const (
	lockWait  = 5 * time.Second
	lockRetry = 20 * time.Millisecond
)

// lockExclusive waits for the right to change the folder. The lock file is made inside the folder and stays there,
// unless the change that made the folder fails.
func lockExclusive(ctx context.Context, f *folder) (unlock func(), err error) {
	for range maxTries {
		if err := checkLockFile(f); err != nil {
			return nil, err
		}
		file, err := f.root.OpenFile(lockFile, os.O_RDWR|os.O_CREATE, keyMode)
		if err != nil {
			return nil, fmt.Errorf("lock workspace %q: %w", f.dir, cause(err))
		}
		if err := file.Close(); err != nil {
			return nil, fmt.Errorf("lock workspace %q: %w", f.dir, cause(err))
		}
		lock := flock.New(filepath.Join(f.dir, lockFile), flock.SetFlag(os.O_RDWR))
		if unlock, err := holdLock(ctx, f, lock, lock.TryLockContext); unlock != nil || err != nil {
			return unlock, err
		}
	}
	return nil, fmt.Errorf("lock workspace %q: %w: %q is removed all the time", f.dir, ErrLocked, f.show(lockFile))
}

// holdLock waits for one lock. It returns neither a function nor an error when the lock file was removed meanwhile, so
// that the lock would hold nothing.
func holdLock(ctx context.Context, f *folder, lock *flock.Flock,
	try func(context.Context, time.Duration) (bool, error),
) (unlock func(), err error) {
	unlock, err = waitLock(ctx, f, lock, try)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil
	case err != nil:
		return nil, err
	case isLocked(f, lock):
		return unlock, nil
	}
	unlock()
	return nil, nil
}

// isLocked reports whether the locked file is still the lock file. A process whose first change failed has removed
// it, and the next one locks another file.
func isLocked(f *folder, lock *flock.Flock) bool {
	mine, err := lock.Stat()
	if err != nil {
		return false
	}
	there, err := f.lstat(lockFile)
	return err == nil && there != nil && os.SameFile(mine, there)
}

// removeLock removes the lock file of a folder in which nothing else is. The caller holds the lock.
func removeLock(f *folder) {
	if list, err := f.list("."); err == nil && len(list) == 1 && list[0].Name() == lockFile {
		_ = f.root.Remove(lockFile) // where open files cannot be removed it stays
	}
}

// lockShared waits until no process changes the folder. Without a lock file none does; without the right to open it
// reading goes on unlocked.
func lockShared(ctx context.Context, f *folder) (unlock func(), err error) {
	for range maxTries {
		if err := checkLockFile(f); err != nil {
			return nil, err
		}
		file, err := f.root.Open(lockFile)
		if err != nil {
			return func() {}, nil
		}
		if err := file.Close(); err != nil {
			return nil, fmt.Errorf("lock workspace %q: %w", f.dir, cause(err))
		}
		lock := flock.New(filepath.Join(f.dir, lockFile), flock.SetFlag(os.O_RDONLY))
		if unlock, err := holdLock(ctx, f, lock, lock.TryRLockContext); unlock != nil || err != nil {
			return unlock, err
		}
	}
	return nil, fmt.Errorf("lock workspace %q: %w: %q is removed all the time", f.dir, ErrLocked, f.show(lockFile))
}

// checkLockFile refuses what would block or mislead whoever opens it, such as a named pipe.
func checkLockFile(f *folder) error {
	info, err := f.lstat(lockFile)
	if err == nil && info != nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("lock workspace %q: %q is no regular file", f.dir, f.show(lockFile))
	}
	return err
}

func waitLock(ctx context.Context, f *folder, lock *flock.Flock,
	try func(context.Context, time.Duration) (bool, error),
) (func(), error) {
	wait := lockWait
	if f.wait > 0 {
		wait = f.wait
	}
	bounded, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	ok, err := try(bounded, lockRetry)
	switch {
	case ok:
		return func() { _ = lock.Unlock() }, nil // closing the file frees it in any case
	case ctx.Err() != nil:
		return nil, fmt.Errorf("lock workspace %q: %w", f.dir, context.Cause(ctx))
	case errors.Is(err, context.DeadlineExceeded) || err == nil:
		return nil, fmt.Errorf("lock workspace %q: %w: waited %s for %q", f.dir, ErrLocked, wait, f.show(lockFile))
	}
	return nil, fmt.Errorf("lock workspace %q: %w", f.dir, cause(err))
}
