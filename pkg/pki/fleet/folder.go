package fleet

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"sync"
)

// folder is a fleet in a folder. Workers write the files of their devices themselves; Write only lists them.
type folder struct {
	run    *run
	root   *os.Root
	dir    string
	made   bool // the folder itself
	resume bool // there may be devices already
	spec   string
	index  *indexFile
	unlock func()
	before func(op, name string) error // nil outside of tests

	mu      sync.Mutex
	buckets map[string]*bucket
	current string
	listed  int
	closed  bool
}

// bucket is the two folders of a thousand devices.
type bucket struct {
	certs, private *os.Root
}

func openFolder(ctx context.Context, r *run, target Target) (*folder, error) {
	dir := filepath.Clean(target.Path)
	f := &folder{run: r, dir: dir, buckets: map[string]*bucket{}, before: target.step}
	if err := f.open(ctx, target); err != nil {
		f.abandon()
		return nil, err
	}
	return f, nil
}

func (f *folder) open(ctx context.Context, target Target) error {
	s := f.run.spec()
	if err := f.enter(); err != nil {
		return err
	}
	if err := f.claim(ctx, s, target.Force); err != nil {
		return err
	}
	suffix := f.run.opts.Shard.suffix()
	f.spec = specStem + suffix + ".json"
	if !f.resume {
		data, err := s.encode()
		if err != nil {
			return err
		}
		if err := f.writeFile(f.root, f.spec, data, 0o644); err != nil {
			return fmt.Errorf("write %q: %w", f.show(f.spec), err)
		}
	}
	for _, name := range []string{certsDir, privateDir} {
		if err := f.mkdir(name, name == privateDir); err != nil {
			return err
		}
	}
	var err error
	f.index, err = newIndexFile(f.root, f.dir, indexStem+suffix+".csv", target)
	return err
}

func (f *folder) mkdir(name string, private bool) error {
	mode := fs.FileMode(0o755)
	if private {
		mode = 0o700
	}
	if err := f.step("mkdir", name); err != nil {
		return fmt.Errorf("make folder %q: %w", f.show(name), err)
	}
	err := f.root.Mkdir(name, mode)
	if errors.Is(err, fs.ErrExist) {
		info, statErr := f.root.Stat(name)
		if statErr == nil && info.IsDir() {
			return nil
		}
	}
	if err != nil {
		return fmt.Errorf("make folder %q: %w", f.show(name), cause(err))
	}
	return nil
}

func (f *folder) show(name string) string { return filepath.Join(f.dir, filepath.FromSlash(name)) }

func (f *folder) step(op, name string) error {
	if f.before == nil {
		return nil
	}
	return f.before(op, name)
}

// bucketOf returns the folders of a device.
func (f *folder) bucketOf(d *Device) (*bucket, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if b := f.buckets[d.names.bucket]; b != nil {
		return b, nil
	}
	var b bucket
	for dir, root := range map[string]**os.Root{certsDir: &b.certs, privateDir: &b.private} {
		name := path.Join(dir, d.names.bucket)
		if err := f.mkdir(name, dir == privateDir); err != nil {
			b.close()
			return nil, err
		}
		opened, err := f.root.OpenRoot(name)
		if err != nil {
			b.close()
			return nil, fmt.Errorf("open folder %q: %w", f.show(name), cause(err))
		}
		*root = opened
	}
	f.buckets[d.names.bucket] = &b
	return &b, nil
}

func (b *bucket) close() {
	for _, root := range []*os.Root{b.certs, b.private} {
		if root != nil {
			_ = root.Close()
		}
	}
}

// place returns the folder and the name in it of a file.
func (b *bucket) place(name string) (*os.Root, string) {
	base := path.Base(name)
	if path.Dir(path.Dir(name)) == privateDir {
		return b.private, base
	}
	return b.certs, base
}

