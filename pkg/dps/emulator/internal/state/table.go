package state

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/dpskit/dpskit/pkg/dps/emulator/internal/store"
)

// Names of the tables.
const (
	tableEnrollments   = "enrollments"
	tableGroups        = "groups"
	tableCAs           = "certificates"
	tableHubCAs        = "hub-certificates"
	tableRegistrations = "registrations"
	tableOperations    = "operations"
	tableIndex         = "index"
)

// Fold returns the form of an identifier that is compared and sorted. Only
// ASCII letters have case here: strings.ToLower would take the Kelvin sign for
// a k and let two names meet that the service keeps apart.
func Fold(id string) string {
	return strings.Map(func(r rune) rune {
		if 'A' <= r && r <= 'Z' {
			return r + ('a' - 'A')
		}
		return r
	}, id)
}

// NewETag returns a fresh etag in the service's form: base64 of a quoted
// GUID-like text whose last group starts with the time in epoch seconds.
func NewETag(now time.Time) string {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails
	text := fmt.Sprintf(`"%08x-%04x-0800-%04x-%08x0000"`,
		binary.BigEndian.Uint32(b[:4]), b[4:6], b[6:8], uint32(now.Unix()))
	return base64.StdEncoding.EncodeToString([]byte(text))
}

func load[T any](r store.Reader, table, key string) (rec T, found bool, err error) {
	data, found := r.Get(table, key)
	if !found {
		return rec, false, nil
	}
	err = decode(table, key, data, &rec)
	return rec, err == nil, err
}

func decode(table, key string, data []byte, rec any) error {
	if err := json.Unmarshal(data, rec); err != nil {
		return fmt.Errorf("decode %s %q: %w", table, key, err)
	}
	return nil
}

func save(tx store.Tx, table, key string, rec any) error {
	data, err := json.Marshal(rec)
	if err != nil {
		return fmt.Errorf("encode %s %q: %w", table, key, err)
	}
	tx.Put(table, key, data)
	return nil
}

// page reads up to limit records with keys after `after`. next is the key to
// continue after, or "" at the end.
func page[T any](r store.Reader, table, prefix, after string, limit int) (recs []T, next string, err error) {
	from := prefix + after
	last := ""
	r.Ascend(table, from, func(key string, data []byte) bool {
		if !strings.HasPrefix(key, prefix) {
			return false
		}
		key = key[len(prefix):]
		if after != "" && key == after {
			return true
		}
		if len(recs) == limit {
			next = last
			return false
		}
		var rec T
		if err = decode(table, key, data, &rec); err != nil {
			return false
		}
		recs, last = append(recs, rec), key
		return true
	})
	return recs, next, err
}

// index rows: kind/key -> value.
func indexKey(kind, key string) string { return kind + "/" + key }

func lookUp(r store.Reader, kind, key string) (string, bool) {
	v, ok := r.Get(tableIndex, indexKey(kind, key))
	return string(v), ok
}

// reindex replaces the index rows of one owner.
func reindex(tx store.Tx, kind, owner string, old, now []string) {
	for _, key := range old {
		tx.Delete(tableIndex, indexKey(kind, key))
	}
	for _, key := range now {
		tx.Put(tableIndex, indexKey(kind, key), []byte(owner))
	}
}
