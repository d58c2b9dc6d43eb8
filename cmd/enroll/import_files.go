package main

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/dpskit/dpskit/cmd/internal/cliapp"
	"github.com/dpskit/dpskit/pkg/dps/bulk"
)

func (o importOptions) state() string { return o.Report + ".state" }

// mayWrite protects files of something else. A report with a state beside it is
// that of an earlier import.
func (o importOptions) mayWrite() error {
	if o.Connect.DryRun {
		return nil
	}
	if o.KeysFile != "" {
		if err := cliapp.MayWrite(flagKeysFile, o.KeysFile, o.Force); err != nil {
			return err
		}
	}
	if _, err := os.Lstat(o.state()); errors.Is(err, fs.ErrNotExist) {
		return cliapp.MayWrite(flagReport, o.Report, o.Force)
	}
	return nil
}

// distinctFiles refuses an import that would write over a file of its own.
func (o importOptions) distinctFiles() error {
	type named struct{ name, path string }
	files := []named{{"the file to import", o.File}, {"--" + flagReport, o.Report}, {"the state of the import", o.state()}, {"the lock of the state", o.state() + ".lock"}}
	if o.KeysFile != "" {
		files = append(files, named{"--" + flagKeysFile, o.KeysFile})
	}
	for i, b := range files {
		for _, a := range files[:i] {
			if sameFile(a.path, b.path) {
				return cliapp.Usagef("%s and %s are the same file: %q", a.name, b.name, b.path)
			}
		}
	}
	return nil
}

// sameFile compares files that need not exist.
func sameFile(a, b string) bool {
	infoA, errA := os.Stat(a)
	infoB, errB := os.Stat(b)
	if errA == nil && errB == nil {
		return os.SameFile(infoA, infoB)
	}
	return fullPath(a) == fullPath(b)
}

// fullPath resolves the folder of a file as far as it exists.
func fullPath(path string) string {
	if abs, err := filepath.Abs(path); err == nil {
		path = abs
	}
	if dir, err := filepath.EvalSymlinks(filepath.Dir(path)); err == nil {
		path = filepath.Join(dir, filepath.Base(path))
	}
	return path
}

func writeReport(opts importOptions, report *bulk.Report) error {
	var b bytes.Buffer
	if err := report.WriteCSV(&b, opts.ReportRaw); err != nil {
		return err
	}
	return cliapp.WriteOut(opts.Report, b.Bytes())
}

func writeKeys(opts importOptions, report *bulk.Report) error {
	var b bytes.Buffer
	if err := report.WriteKeysCSV(&b); err != nil {
		return err
	}
	return cliapp.WriteOut(opts.KeysFile, b.Bytes())
}
