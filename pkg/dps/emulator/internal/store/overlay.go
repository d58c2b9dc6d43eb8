package store

import "github.com/tidwall/btree"

// overlay is a Tx that keeps its writes to itself, so that dropping it is all
// that is needed to undo them.
type overlay struct {
	base   Reader
	tables map[string]*btree.Map[string, pending]
}

// pending is one write: a value, or a deletion.
type pending struct {
	value   []byte
	deleted bool
}

func newOverlay(base Reader) *overlay {
	return &overlay{base: base, tables: map[string]*btree.Map[string, pending]{}}
}

func (o *overlay) Get(table, key string) ([]byte, bool) {
	if t := o.tables[table]; t != nil {
		if p, ok := t.Get(key); ok {
			return p.value, !p.deleted
		}
	}
	return o.base.Get(table, key)
}

func (o *overlay) Put(table, key string, value []byte) {
	o.set(table, key, pending{value: append([]byte{}, value...)})
}

func (o *overlay) Delete(table, key string) {
	o.set(table, key, pending{deleted: true})
}

func (o *overlay) set(table, key string, p pending) {
	t := o.tables[table]
	if t == nil {
		t = &btree.Map[string, pending]{}
		o.tables[table] = t
	}
	t.Set(key, p)
}

// Ascend merges the writes into the walk over the base.
func (o *overlay) Ascend(table, from string, fn func(string, []byte) bool) {
	t := o.tables[table]
	if t == nil {
		o.base.Ascend(table, from, fn)
		return
	}
	it := t.Iter()
	more, stopped := it.Seek(from), false
	own := func() bool { // hands out the write under the iterator
		key, p := it.Key(), it.Value()
		more = it.Next()
		if !p.deleted && !fn(key, p.value) {
			stopped = true
		}
		return !stopped
	}
	o.base.Ascend(table, from, func(key string, value []byte) bool {
		for more && it.Key() < key {
			if !own() {
				return false
			}
		}
		if more && it.Key() == key {
			return own()
		}
		if !fn(key, value) {
			stopped = true
		}
		return !stopped
	})
	for more && !stopped {
		own()
	}
}

// apply hands every write to put and del, tables in no order, keys ascending.
func (o *overlay) apply(put func(table, key string, value []byte) error, del func(table, key string) error) error {
	for table, writes := range o.tables {
		var err error
		writes.Scan(func(key string, p pending) bool {
			if p.deleted {
				err = del(table, key)
			} else {
				err = put(table, key, p.value)
			}
			return err == nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}
