package main

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/dpskit/dpskit/cmd/internal/cliapp"
	"github.com/dpskit/dpskit/pkg/dps/bulk"
)

func (o importOptions) state() string { return o.Report + ".state" }

// mayWrite protects files of something else. A report with a state beside it is
// that of an earlier import; so is a file of keys that this state knows, and its
// content is returned.
func (o importOptions) mayWrite(host string) (ownKeys []byte, err error) {
	if o.Connect.DryRun {
		return nil, nil
	}
	if err := folderExists(flagReport, o.Report); err != nil {
		return nil, err
	}
	if o.KeysFile != "" {
		if err := folderExists(flagKeysFile, o.KeysFile); err != nil {
			return nil, err
		}
		ownKeys = o.ownKeys(host)
		if err := cliapp.MayWrite(flagKeysFile, o.KeysFile, o.Force || ownKeys != nil); err != nil {
			return nil, err
		}
	}
	if _, err := os.Lstat(o.state()); errors.Is(err, fs.ErrNotExist) {
		return ownKeys, cliapp.MayWrite(flagReport, o.Report, o.Force)
	}
	return ownKeys, nil
}

// folderExists finds out before anything is sent that a file could not be written.
func folderExists(flag, path string) error {
	dir := filepath.Dir(path)
	info, err := os.Stat(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		err = cliapp.WithCode(fmt.Errorf("write --%s %q: there is no folder %q", flag, path, dir), cliapp.ExitNotFound)
		return cliapp.WithHint(err, "make the folder, or name a file in another with --%s", flag)
	case err != nil:
		return fmt.Errorf("write --%s %q: %w", flag, path, err)
	case !info.IsDir():
		return cliapp.WithCode(fmt.Errorf("write --%s %q: %q is no folder", flag, path, dir), cliapp.ExitConflict)
	}
	return nil
}

// ownKeys returns the keys that an earlier run of this import has written, nil
// if there are none, or if somebody changed the file since.
func (o importOptions) ownKeys(host string) []byte {
	if info, err := os.Lstat(o.KeysFile); err != nil || !info.Mode().IsRegular() {
		return nil
	}
	content, err := os.ReadFile(o.KeysFile)
	if err != nil {
		return nil
	}
	earlier, err := bulk.OpenState(o.state(), host, &bulk.StateOptions{DryRun: true})
	if err != nil || !earlier.WroteKeys(content) {
		return nil
	}
	return content
}

// distinctFiles refuses an import that would write over a file of its own.
func (o importOptions) distinctFiles() error {
	type named struct{ name, path string }
	files := []named{{"--" + flagReport, o.Report}, {"the state of the import", o.state()}, {"the lock of the state", o.state() + ".lock"}}
	if o.KeysFile != "" {
		files = append(files, named{"--" + flagKeysFile, o.KeysFile})
	}
	if o.File != stdinFile {
		files = append([]named{{"the file to import", o.File}}, files...)
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

// writeKeys writes the keys of all rows, and behind them those that the file of
// an earlier run has of others. The state knows the file before it is there.
func (o importOptions) writeKeys(state *bulk.State, report *bulk.Report, earlier []byte) error {
	var b bytes.Buffer
	if err := report.WriteKeysCSV(&b); err != nil {
		return err
	}
	if err := addOtherKeys(&b, earlier); err != nil {
		return fmt.Errorf("read --%s %q: %w", flagKeysFile, o.KeysFile, err)
	}
	if err := state.WritesKeys(b.Bytes()); err != nil {
		return err
	}
	return cliapp.WriteOut(o.KeysFile, b.Bytes())
}

// addOtherKeys appends the rows of an earlier file whose ids are not in b.
func addOtherKeys(b *bytes.Buffer, earlier []byte) error {
	if len(earlier) == 0 {
		return nil
	}
	now, err := csv.NewReader(bytes.NewReader(b.Bytes())).ReadAll()
	if err != nil {
		return err
	}
	before, err := csv.NewReader(bytes.NewReader(earlier)).ReadAll()
	if err != nil {
		return err
	}
	have := map[string]bool{}
	for _, row := range now { // the header among them
		have[strings.ToLower(row[0])] = true
	}
	out := csv.NewWriter(b)
	for _, row := range before {
		if have[strings.ToLower(row[0])] {
			continue
		}
		if err := out.Write(row); err != nil {
			return err
		}
	}
	out.Flush()
	return out.Error()
}
