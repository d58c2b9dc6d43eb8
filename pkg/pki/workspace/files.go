package workspace

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"time"
)

const (
	dirMode     fs.FileMode = 0o755
	privateMode fs.FileMode = 0o700
	certMode    fs.FileMode = 0o644
	keyMode     fs.FileMode = 0o600

	maxFile = 1 << 20 // of one certificate, key or PFX
)

// folder is the file layer: everything it touches is inside one folder. Names are relative and have slashes.
type folder struct {
	root *os.Root
	dir  string // for messages
	hooks
}

// hooks are for tests; the zero value is what runs.
type hooks struct {
	step func(op, name string) error // called before every change; may fail or kill the process
	look func(name string) error     // called before a file is read or looked at; may fail
	wait time.Duration               // for the lock; zero means lockWait
}

func openFolder(dir string, h hooks) (*folder, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("open workspace %q: %w", dir, cause(err))
	}
	return &folder{root: root, dir: dir, hooks: h}, nil
}

func (f *folder) close() { _ = f.root.Close() } // nothing is buffered

// show is how messages call a file.
func (f *folder) show(name string) string { return filepath.Join(f.dir, filepath.FromSlash(name)) }

func (f *folder) before(op, name string) error {
	if f.step == nil {
		return nil
	}
	return f.step(op, name)
}

func (f *folder) allowed(name string) error {
	if f.look == nil {
		return nil
	}
	return f.look(name)
}

// lstat returns what is at name, nil when nothing is.
func (f *folder) lstat(name string) (fs.FileInfo, error) {
	var info fs.FileInfo
	err := f.allowed(name)
	if err == nil {
		info, err = f.root.Lstat(filepath.FromSlash(name))
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("look at %q: %w", f.show(name), cause(err))
	}
	return info, nil
}

// read returns the content of a regular file of at most limit bytes.
func (f *folder) read(name string, limit int64) ([]byte, error) {
	var info fs.FileInfo
	err := f.allowed(name)
	if err == nil {
		info, err = f.root.Stat(filepath.FromSlash(name))
	}
	if err != nil {
		return nil, fmt.Errorf("read %q: %w", f.show(name), cause(err))
	}
	switch {
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("read %q: it is no regular file", f.show(name))
	case info.Size() > limit:
		return nil, fmt.Errorf("read %q: %d bytes are more than the limit of %d", f.show(name), info.Size(), limit)
	}
	file, err := f.root.Open(filepath.FromSlash(name))
	if err != nil {
		return nil, fmt.Errorf("read %q: %w", f.show(name), cause(err))
	}
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, limit+1))
	if err == nil && int64(len(data)) > limit {
		err = fmt.Errorf("it has more than %d bytes", limit)
	}
	if err != nil {
		return nil, fmt.Errorf("read %q: %w", f.show(name), cause(err))
	}
	return data, nil
}

// list returns the names in a folder, none when it does not exist.
func (f *folder) list(name string) ([]fs.DirEntry, error) {
	info, err := f.root.Stat(filepath.FromSlash(name))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("list %q: %w", f.show(name), cause(err))
	case !info.IsDir(): // a named pipe would block whoever opens it
		return nil, fmt.Errorf("list %q: it is no folder", f.show(name))
	}
	dir, err := f.root.Open(filepath.FromSlash(name))
	if err != nil {
		return nil, fmt.Errorf("list %q: %w", f.show(name), cause(err))
	}
	defer dir.Close()
	entries, err := dir.ReadDir(-1)
	if err != nil {
		return nil, fmt.Errorf("list %q: %w", f.show(name), cause(err))
	}
	return entries, nil
}

// create writes a new file and syncs it. The mode holds from the first moment; a umask can only narrow it.
func (f *folder) create(name string, data []byte, mode fs.FileMode) error {
	if err := f.before("create", name); err != nil {
		return fmt.Errorf("write %q: %w", f.show(name), err)
	}
	file, err := f.root.OpenFile(filepath.FromSlash(name), os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return fmt.Errorf("write %q: %w", f.show(name), cause(err))
	}
	_, err = file.Write(data)
	if err == nil {
		err = f.before("sync", name)
	}
	if err == nil {
		err = file.Sync()
	}
	if closeErr := file.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		_ = f.root.Remove(filepath.FromSlash(name))
		return fmt.Errorf("write %q: %w", f.show(name), cause(err))
	}
	return nil
}

