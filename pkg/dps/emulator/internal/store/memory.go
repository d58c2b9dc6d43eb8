package store

import (
	"context"
	"sync"

	"github.com/tidwall/btree"
)

// memory is the store of an emulator without a data folder.
type memory struct {
	mu     sync.RWMutex
	tables map[string]*btree.Map[string, []byte]
	closed bool
}

// NewMemory returns an empty store that forgets everything when it is closed.
func NewMemory() Store {
	return &memory{tables: map[string]*btree.Map[string, []byte]{}}
}

// memoryReader reads the tables; its owner holds the lock.
type memoryReader struct{ m *memory }

func (r memoryReader) Get(table, key string) ([]byte, bool) {
	t := r.m.tables[table]
	if t == nil {
		return nil, false
	}
	return t.Get(key)
}

func (r memoryReader) Ascend(table, from string, fn func(string, []byte) bool) {
	if t := r.m.tables[table]; t != nil {
		t.Ascend(from, fn)
	}
}

func (m *memory) View(ctx context.Context, fn func(Reader) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	m.mu.RLock()
	defer m.mu.RUnlock()
	if m.closed {
		return ErrClosed
	}
	return run(func() error { return fn(memoryReader{m}) })
}

func (m *memory) Update(ctx context.Context, fn func(Tx) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return ErrClosed
	}
	o := newOverlay(memoryReader{m})
	if err := run(func() error { return fn(o) }); err != nil {
		return err
	}
	return o.apply(m.put, m.del)
}

func (m *memory) put(table, key string, value []byte) error {
	t := m.tables[table]
	if t == nil {
		t = &btree.Map[string, []byte]{}
		m.tables[table] = t
	}
	t.Set(key, value)
	return nil
}

func (m *memory) del(table, key string) error {
	if t := m.tables[table]; t != nil {
		t.Delete(key)
	}
	return nil
}

func (m *memory) Ready(ctx context.Context) error {
	return m.View(ctx, func(Reader) error { return nil })
}

func (m *memory) Close() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.closed = true
	m.tables = nil
	return nil
}
