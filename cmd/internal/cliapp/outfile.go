package cliapp

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
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
func WriteOut(path string, data []byte) error {
	return WriteAll(OutFile{Path: path, Data: data})
}

// OutFile is a file that [WriteAll] writes.
type OutFile struct {
	Path string
	Data []byte
}

// WriteAll is [WriteOut] for more than one file: after an error there are the
// files of before. Only a crash while they are put in place can leave some of
// each.
func WriteAll(files ...OutFile) (err error) {
	var done []placedFile
	temps := make([]string, len(files))
	defer func() {
		for _, temp := range temps {
			if temp != "" {
				_ = os.Remove(temp)
			}
		}
		for _, p := range slices.Backward(done) {
			p.settle(err != nil)
		}
	}()
	for i, file := range files {
		if temps[i], err = writeTemp(file); err != nil {
			return fmt.Errorf("write %q: %w", file.Path, withoutPath(err))
		}
	}
	for i, file := range files {
		placed, err := place(file.Path, temps[i], len(files) > 1)
		if err != nil {
			return fmt.Errorf("write %q: %w", file.Path, withoutPath(err))
		}
		done, temps[i] = append(done, placed), ""
	}
	return nil
}

// writeTemp writes a file beside the one that it is to become. It returns the
// name also after an error, if there is a file.
func writeTemp(file OutFile) (name string, err error) {
	temp, err := os.CreateTemp(filepath.Dir(file.Path), ".dpskit-out-*") // with mode 0600
	if err != nil {
		return "", err
	}
	_, err = temp.Write(file.Data)
	if err == nil {
		err = temp.Sync()
	}
	return temp.Name(), errors.Join(err, temp.Close())
}

// placedFile is a file that is in its place, and the one that was there before.
type placedFile struct {
	path, old string // old: "" when nothing was there, or nothing is to be kept
}

// place gives a temporary file its name. With keep, what had the name is kept
// until settle.
func place(path, temp string, keep bool) (placedFile, error) {
	p := placedFile{path: path}
	if info, err := os.Lstat(path); keep && err == nil && !info.IsDir() {
		p.old = temp + ".old"
		if err := os.Rename(path, p.old); err != nil {
			return p, err
		}
	}
	err := os.Rename(temp, path)
	if err != nil && p.old != "" {
		_ = os.Rename(p.old, path)
	}
	return p, err
}

// settle removes what was there before, or undoes what place did.
func (p placedFile) settle(undo bool) {
	switch {
	case undo && p.old != "":
		_ = os.Rename(p.old, p.path)
	case undo:
		_ = os.Remove(p.path)
	case p.old != "":
		_ = os.Remove(p.old)
	}
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
