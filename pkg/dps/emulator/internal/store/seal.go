package store

import (
	"encoding/binary"
	"hash/crc32"

	bolt "go.etcd.io/bbolt"
)

// sealSize is the length of the checksum in front of each value.
const sealSize = 4

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// checksum covers table and key too: a value under a damaged key is damaged.
func checksum(table, key string, value []byte) uint32 {
	sum := crc32.Update(0, castagnoli, []byte(table+"\x00"+key+"\x00"))
	return crc32.Update(sum, castagnoli, value)
}

func seal(table, key string, value []byte) []byte {
	out := make([]byte, sealSize, sealSize+len(value))
	binary.BigEndian.PutUint32(out, checksum(table, key, value))
	return append(out, value...)
}

func unseal(table, key string, sealed []byte) ([]byte, bool) {
	if len(sealed) < sealSize {
		return nil, false
	}
	value := sealed[sealSize:]
	return value, binary.BigEndian.Uint32(sealed) == checksum(table, key, value)
}

// tally is a count and a sum of checksums over all rows outside of the meta
// table. A damaged page can hide rows without damaging one; then the tally of
// what is left differs from the one that was committed.
type tally struct {
	rows uint64
	sum  uint64
}

func (t *tally) add(sealed []byte) {
	t.rows++
	t.sum += uint64(binary.BigEndian.Uint32(sealed))
}

func (t *tally) remove(sealed []byte) {
	t.rows--
	t.sum -= uint64(binary.BigEndian.Uint32(sealed))
}

func (t tally) encode() []byte {
	return binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(nil, t.rows), t.sum)
}

func decodeTally(data []byte) (tally, bool) {
	if len(data) != 16 {
		return tally{}, false
	}
	return tally{rows: binary.BigEndian.Uint64(data), sum: binary.BigEndian.Uint64(data[8:])}, true
}

// writer puts rows into a bbolt transaction and keeps the tally.
type writer struct {
	tx    *bolt.Tx
	tally tally
	dirty bool
}

func (w *writer) put(table, key string, value []byte) error {
	b, err := w.tx.CreateBucketIfNotExists([]byte(table))
	if err != nil {
		return err
	}
	w.forget(b, key)
	sealed := seal(table, key, value)
	w.tally.add(sealed)
	w.dirty = true
	return b.Put([]byte(key), sealed)
}

func (w *writer) del(table, key string) error {
	b := w.tx.Bucket([]byte(table))
	if b == nil {
		return nil
	}
	w.forget(b, key)
	w.dirty = true
	return b.Delete([]byte(key))
}

// forget takes the row that is about to go out of the tally.
func (w *writer) forget(b *bolt.Bucket, key string) {
	if old := b.Get([]byte(key)); len(old) >= sealSize {
		w.tally.remove(old)
	}
}

// finish writes the tally next to what changed it.
func (w *writer) finish() error {
	if !w.dirty {
		return nil
	}
	b, err := w.tx.CreateBucketIfNotExists([]byte(metaTable))
	if err != nil {
		return err
	}
	return b.Put([]byte(tallyKey), seal(metaTable, tallyKey, w.tally.encode()))
}
