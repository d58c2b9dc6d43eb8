package store_test

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	bolt "go.etcd.io/bbolt"

	"github.com/dpskit/dpskit/pkg/dps/emulator/internal/store"
)

const dataFile = "emulator.db"

// fill makes a store with enough rows for branch pages and overflow pages.
func fill(t testing.TB, dir string, rows int) {
	t.Helper()
	s, err := store.OpenBolt(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	err = s.Update(t.Context(), func(tx store.Tx) error {
		for i := range rows {
			tx.Put("many", fmt.Sprintf("key-%04d", i), bytes.Repeat([]byte{byte(i)}, 100))
		}
		tx.Put("large", "value", bytes.Repeat([]byte("0123456789"), 2000))
		tx.Put("small", "value", []byte("x"))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestReopenKeepsEverything(t *testing.T) {
	dir := t.TempDir()
	fill(t, dir, 500)
	for range 3 {
		s, err := store.OpenBolt(t.Context(), dir)
		if err != nil {
			t.Fatal(err)
		}
		if n := len(dump(t, s, "many", "")); n != 500 {
			t.Errorf("%d rows after reopening, want 500", n)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	info, err := os.Stat(filepath.Join(dir, dataFile))
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm() != 0o600 {
		t.Errorf("mode of the data file is %v, want 0600", info.Mode())
	}
}

func TestCreationIsOneStep(t *testing.T) {
	dir := t.TempDir()
	// What a crash before the rename leaves behind is thrown away.
	if err := os.WriteFile(filepath.Join(dir, dataFile+".new"), []byte("half-made"), 0o600); err != nil {
		t.Fatal(err)
	}
	fill(t, dir, 1)
	if _, err := os.Stat(filepath.Join(dir, dataFile+".new")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("temporary file is still there: %v", err)
	}
}

func TestSecondOwnerIsRefused(t *testing.T) {
	dir := t.TempDir()
	first := open(t, dir)
	start := time.Now()
	_, err := store.OpenBolt(t.Context(), dir)
	if !errors.Is(err, store.ErrLocked) || !strings.Contains(err.Error(), strconv.Quote(dir)) {
		t.Errorf("second OpenBolt = %v, want ErrLocked that names %q", err, dir)
	}
	if pid := fmt.Sprintf("(pid %d)", os.Getpid()); runtime.GOOS != "windows" && !strings.Contains(err.Error(), pid) {
		t.Errorf("second OpenBolt = %v, want %s in it", err, pid)
	}
	if d := time.Since(start); d > time.Second {
		t.Errorf("refused after %v, want at most 1s", d)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	open(t, dir) // a released folder, with its old lock file, opens
}

func TestRefusedFiles(t *testing.T) {
	other := func(t *testing.T, path string, rows map[string]string, noFreelist bool) {
		t.Helper()
		db, err := bolt.Open(path, 0o600, &bolt.Options{NoFreelistSync: noFreelist})
		if err != nil {
			t.Fatal(err)
		}
		err = db.Update(func(tx *bolt.Tx) error {
			b, err := tx.CreateBucket([]byte("meta"))
			if err != nil {
				return err
			}
			for k, v := range rows {
				if err := b.Put([]byte(k), store.Seal("meta", k, v)); err != nil {
					return err
				}
			}
			return nil
		})
		if err := errors.Join(err, db.Close()); err != nil {
			t.Fatal(err)
		}
	}
	tests := []struct {
		name string
		make func(t *testing.T, path string)
		want error
	}{
		{"empty file", func(t *testing.T, path string) { write(t, path, nil) }, store.ErrForeign},
		{"text file", func(t *testing.T, path string) { write(t, path, []byte(strings.Repeat("hello\n", 5000))) }, store.ErrForeign},
		{"short file", func(t *testing.T, path string) { write(t, path, []byte("x")) }, store.ErrForeign},
		{"directory", func(t *testing.T, path string) {
			if err := os.Mkdir(path, 0o700); err != nil {
				t.Fatal(err)
			}
		}, store.ErrForeign},
		{"symbolic link", func(t *testing.T, path string) {
			fill(t, filepath.Join(filepath.Dir(path), "elsewhere"), 1)
			if err := os.Symlink(filepath.Join("elsewhere", dataFile), path); err != nil {
				t.Skip(err)
			}
		}, store.ErrForeign},
		{"other bbolt program", func(t *testing.T, path string) { other(t, path, nil, true) }, store.ErrForeign},
		{"other bbolt program with a free list", func(t *testing.T, path string) { other(t, path, nil, false) }, store.ErrForeign},
		{"newer version", func(t *testing.T, path string) {
			other(t, path, map[string]string{"format": "dpskit-emulator", "schema": "2"}, true)
		}, store.ErrNewer},
		{"no version", func(t *testing.T, path string) {
			other(t, path, map[string]string{"format": "dpskit-emulator"}, true)
		}, store.ErrCorrupt},
		{"cut short", func(t *testing.T, path string) {
			fill(t, filepath.Dir(path), 200)
			if err := os.Truncate(path, 20000); err != nil {
				t.Fatal(err)
			}
		}, store.ErrCorrupt},
		{"both meta pages overwritten", func(t *testing.T, path string) {
			fill(t, filepath.Dir(path), 200)
			data := read(t, path)
			page := os.Getpagesize()
			data[40], data[page+40] = data[40]^1, data[page+40]^1
			write(t, path, data)
		}, store.ErrCorrupt},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), dataFile)
			tt.make(t, path)
			var before []byte
			if info, err := os.Stat(path); err == nil && !info.IsDir() {
				before = read(t, path)
			}
			for range 2 { // the second time, too: refusing must not change the file
				_, err := store.OpenBolt(t.Context(), filepath.Dir(path))
				if !errors.Is(err, tt.want) {
					t.Fatalf("OpenBolt = %v, want %v", err, tt.want)
				}
				if !strings.Contains(err.Error(), filepath.Dir(path)) {
					t.Errorf("error %q does not name the folder", err)
				}
			}
			if before != nil && !bytes.Equal(before, read(t, path)) {
				t.Error("refused file was changed")
			}
		})
	}
}

func read(t testing.TB, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func write(t testing.TB, path string, data []byte) {
	t.Helper()
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestBitFlips damages one bit, or one sector, of the file in many places. The
// store opens with everything in it, opens with the state of the commit before
// (damaged meta page), or refuses. It never panics and never loses rows.
func TestBitFlips(t *testing.T) {
	dir := t.TempDir()
	const rows = 120
	fill(t, dir, rows)
	path := filepath.Join(dir, dataFile)
	pristine := read(t, path)
	used := usedBytes(pristine)
	rng := rand.New(rand.NewPCG(3, 4))
	refused, opened := 0, 0
	for i := range 800 {
		damaged := bytes.Clone(pristine[:used])
		at := rng.IntN(used)
		if i%3 == 0 { // meta, headers and elements are a small part of the file
			at = rng.IntN(used/os.Getpagesize())*os.Getpagesize() + rng.IntN(120)
		}
		if i%10 == 0 {
			sector := at / 512 * 512
			copy(damaged[sector:min(sector+512, used)], make([]byte, 512))
		} else {
			damaged[at] ^= 1 << rng.IntN(8)
		}
		write(t, path, damaged)
		s, err := store.OpenBolt(t.Context(), dir)
		if err != nil {
			if !errors.Is(err, store.ErrCorrupt) && !errors.Is(err, store.ErrForeign) {
				t.Fatalf("byte %d: %v", at, err)
			}
			refused++
			continue
		}
		opened++
		if n := len(dump(t, s, "many", "")); n != rows {
			t.Fatalf("byte %d: store opened with %d rows of %d", at, n, rows)
		}
		if err := s.Close(); err != nil {
			t.Fatalf("byte %d: %v", at, err)
		}
	}
	if refused == 0 || opened == 0 {
		t.Errorf("refused %d, opened %d: the test does not reach both outcomes", refused, opened)
	}
}

// usedBytes is the length of the file without its unused tail.
func usedBytes(data []byte) int {
	return len(bytes.TrimRight(data, "\x00"))/os.Getpagesize()*os.Getpagesize() + os.Getpagesize()
}

// TestDamageWhileOpen changes the file under a running store: a read must fail,
// not return something else.
func TestDamageWhileOpen(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	update(t, s, func(tx store.Tx) { tx.Put("t", "k", []byte("unmistakable value")) })
	path := filepath.Join(dir, dataFile)
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	data := read(t, path)
	at := bytes.LastIndex(data, []byte("unmistakable"))
	if _, err := f.WriteAt([]byte("U"), int64(at)); err != nil {
		t.Fatal(err)
	}
	found := true
	err = s.View(t.Context(), func(r store.Reader) error {
		_, found = r.Get("t", "k")
		return nil
	})
	if !errors.Is(err, store.ErrCorrupt) || found {
		t.Errorf("View of a damaged value = %v, found %v; want ErrCorrupt", err, found)
	}
	err = s.Update(t.Context(), func(tx store.Tx) error {
		tx.Ascend("t", "", func(string, []byte) bool { return true })
		tx.Put("t", "other", nil)
		return nil
	})
	if !errors.Is(err, store.ErrCorrupt) {
		t.Errorf("Update over a damaged value = %v, want ErrCorrupt", err)
	}
}

func FuzzVerifyFile(f *testing.F) {
	dir := f.TempDir()
	fill(f, dir, 20)
	f.Add(read(f, filepath.Join(dir, dataFile))[:8*os.Getpagesize()])
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, data []byte) {
		err := store.VerifyFile(bytes.NewReader(data), int64(len(data)))
		if err != nil && !errors.Is(err, store.ErrCorrupt) && !errors.Is(err, store.ErrForeign) {
			t.Errorf("unexpected kind of error: %v", err)
		}
	})
}
