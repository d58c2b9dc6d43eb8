package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/gofrs/flock"
	bolt "go.etcd.io/bbolt"
)

// Names inside the data folder.
const (
	dataFile = "emulator.db"
	newFile  = "emulator.db.new"
	lockFile = "emulator.lock"
)

// What the meta table of our files says.
const (
	metaTable     = "meta"
	formatKey     = "format"
	formatName    = "dpskit-emulator"
	schemaKey     = "schema"
	tallyKey      = "tally"
	schemaVersion = 1
)

// lockWait is how long a second process waits for a predecessor that is just
// shutting down.
const lockWait = 500 * time.Millisecond

// OpenBolt opens the store in folder dir and makes both if they are not there.
// It fails within a second if another process has the folder (ErrLocked) and
// refuses a data file that it cannot trust (ErrCorrupt, ErrForeign, ErrNewer)
// without changing it.
func OpenBolt(ctx context.Context, dir string) (Store, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make data folder %q: %w", dir, err)
	}
	lock, err := lockFolder(ctx, dir)
	if err != nil {
		return nil, err
	}
	s, err := openLocked(dir, lock)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open data folder %q: %w", dir, err), lock.Close())
	}
	return s, nil
}

func lockFolder(ctx context.Context, dir string) (*flock.Flock, error) {
	lock := flock.New(filepath.Join(dir, lockFile), flock.SetPermissions(0o600))
	ctx, cancel := context.WithTimeout(ctx, lockWait)
	defer cancel()
	ok, err := lock.TryLockContext(ctx, 20*time.Millisecond)
	if ok {
		// For whoever comes next, see holder. Nothing depends on it.
		_ = os.WriteFile(lock.Path(), []byte(strconv.Itoa(os.Getpid())+"\n"), 0o600)
		return lock, nil
	}
	if err != nil && !errors.Is(err, context.DeadlineExceeded) {
		return nil, fmt.Errorf("lock data folder %q: %w", dir, err)
	}
	return nil, fmt.Errorf("lock data folder %q: %w%s", dir, ErrLocked, holder(lock.Path()))
}

// holder says which process has the lock, where the file can be read.
func holder(path string) string {
	data, err := os.ReadFile(path) //nolint:gosec // the user's own data folder
	if err != nil {
		return ""
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(data)))
	if err != nil || pid <= 0 {
		return ""
	}
	return fmt.Sprintf(" (pid %d)", pid)
}

func openLocked(dir string, lock *flock.Flock) (Store, error) {
	path := filepath.Join(dir, dataFile)
	info, err := os.Lstat(path)
	var counted tally
	switch {
	case errors.Is(err, fs.ErrNotExist):
		err = create(dir)
	case err == nil:
		counted, err = check(path, info)
	}
	if err != nil {
		return nil, err
	}
	db, err := openDB(path)
	if err != nil {
		return nil, err
	}
	if err := settle(db); err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", dataFile, err), db.Close())
	}
	s := &durable{
		db: db, lock: lock, tally: counted,
		requests: make(chan *request), quit: make(chan struct{}), done: make(chan struct{}),
	}
	s.start()
	return s, nil
}

// openDB opens a file that check has been through. The free list is not kept
// on disk: rebuilding it on start costs little and leaves one structure less
// that can be damaged.
func openDB(path string) (db *bolt.DB, err error) {
	err = run(func() error {
		db, err = bolt.Open(path, 0o600, &bolt.Options{
			Timeout:        lockWait,
			NoFreelistSync: true,
			FreelistType:   bolt.FreelistMapType,
		})
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("%s: %v", filepath.Base(path), err)
	}
	return db, nil
}

// create makes an empty store under a temporary name and renames it, so that
// the final name never belongs to a half-made file.
func create(dir string) error {
	temp := filepath.Join(dir, newFile)
	if err := os.Remove(temp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	db, err := openDB(temp)
	if err != nil {
		return err
	}
	err = db.Update(func(tx *bolt.Tx) error {
		b, err := tx.CreateBucket([]byte(metaTable))
		if err != nil {
			return err
		}
		put := func(key string, value []byte) error { return b.Put([]byte(key), seal(metaTable, key, value)) }
		return errors.Join(
			put(formatKey, []byte(formatName)),
			put(schemaKey, []byte(strconv.Itoa(schemaVersion))),
			put(tallyKey, tally{}.encode()))
	})
	if err := errors.Join(err, db.Sync(), db.Close()); err != nil {
		return fmt.Errorf("make %s: %w", dataFile, err)
	}
	if err := os.Rename(temp, filepath.Join(dir, dataFile)); err != nil {
		return err
	}
	return syncDir(dir)
}

// check reads the whole file without trusting it.
func check(path string, info fs.FileInfo) (tally, error) {
	name := filepath.Base(path)
	if !info.Mode().IsRegular() {
		return tally{}, fmt.Errorf("%s is not a regular file: %w", name, ErrForeign)
	}
	f, err := os.Open(path) //nolint:gosec // the user's own data folder
	if err != nil {
		return tally{}, err
	}
	defer f.Close()
	var counted tally
	var damaged error
	meta := map[string]string{}
	err = verifyFile(f, info.Size(), func(table, key string, sealed []byte) error {
		value, ok := unseal(table, key, sealed)
		switch {
		case !ok && damaged == nil:
			damaged = corrupt("checksum of %s %q does not match", table, key)
		case ok && table == metaTable:
			meta[key] = string(value)
		case ok:
			counted.add(sealed)
		}
		return nil
	})
	if err == nil {
		err = checkMeta(meta, counted, damaged)
	}
	if err != nil {
		return tally{}, fmt.Errorf("%s: %w", name, err)
	}
	return counted, nil
}

// checkMeta decides by the meta table. Only a file that says it is ours can be
// a damaged one of ours.
func checkMeta(meta map[string]string, counted tally, damaged error) error {
	if meta[formatKey] != formatName {
		return ErrForeign
	}
	schema, err := strconv.Atoi(meta[schemaKey])
	if err == nil && schema > schemaVersion {
		return fmt.Errorf("%w: schema %d, this version knows %d", ErrNewer, schema, schemaVersion)
	}
	if damaged != nil {
		return damaged
	}
	if err != nil || schema < 1 {
		return corrupt("schema is %q", meta[schemaKey])
	}
	if want, ok := decodeTally([]byte(meta[tallyKey])); !ok || want != counted {
		return corrupt("%d rows where %d were written", counted.rows, want.rows)
	}
	return nil
}
