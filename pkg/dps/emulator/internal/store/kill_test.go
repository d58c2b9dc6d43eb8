package store_test

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dpskit/dpskit/pkg/dps/emulator/internal/store"
)

var killCycles = flag.Int("kill-cycles", 12, "how often TestKillNine kills the writing process")

// Environment of the child process.
const (
	childDir  = "DPSKIT_TEST_STORE_DIR"
	childBase = "DPSKIT_TEST_STORE_BASE"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(childDir); dir != "" {
		os.Exit(writeForever(dir, os.Getenv(childBase)))
	}
	os.Exit(m.Run())
}

// writeForever writes from several goroutines and prints each key after its
// Update returned. It ends when a write fails, or by a signal.
func writeForever(dir, base string) int {
	ctx := context.Background()
	s, err := store.OpenBolt(ctx, dir)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	var wg sync.WaitGroup
	var mu sync.Mutex
	value := []byte(strings.Repeat("v", 300))
	for worker := range 8 {
		wg.Go(func() {
			for i := 0; ; i++ {
				key := fmt.Sprintf("%s-%d-%06d", base, worker, i)
				err := s.Update(ctx, func(tx store.Tx) error {
					tx.Put("rows", key, value)
					tx.Put("twins", key, value)
					return nil
				})
				if err != nil {
					mu.Lock()
					fmt.Println("failed", errors.Is(err, store.ErrReadOnly), s.Ready(ctx) != nil)
					mu.Unlock()
					return
				}
				mu.Lock()
				fmt.Println("ack", key)
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	return 0
}

func child(t *testing.T, dir, base string) (*exec.Cmd, *bufio.Scanner) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childDir+"="+dir, childBase+"="+base)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return cmd, bufio.NewScanner(out)
}

// TestKillNine kills a writing process again and again. Every acknowledged
// write must be there afterwards, whole, and the store must open.
func TestKillNine(t *testing.T) {
	dir := t.TempDir()
	rng := rand.New(rand.NewPCG(5, 6))
	acked := map[string]bool{}
	for cycle := range *killCycles {
		cmd, lines := child(t, dir, strconv.Itoa(cycle))
		budget := 1 + rng.IntN(120)
		for n := 0; lines.Scan(); n++ {
			key, ok := strings.CutPrefix(lines.Text(), "ack ")
			if !ok {
				t.Fatalf("child said %q", lines.Text())
			}
			acked[key] = true
			if n == budget {
				if err := cmd.Process.Kill(); err != nil {
					t.Fatal(err)
				}
			}
		}
		_ = cmd.Wait() // killed
		verifyAcked(t, dir, acked)
	}
	if len(acked) < *killCycles {
		t.Errorf("only %d writes in %d cycles", len(acked), *killCycles)
	}
}

func verifyAcked(t *testing.T, dir string, acked map[string]bool) {
	t.Helper()
	start := time.Now()
	s, err := store.OpenBolt(t.Context(), dir)
	if err != nil {
		t.Fatalf("store does not open: %v", err)
	}
	defer s.Close()
	if d := time.Since(start); d > time.Second {
		t.Errorf("store took %v to open", d)
	}
	err = s.View(t.Context(), func(r store.Reader) error {
		for key := range acked {
			if _, ok := r.Get("rows", key); !ok {
				t.Errorf("acknowledged %s is lost", key)
			}
		}
		r.Ascend("rows", "", func(key string, _ []byte) bool {
			if _, ok := r.Get("twins", key); !ok {
				t.Errorf("half of the transaction of %s is there", key)
			}
			return true
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
