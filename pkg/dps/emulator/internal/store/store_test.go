package store_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dpskit/dpskit/pkg/dps/emulator/internal/store"
)

// each runs a test on both kinds of store.
func each(t *testing.T, fn func(t *testing.T, s store.Store)) {
	t.Helper()
	t.Run("memory", func(t *testing.T) { fn(t, store.NewMemory()) })
	t.Run("bolt", func(t *testing.T) { fn(t, open(t, t.TempDir())) })
}

func open(t *testing.T, dir string) store.Store {
	t.Helper()
	s, err := store.OpenBolt(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func update(t *testing.T, s store.Store, fn func(store.Tx)) {
	t.Helper()
	err := s.Update(t.Context(), func(tx store.Tx) error {
		fn(tx)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// dump reads a whole table in order.
func dump(t *testing.T, s store.Store, table, from string) []string {
	t.Helper()
	var rows []string
	err := s.View(t.Context(), func(r store.Reader) error {
		r.Ascend(table, from, func(key string, value []byte) bool {
			rows = append(rows, key+"="+string(value))
			return true
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return rows
}

func TestPutGetDelete(t *testing.T) {
	each(t, func(t *testing.T, s store.Store) {
		update(t, s, func(tx store.Tx) {
			tx.Put("a", "1", []byte("one"))
			tx.Put("a", "2", []byte("two"))
			tx.Put("b", "1", nil)
			tx.Delete("c", "nothing")
		})
		update(t, s, func(tx store.Tx) { tx.Delete("a", "1") })
		if diff := cmp.Diff([]string{"2=two"}, dump(t, s, "a", "")); diff != "" {
			t.Error(diff)
		}
		if diff := cmp.Diff([]string{"1="}, dump(t, s, "b", "")); diff != "" {
			t.Error(diff)
		}
		if rows := dump(t, s, "c", ""); rows != nil {
			t.Errorf("unwritten table has %v", rows)
		}
		err := s.View(t.Context(), func(r store.Reader) error {
			if _, ok := r.Get("a", "1"); ok {
				t.Error("deleted key is there")
			}
			if _, ok := r.Get("z", "1"); ok {
				t.Error("key of an unknown table is there")
			}
			if v, ok := r.Get("a", "2"); !ok || string(v) != "two" {
				t.Errorf("Get = %q, %v", v, ok)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	})
}

func TestFailedUpdateLeavesNothing(t *testing.T) {
	boom := errors.New("boom")
	each(t, func(t *testing.T, s store.Store) {
		update(t, s, func(tx store.Tx) { tx.Put("a", "1", []byte("old")) })
		err := s.Update(t.Context(), func(tx store.Tx) error {
			tx.Put("a", "1", []byte("new"))
			tx.Put("a", "2", []byte("new"))
			tx.Delete("a", "1")
			return boom
		})
		if !errors.Is(err, boom) {
			t.Errorf("Update = %v, want boom", err)
		}
		err = s.Update(t.Context(), func(tx store.Tx) error {
			tx.Put("a", "3", nil)
			panic("hostile input")
		})
		if err == nil || !strings.Contains(err.Error(), "hostile input") {
			t.Errorf("Update with a panic = %v", err)
		}
		if diff := cmp.Diff([]string{"1=old"}, dump(t, s, "a", "")); diff != "" {
			t.Error(diff)
		}
		if err := s.Ready(t.Context()); err != nil {
			t.Errorf("store is not ready after failed updates: %v", err)
		}
	})
}

// TestAgainstModel compares long random histories, including what a
// transaction sees of its own writes, with a plain map.
func TestAgainstModel(t *testing.T) {
	each(t, func(t *testing.T, s store.Store) {
		rng := rand.New(rand.NewPCG(1, 2))
		model := map[string]string{}
		for range 60 {
			fail := rng.IntN(4) == 0
			next := maps.Clone(model)
			err := s.Update(t.Context(), func(tx store.Tx) error {
				for range rng.IntN(20) {
					key := fmt.Sprintf("k%02d", rng.IntN(40))
					if rng.IntN(3) == 0 {
						tx.Delete("t", key)
						delete(next, key)
					} else {
						value := fmt.Sprint(rng.IntN(1000))
						tx.Put("t", key, []byte(value))
						next[key] = value
					}
					compare(t, tx, next, fmt.Sprintf("k%02d", rng.IntN(40)), rng.IntN(10))
				}
				if fail {
					return errors.New("undo")
				}
				return nil
			})
			if fail != (err != nil) {
				t.Fatalf("Update = %v, want failure %v", err, fail)
			}
			if !fail {
				model = next
			}
			err = s.View(t.Context(), func(r store.Reader) error {
				compare(t, r, model, "", 100)
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
		}
	})
}

// compare walks up to limit rows from a key and looks each key up.
func compare(t *testing.T, r store.Reader, model map[string]string, from string, limit int) {
	t.Helper()
	var want, got []string
	for _, key := range slices.Sorted(maps.Keys(model)) {
		if key >= from && len(want) < limit {
			want = append(want, key+"="+model[key])
		}
	}
	if limit > 0 {
		r.Ascend("t", from, func(key string, value []byte) bool {
			got = append(got, key+"="+string(value))
			return len(got) < limit
		})
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatalf("from %q: %s", from, diff)
	}
	for key, value := range model {
		if v, ok := r.Get("t", key); !ok || string(v) != value {
			t.Fatalf("Get(%q) = %q, %v, want %q", key, v, ok, value)
		}
	}
}

func TestConcurrentUpdatesAreSerial(t *testing.T) {
	each(t, func(t *testing.T, s store.Store) {
		const workers, rounds = 20, 10
		var wg sync.WaitGroup
		for range workers {
			wg.Go(func() {
				for range rounds {
					err := s.Update(t.Context(), func(tx store.Tx) error {
						v, _ := tx.Get("t", "n")
						tx.Put("t", "n", append(v[:len(v):len(v)], 'x'))
						return nil
					})
					if err != nil {
						t.Error(err)
					}
				}
			})
		}
		wg.Wait()
		rows := dump(t, s, "t", "")
		if len(rows) != 1 || len(rows[0]) != len("n=")+workers*rounds {
			t.Errorf("lost updates: %d of %d", len(rows[0])-2, workers*rounds)
		}
	})
}

func TestClosed(t *testing.T) {
	each(t, func(t *testing.T, s store.Store) {
		if err := s.Ready(t.Context()); err != nil {
			t.Errorf("Ready before Close: %v", err)
		}
		for range 2 {
			if err := s.Close(); err != nil {
				t.Errorf("Close: %v", err)
			}
		}
		for name, err := range map[string]error{
			"View":   s.View(t.Context(), func(store.Reader) error { return nil }),
			"Update": s.Update(t.Context(), func(store.Tx) error { return nil }),
			"Ready":  s.Ready(t.Context()),
		} {
			if !errors.Is(err, store.ErrClosed) {
				t.Errorf("%s = %v, want ErrClosed", name, err)
			}
		}
	})
}

func TestCancelledContext(t *testing.T) {
	each(t, func(t *testing.T, s store.Store) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		called := false
		if err := s.View(ctx, func(store.Reader) error { called = true; return nil }); !errors.Is(err, context.Canceled) {
			t.Errorf("View = %v", err)
		}
		if err := s.Update(ctx, func(store.Tx) error { called = true; return nil }); !errors.Is(err, context.Canceled) {
			t.Errorf("Update = %v", err)
		}
		if called {
			t.Error("transaction ran after cancel")
		}
	})
}

func TestValuesAreCopied(t *testing.T) {
	each(t, func(t *testing.T, s store.Store) {
		value := []byte("before")
		update(t, s, func(tx store.Tx) { tx.Put("t", "k", value) })
		copy(value, "AFTER!")
		if diff := cmp.Diff([]string{"k=before"}, dump(t, s, "t", "")); diff != "" {
			t.Error(diff)
		}
	})
}

func BenchmarkUpdate(b *testing.B) {
	for name, make := range map[string]func(b *testing.B) (store.Store, error){
		"memory": func(*testing.B) (store.Store, error) { return store.NewMemory(), nil },
		"bolt":   func(b *testing.B) (store.Store, error) { return store.OpenBolt(b.Context(), b.TempDir()) },
	} {
		b.Run(name, func(b *testing.B) {
			s, err := make(b)
			if err != nil {
				b.Fatal(err)
			}
			defer s.Close()
			b.SetParallelism(64)
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					key := fmt.Sprint(rand.Uint64())
					err := s.Update(b.Context(), func(tx store.Tx) error {
						tx.Put("t", key, []byte("value"))
						return nil
					})
					if err != nil {
						b.Error(err)
					}
				}
			})
		})
	}
}
