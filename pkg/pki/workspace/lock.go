package workspace

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/gofrs/flock"
)

const (
	lockWait  = 5 * time.Second
	lockRetry = 20 * time.Millisecond
)

// lockExclusive waits for the right to change the folder. The lock file is made inside the folder and stays there:
// removing it would let two processes lock two different files.
func lockExclusive(ctx context.Context, f *folder) (unlock func(), err error) {
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
	return waitLock(ctx, f, lock, lock.TryLockContext)
}

// lockShared waits until no process changes the folder. Without a lock file none does; without the right to open it
// reading goes on unlocked.
func lockShared(ctx context.Context, f *folder) (unlock func(), err error) {
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
	return waitLock(ctx, f, lock, lock.TryRLockContext)
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