// stage makes a device, or finds that it is there, and writes its files.
func (f *folder) stage(m *mint, d *Device, nth int) error {
	b, err := f.bucketOf(d)
	if err != nil {
		return err
	}
	if f.resume {
		if kept, err := f.keep(m, d, b); kept || err != nil {
			return err
		}
	}
	if err := m.make(d, nth); err != nil {
		return err
	}
	return f.writeAll(b, d.Files.All())
}

// writeAll writes files, or none of them.
func (f *folder) writeAll(b *bucket, files []*File) error {
	for i, file := range files {
		mode := fs.FileMode(0o644)
		if file.Private {
			mode = 0o600
		}
		root, base := b.place(file.Name)
		err := f.writeFile(root, base, file.Data, mode)
		if err == nil {
			continue
		}
		for _, written := range files[:i] {
			root, base := b.place(written.Name)
			_ = root.Remove(base)
		}
		return fmt.Errorf("write %q: %w", f.show(file.Name), err)
	}
	return nil
}

// writeFile writes a file under a temporary name and renames it. It does not sync: see commit.
func (f *folder) writeFile(root *os.Root, base string, data []byte, mode fs.FileMode) error {
	temp := "." + base + partSuffix
	if err := f.step("create", base); err != nil {
		return err
	}
	file, err := root.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if errors.Is(err, fs.ErrExist) { // of a process that was killed
		if err = root.Remove(temp); err == nil {
			file, err = root.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
		}
	}
	if err != nil {
		return cause(err)
	}
	if err = f.step("write", base); err == nil {
		_, err = file.Write(data)
	}
	if closeErr := file.Close(); err == nil {
		err = closeErr
	}
	if err == nil {
		if err = f.step("rename", base); err == nil {
			err = root.Rename(temp, base)
		}
	}
	if err != nil {
		_ = root.Remove(temp)
		return cause(err)
	}
	return nil
}

// Write lists a device. All devices before it are done, so the folders before its own are not needed any more.
func (f *folder) Write(d *Device) error {
	if d.names.bucket != f.current {
		f.mu.Lock()
		if b := f.buckets[f.current]; b != nil {
			b.close()
			delete(f.buckets, f.current)
		}
		f.current = d.names.bucket
		f.mu.Unlock()
	}
	f.listed++
	return f.index.Write(d)
}

func (f *folder) indexPath() string { return f.show(f.index.name) }

// commit syncs the devices and puts the index into place.
func (f *folder) commit(context.Context) error {
	if err := f.step("sync", "."); err != nil {
		return fmt.Errorf("sync %q: %w", f.dir, err)
	}
	if err := syncAll(f.root); err != nil {
		return fmt.Errorf("sync %q: %w", f.dir, err)
	}
	if err := f.index.close(); err != nil {
		return err
	}
	if err := f.index.rename(); err != nil {
		return err
	}
	syncDir(f.root)
	f.release()
	return nil
}

// abandon keeps what can be resumed. A run that has not finished a single device leaves nothing.
func (f *folder) abandon() (string, int) {
	if f.closed {
		return "", 0
	}
	if f.root != nil && f.unlock != nil && f.spec != "" && !f.resume && f.listed == 0 {
		suffix := f.run.opts.Shard.suffix()
		f.closeBuckets()
		if suffix == "" {
			_ = f.root.RemoveAll(certsDir)
			_ = f.root.RemoveAll(privateDir)
		}
		_ = f.root.Remove(f.spec)
	}
	f.release()
	if f.made {
		_ = os.Remove(f.dir) // fails when there is anything in it, which is right
	}
	return "", 0
}

func (f *folder) closeBuckets() {
	for _, b := range f.buckets {
		b.close()
	}
	f.buckets = nil
}

func (f *folder) release() {
	f.closed = true
	f.closeBuckets()
	f.index.abandon()
	if f.unlock != nil {
		f.unlock()
	}
	if f.root != nil {
		_ = f.root.Close()
	}
}
