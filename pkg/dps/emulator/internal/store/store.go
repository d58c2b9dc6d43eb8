package store

import (
	"context"
	"errors"
	"fmt"
)

// Reader reads tables. A table that was never written is empty.
type Reader interface {
	// Get returns the value of key. The slice is valid, and must not be
	// changed, until the function that got the Reader returns.
	Get(table, key string) (value []byte, ok bool)
	// Ascend calls fn for each key >= from in byte order until fn returns
	// false. fn must not write.
	Ascend(table, from string, fn func(key string, value []byte) bool)
}

// Tx reads and writes. Reads see the writes made before them.
type Tx interface {
	Reader
	Put(table, key string, value []byte)
	Delete(table, key string)
}

// Store is a set of tables with all-or-nothing updates.
type Store interface {
	// View runs fn over a consistent picture of all tables.
	View(ctx context.Context, fn func(Reader) error) error
	// Update runs fn and keeps what it wrote if, and only if, Update returns
	// nil. fn may run on another goroutine; it runs once.
	Update(ctx context.Context, fn func(Tx) error) error
	// Ready returns nil while both reads and writes are possible.
	Ready(ctx context.Context) error
	// Close waits for running calls and releases the files. Later calls
	// return ErrClosed. Closing twice is allowed.
	Close() error
}

// Errors that callers branch on.
var (
	// ErrClosed: the store was closed.
	ErrClosed = errors.New("store is closed")
	// ErrReadOnly: a commit failed earlier, so what is on disk is uncertain
	// and nothing more is written until a restart has read it back.
	ErrReadOnly = errors.New("store is read-only after a failed write")
	// ErrLocked: another process uses the data folder.
	ErrLocked = errors.New("data folder is in use by another process")
	// ErrCorrupt: the data file is damaged.
	ErrCorrupt = errors.New("data file is damaged")
	// ErrForeign: the data file was not made by this program.
	ErrForeign = errors.New("data file was not made by this program")
	// ErrNewer: the data file was made by a newer version.
	ErrNewer = errors.New("data file was made by a newer version")
)

// run calls fn and turns a panic into an error: a transaction runs on the
// goroutine that commits for everybody, and must not take the others down.
func run(fn func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("run transaction: panic: %v", p)
		}
	}()
	return fn()
}
