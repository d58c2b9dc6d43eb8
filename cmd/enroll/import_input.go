package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/dpskit/dpskit/cmd/internal/cliapp"
	"github.com/dpskit/dpskit/pkg/dps/bulk"
)

// stdinFile is the FILE that stands for standard input.
const stdinFile = "-"

// input is the file, with the files that its rows name beside it. It is read
// more than once; standard input is copied for that. The function ends its use.
func (o importOptions) input(ctx context.Context, env *cliapp.Env) (source bulk.Source, done func(), err error) {
	source = bulk.Source{Format: o.Format, Defaults: o.Defaults, Files: filesBeside(o.File)}
	if o.File == stdinFile {
		copied, err := spool(ctx, env.In)
		if err != nil {
			return source, nil, fmt.Errorf("read standard input: %w", err)
		}
		source.Open = copied.open
		return source, copied.remove, nil
	}
	if info, err := os.Stat(o.File); err == nil && !info.Mode().IsRegular() {
		err = cliapp.Usagef("import %q: it is no regular file, and an import reads its file more than once", o.File)
		return source, nil, cliapp.WithHint(err, "let the import read standard input: give - for FILE, with --%s and --%s", flagFormat, flagReport)
	}
	source.Open = func() (io.ReadCloser, error) { return os.Open(o.File) }
	return source, func() {}, nil
}

// label is what messages call the file.
func (o importOptions) label() string {
	if o.File == stdinFile {
		return "standard input"
	}
	return o.File
}

// filesBeside reads small files by names relative to the folder of a file.
func filesBeside(file string) func(string) ([]byte, error) {
	dir := filepath.Dir(file)
	return func(name string) ([]byte, error) {
		path := name
		if !filepath.IsAbs(path) {
			path = filepath.Join(dir, name)
		}
		return readSmall(path)
	}
}

// spooled is a copy of what could be read only once.
type spooled struct {
	file *os.File
	size int64
}

// spool copies r into a file that only the user can read. Where the system lets
// it, the file has no name from the beginning: nothing stays of a process that
// is killed.
func spool(ctx context.Context, r io.Reader) (*spooled, error) {
	file, err := os.CreateTemp("", "enroll-import-*")
	if err != nil {
		return nil, err
	}
	_ = os.Remove(file.Name()) // Windows removes it at the end
	s := &spooled{file: file}
	copied := make(chan error, 1)
	go func() { // ends with the process, if nothing more comes
		var err error
		s.size, err = io.Copy(file, r)
		copied <- err
	}()
	select {
	case err = <-copied:
	case <-ctx.Done():
		err = context.Cause(ctx)
	}
	if err != nil {
		s.remove()
		return nil, err
	}
	return s, nil
}

func (s *spooled) open() (io.ReadCloser, error) {
	return io.NopCloser(io.NewSectionReader(s.file, 0, s.size)), nil
}

func (s *spooled) remove() {
	_ = s.file.Close()
	_ = os.Remove(s.file.Name())
}
