package fleet

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
)

// claim locks the folder for the fleet. What is in the way is moved away by force.
func (f *folder) claim(ctx context.Context, s spec, force bool) error {
	found, _, err := s.check(f.root)
	if force && (found || errors.Is(err, ErrExists)) {
		err = checkMovable(f.dir)
	}
	if err != nil && (!force || errors.Is(err, ErrImmovable)) {
		return err // and the folder is left as it is, without even a lock
	}
	if err := f.lock(); err != nil {
		return err
	}
	found, others, err := s.check(f.root)
	switch {
	case force && others:
		return fmt.Errorf("other parts of a fleet %w in the folder; move it away to begin anew", ErrExists)
	case force && (found || errors.Is(err, ErrExists)):
		return f.moveAway(ctx)
	}
	f.resume = found
	return err
}

func (f *folder) lock() (err error) {
	f.unlock, err = lock(f.root, f.dir, "."+specStem+f.run.opts.Shard.suffix()+".lock")
	return err
}

// enter makes the folder if need be and opens it.
func (f *folder) enter() error {
	info, err := os.Stat(f.dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		f.made = true
		if err := os.MkdirAll(f.dir, 0o755); err != nil {
			return cause(err)
		}
	case err != nil:
		return cause(err)
	case !info.IsDir():
		return fmt.Errorf("a file %w there", ErrExists)
	}
	f.root, err = os.OpenRoot(f.dir)
	return cause(err)
}

// moveAway moves the folder to "replaced" beside it, and makes and locks a new one.
func (f *folder) moveAway(ctx context.Context) error {
	leave := func() {
		f.unlock()
		_ = f.root.Close()
		f.unlock, f.root = nil, nil
	}
	if runtime.GOOS == "windows" { // which moves no folder that is open
		leave()
	}
	dir, base := filepath.Split(f.dir)
	if dir == "" {
		dir = "."
	}
	parent, err := os.OpenRoot(dir)
	if err != nil {
		return cause(err)
	}
	defer parent.Close()
	if err := replace(ctx, parent, dir, base, f.run.now()); err != nil {
		return err
	}
	if f.root != nil {
		leave()
	}
	if err := f.enter(); err != nil {
		return err
	}
	return f.lock()
}