// mkdir makes a folder and reports whether it was not there before.
func (f *folder) mkdir(name string, mode fs.FileMode) (bool, error) {
	info, err := f.root.Stat(filepath.FromSlash(name))
	switch {
	case err == nil && info.IsDir():
		return false, nil
	case err == nil:
		return false, fmt.Errorf("make folder %q: a file is in its place", f.show(name))
	case !errors.Is(err, fs.ErrNotExist):
		return false, fmt.Errorf("make folder %q: %w", f.show(name), cause(err))
	}
	if err := f.before("mkdir", name); err != nil {
		return false, fmt.Errorf("make folder %q: %w", f.show(name), err)
	}
	if err := f.root.Mkdir(filepath.FromSlash(name), mode); err != nil {
		return false, fmt.Errorf("make folder %q: %w", f.show(name), cause(err))
	}
	return true, nil
}

// narrow takes the rights of others off a folder that keys go to, as in a folder that was made by hand or by the
// original script. Windows has no such mode.
func (f *folder) narrow(name string) error {
	info, err := f.root.Stat(filepath.FromSlash(name))
	if err == nil && info.Mode().Perm()&^privateMode == 0 || runtime.GOOS == "windows" {
		return nil
	}
	if err == nil {
		err = f.before("chmod", name)
	}
	if err == nil {
		err = f.root.Chmod(filepath.FromSlash(name), privateMode)
	}
	if err != nil {
		return fmt.Errorf("close folder %q to other users: %w", f.show(name), cause(err))
	}
	return nil
}

// narrowFile takes the rights of others off a key file that stays, as one that was made by hand. A symbolic link is left
// alone: its target may be shared on purpose.
func (f *folder) narrowFile(name string) error {
	info, err := f.lstat(name)
	if err != nil || info == nil || !info.Mode().IsRegular() || info.Mode().Perm()&0o077 == 0 || runtime.GOOS == "windows" {
		return err
	}
	if err = f.before("chmod", name); err == nil {
		err = f.root.Chmod(filepath.FromSlash(name), info.Mode().Perm()&^0o077)
	}
	if err != nil {
		return fmt.Errorf("close file %q to other users: %w", f.show(name), cause(err))
	}
	return nil
}

// mkdirAll makes a folder and those above it.
func (f *folder) mkdirAll(name string, mode fs.FileMode) error {
	if parent := path.Dir(name); parent != "." {
		if err := f.mkdirAll(parent, mode); err != nil {
			return err
		}
	}
	_, err := f.mkdir(name, mode)
	return err
}

func (f *folder) rename(from, to string) error {
	if err := f.before("rename", to); err != nil {
		return fmt.Errorf("rename %q to %q: %w", f.show(from), f.show(to), err)
	}
	if err := f.root.Rename(filepath.FromSlash(from), filepath.FromSlash(to)); err != nil {
		return fmt.Errorf("rename %q to %q: %w", f.show(from), f.show(to), cause(err))
	}
	return nil
}

// remove removes a file or empty folder; one that is not there is fine.
func (f *folder) remove(name string) error {
	if err := f.before("remove", name); err != nil {
		return fmt.Errorf("remove %q: %w", f.show(name), err)
	}
	if err := f.root.Remove(filepath.FromSlash(name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove %q: %w", f.show(name), cause(err))
	}
	return nil
}

// syncDir makes renames in a folder durable. Windows has no such call.
func (f *folder) syncDir(name string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	if err := f.before("syncdir", name); err != nil {
		return fmt.Errorf("sync %q: %w", f.show(name), err)
	}
	dir, err := f.root.Open(filepath.FromSlash(name))
	if err != nil {
		return fmt.Errorf("sync %q: %w", f.show(name), cause(err))
	}
	defer dir.Close()
	if err := dir.Sync(); err != nil {
		return fmt.Errorf("sync %q: %w", f.show(name), cause(err))
	}
	return nil
}

// cause takes the operation and path off an error of package os, whose place is taken by ours.
func cause(err error) error {
	var pathErr *fs.PathError
	var linkErr *os.LinkError
	switch {
	case errors.As(err, &pathErr):
		return pathErr.Err
	case errors.As(err, &linkErr):
		return linkErr.Err
	}
	return err
}
