package bulk

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
)

// journal is the file of a State. A line is on the disk when append returns: it
// survives the death of the machine, not only that of the process.
type journal struct {
	file *os.File
	// onSync, of tests, is told how much of the file is on the disk.
	onSync func(size int64)

	mu      sync.Mutex // for the file's end
	written int64
	disk    sync.Mutex // held while the disk works
	synced  int64
}

// newJournal takes a file that is positioned behind its first size bytes, which
// are on the disk.
func newJournal(file *os.File, size int64) *journal {
	return &journal{file: file, written: size, synced: size}
}

// append writes a line with one call, so that a reader sees it whole or cut, and
// waits for the disk. Whoever comes while the disk works for another waits for
// one turn that is for all of them.
func (j *journal) append(line []byte) error {
	j.mu.Lock()
	_, err := j.file.Write(line)
	j.written += int64(len(line))
	end := j.written
	j.mu.Unlock()
	if err == nil {
		err = j.sync(end)
	}
	if err != nil {
		return fmt.Errorf("write state: %w", err)
	}
	return nil
}

// sync returns when the file is on the disk up to end.
func (j *journal) sync(end int64) error {
	j.disk.Lock()
	defer j.disk.Unlock()
	if j.synced >= end {
		return nil
	}
	j.mu.Lock()
	written := j.written
	j.mu.Unlock()
	if err := j.file.Sync(); err != nil {
		return err
	}
	j.synced = written
	if j.onSync != nil {
		j.onSync(written)
	}
	return nil
}

func (j *journal) close() error { return errors.Join(j.file.Sync(), j.file.Close()) }

// syncFolder brings the name of a new file to the disk, where the system can: on
// Windows a folder cannot be opened for that.
func syncFolder(path string) {
	if folder, err := os.Open(filepath.Dir(path)); err == nil {
		_ = folder.Sync()
		_ = folder.Close()
	}
}
