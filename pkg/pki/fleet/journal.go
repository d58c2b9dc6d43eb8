package fleet

import (
	"encoding/json"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"sync"
	"time"
)

const (
	// journalTail and directoryTail follow the name of an archive in the names of temporary files.
	journalTail   = ".journal" + partSuffix
	directoryTail = ".directory" + partSuffix

	// recordEvery is how often the journal gets a record, and syncEvery how often everything is synced to the disk.
	recordEvery = 250 * time.Millisecond
	syncEvery   = 5 * time.Second
)

// journal says how much of an unfinished archive is whole. Its first line is a [plan], every further one a [record].
// A record is written after what it tells of and is not synced in any order: whoever reads it compares the checksums.
type journal struct {
	file    *os.File
	devices int // that the last record tells of
	torn    bool
	at      time.Time
	synced  time.Time

	syncing sync.WaitGroup
	mu      sync.Mutex
	busy    bool
	err     error // of a sync
}

// record tells of the beginning of an archive that is whole.
type record struct {
	Devices int    `json:"devices"` // from the first of the part on
	Bucket  string `json:"bucket"`  // of the last device
	Archive extent `json:"archive"`
	Index   extent `json:"index"`
	// Directory and Members are those of a zip file.
	Directory extent `json:"directory"`
	Members   uint64 `json:"members,omitempty"`
}

// extent is the beginning of a file.
type extent struct {
	Size int64  `json:"size"`
	CRC  uint32 `json:"crc32"`
}

// measured writes to a file and knows the extent of what is in it.
type measured struct {
	w io.Writer
	extent
}

func (m *measured) Write(p []byte) (int, error) {
	n, err := m.w.Write(p)
	m.Size += int64(n)
	m.CRC = crc32.Update(m.CRC, crc32.IEEETable, p[:n])
	return n, err
}

// recordSometimes adds a record when the last one is old. After a device that failed there are no more records, so
// that the next run tries it again.
func (a *archive) recordSometimes() error {
	every := a.target.recordEvery
	if every == 0 {
		every = recordEvery
	}
	now := time.Now()
	if a.journal.at.IsZero() {
		a.journal.at, a.journal.synced = now, now
	}
	if a.failed || now.Sub(a.journal.at) < every {
		return nil
	}
	if err := a.record(); err != nil {
		return err
	}
	a.journal.at = time.Now()
	if now.Sub(a.journal.synced) >= syncEvery {
		a.journal.synced = now
		a.journal.sync(a.file.Sync, a.index.file.Sync, a.format.sync, a.journal.file.Sync)
	}
	return nil
}

// record writes everything to the files and adds a record of it to the journal.
func (a *archive) record() error {
	rec := record{Devices: a.devices, Bucket: a.bucket}
	if err := a.buf.Flush(); err != nil {
		return a.wrap(err)
	}
	if err := a.format.record(&rec); err != nil {
		return a.wrap(err)
	}
	if err := a.index.Flush(); err != nil {
		return err
	}
	rec.Archive, rec.Index = a.out.extent, a.index.out.extent
	if a.journal.file == nil {
		if err := a.newJournal(); err != nil {
			return err
		}
	}
	if err := a.append(rec); err != nil {
		return err
	}
	a.journal.devices = rec.Devices
	return a.wrap(a.journal.failed())
}

func (a *archive) newJournal() (err error) {
	if a.journal.file, err = a.create(journalTail); err != nil {
		return err
	}
	plan, err := a.plan()
	if err != nil {
		return err
	}
	return a.append(plan)
}

// append adds a line to the journal. After an error there are no more: the line may be torn.
func (a *archive) append(v any) error {
	line, err := json.Marshal(v)
	if err == nil {
		err = a.step("write", a.name(journalTail))
	}
	if err == nil {
		_, err = a.journal.file.Write(append(line, '\n'))
	}
	if err != nil {
		a.journal.torn = true
		return fmt.Errorf("write %q: %w", a.show(journalTail), cause(err))
	}
	return nil
}

// sync calls functions beside everything else, unless it is still at it.
func (j *journal) sync(files ...func() error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.busy {
		return
	}
	j.busy = true
	j.syncing.Go(func() {
		var err error
		for _, sync := range files {
			if syncErr := sync(); err == nil {
				err = syncErr
			}
		}
		j.mu.Lock()
		defer j.mu.Unlock()
		if j.busy = false; j.err == nil {
			j.err = err
		}
	})
}

// failed returns the error of a sync.
func (j *journal) failed() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.err
}

// wait returns when no sync is at work, with the error of any.
func (j *journal) wait() error {
	j.syncing.Wait()
	return j.failed()
}

func (j *journal) close() {
	if j.file != nil {
		_ = j.file.Close()
		j.file = nil
	}
}
