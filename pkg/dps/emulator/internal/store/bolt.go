package store

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/gofrs/flock"
	bolt "go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"
)

// maxBatch bounds how many waiting updates share one commit.
const maxBatch = 256

// durable is the store of an emulator with a data folder.
type durable struct {
	db       *bolt.DB
	lock     *flock.Flock
	tally    tally // of the committed rows; owned by the committer
	requests chan *request
	quit     chan struct{}
	done     chan struct{}
	broken   atomic.Pointer[error]
	close    sync.Once
	closeErr error
}

// request is one Update on its way to the committer. err is valid after done
// was closed.
type request struct {
	fn   func(Tx) error
	err  error
	done chan struct{}
}

// start begins committing. One goroutine owns all writing: updates that wait
// while a commit is on its way to the disk are committed together next.
func (s *durable) start() {
	go func() {
		defer close(s.done)
		for {
			select {
			case first := <-s.requests:
				s.commit(s.gather(first))
			case <-s.quit:
				return
			}
		}
	}()
}

// gather takes first and everything else that waits right now.
func (s *durable) gather(first *request) []*request {
	batch := []*request{first}
	for len(batch) < maxBatch {
		select {
		case next := <-s.requests:
			batch = append(batch, next)
		default:
			return batch
		}
	}
	return batch
}

// commit runs the functions of one batch in turn and commits what they wrote.
// A function that fails is left out; it is told so after the commit, because it
// may have failed over what an earlier one of the batch wrote. After a failed
// commit the state of the disk is not known, so the store stops writing for
// good.
func (s *durable) commit(batch []*request) {
	err := s.Ready(context.Background())
	if err == nil {
		if err = s.write(batch); err != nil {
			err = fmt.Errorf("%w: %v", ErrReadOnly, err)
			s.broken.Store(&err)
		}
	}
	for _, r := range batch {
		if err != nil {
			r.err = err
		}
		close(r.done)
	}
}

func (s *durable) write(batch []*request) error {
	var tx *bolt.Tx
	err := run(func() (err error) {
		tx, err = s.db.Begin(true)
		return err
	})
	if err != nil {
		return err
	}
	w := &writer{tx: tx, tally: s.tally}
	err = run(func() error {
		for _, r := range batch {
			reader := &boltReader{tx: tx}
			o := newOverlay(reader)
			r.err = errors.Join(run(func() error { return r.fn(o) }), reader.err)
			if r.err != nil {
				continue
			}
			if err := o.apply(w.put, w.del); err != nil {
				return err
			}
		}
		return w.finish()
	})
	if err != nil || !w.dirty {
		return errors.Join(err, tx.Rollback())
	}
	if err := run(tx.Commit); err != nil {
		return err
	}
	s.tally = w.tally
	return nil
}

func (s *durable) View(ctx context.Context, fn func(Reader) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	err := s.db.View(func(tx *bolt.Tx) error {
		reader := &boltReader{tx: tx}
		return errors.Join(run(func() error { return fn(reader) }), reader.err)
	})
	if errors.Is(err, bolterrors.ErrDatabaseNotOpen) {
		return ErrClosed
	}
	return err
}

func (s *durable) Update(ctx context.Context, fn func(Tx) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	r := &request{fn: fn, done: make(chan struct{})}
	select {
	case s.requests <- r:
		<-r.done
		return r.err
	case <-s.quit:
		return ErrClosed
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (s *durable) Ready(context.Context) error {
	select {
	case <-s.quit:
		return ErrClosed
	default:
	}
	if err := s.broken.Load(); err != nil {
		return *err
	}
	return nil
}

func (s *durable) Close() error {
	s.close.Do(func() {
		close(s.quit)
		<-s.done
		var err error
		if s.broken.Load() == nil {
			err = settle(s.db)
		}
		s.closeErr = errors.Join(err, s.db.Close(), s.lock.Close())
	})
	return s.closeErr
}

// settle commits nothing once more. bbolt keeps the states after the last two
// commits and falls back to the older one if the page that heads the newer one
// is damaged. After settle both are the same, so that damage to either of them
// at rest loses nothing.
func settle(db *bolt.DB) error {
	return db.Update(func(*bolt.Tx) error { return nil })
}

// boltReader reads inside a bbolt transaction. A value whose checksum is wrong
// reads as absent and leaves err, which fails the transaction.
type boltReader struct {
	tx  *bolt.Tx
	err error
}

func (r *boltReader) Get(table, key string) ([]byte, bool) {
	b := r.tx.Bucket([]byte(table))
	if b == nil {
		return nil, false
	}
	sealed := b.Get([]byte(key))
	if sealed == nil {
		return nil, false
	}
	return r.open(table, key, sealed)
}

func (r *boltReader) Ascend(table, from string, fn func(string, []byte) bool) {
	b := r.tx.Bucket([]byte(table))
	if b == nil {
		return
	}
	c := b.Cursor()
	for k, sealed := c.Seek([]byte(from)); k != nil; k, sealed = c.Next() {
		key := string(k)
		value, ok := r.open(table, key, sealed)
		if !ok || !fn(key, value) {
			return
		}
	}
}

func (r *boltReader) open(table, key string, sealed []byte) ([]byte, bool) {
	value, ok := unseal(table, key, sealed)
	if !ok {
		r.err = fmt.Errorf("%w: checksum of %s %q does not match", ErrCorrupt, table, key)
	}
	return value, ok
}

// syncDir makes a rename in dir durable. Windows cannot sync a folder; there a
// rename that a power cut undoes leaves the temporary file, which is thrown away.
func syncDir(dir string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	f, err := os.Open(dir) //nolint:gosec // the user's own data folder
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
