package main

import (
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dpskit/dpskit/cmd/internal/clitest"
	"github.com/dpskit/dpskit/pkg/pki"
)

// cryptoOnly makes n P-256 keys and signatures on every processor, and nothing
// else: no program can make n devices in less time.
func cryptoOnly(tb testing.TB, n int) (wall, cpu time.Duration) {
	tb.Helper()
	ca, err := pki.GenerateKey("")
	if err != nil {
		tb.Fatal(err)
	}
	tbs := make([]byte, 500) // about the size of what is signed
	var next atomic.Int64
	var wg sync.WaitGroup
	start, before := time.Now(), processTime()
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for next.Add(1) <= int64(n) {
				digest := sha256.Sum256(tbs)
				_, keyErr := pki.GenerateKey("")
				if _, err := ca.Sign(rand.Reader, digest[:], crypto.SHA256); err != nil || keyErr != nil {
					tb.Error(keyErr, err)
				}
			}
		})
	}
	wg.Wait()
	return time.Since(start), processTime() - before
}

// runCommand makes n devices with the program in a process of its own.
func runCommand(tb testing.TB, program, dir string, n int, flags ...string) (wall, cpu time.Duration, peak int64) {
	tb.Helper()
	args := []string{"device", "--dir", filepath.Join(dir, "pki"), "--count", strconv.Itoa(n), "--prefix", "dev-", "--output", "json"}
	cmd := exec.Command(program, append(args, flags...)...)
	start := time.Now()
	out, err := cmd.Output()
	wall = time.Since(start)
	var result fleetResult
	if err == nil {
		err = json.Unmarshal(out, &result)
	}
	if err != nil || result.Made != n {
		tb.Fatalf("%v: %v, %+v", cmd, err, result)
	}
	return wall, cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime(), clitest.PeakBytes(cmd.ProcessState)
}

// BenchmarkFleet compares the whole command, from the start of the process to
// its end with everything synced to the disk, with the limit that keys and
// signatures set. The two take turns, so that both meet the same machine; the
// figures are medians. TMPDIR chooses the file system, and FLEET_FORMAT tar
// (the default), zip or files.
//
//	go test -run '^$' -bench Fleet -benchtime 5x ./cmd/certgen
func BenchmarkFleet(b *testing.B) {
	program, dir := clitest.Build(b, "certgen"), b.TempDir()
	if out, err := exec.Command(program, "init", "--dir", filepath.Join(dir, "pki")).CombinedOutput(); err != nil {
		b.Fatalf("%v\n%s", err, out)
	}
	format := os.Getenv("FLEET_FORMAT")
	if format == "" {
		format = "tar"
	}
	for _, n := range []int{1_000, 10_000, 100_000} {
		b.Run(fmt.Sprintf("%s/%d", format, n), func(b *testing.B) {
			var limitWall, limitCPU, wall, cpu []time.Duration
			var peak int64
			out := filepath.Join(dir, "out")
			for b.Loop() {
				w, c := cryptoOnly(b, n)
				limitWall, limitCPU = append(limitWall, w), append(limitCPU, c)
				w, c, p := runCommand(b, program, dir, n, "--output-format", format, "--out", out)
				wall, cpu, peak = append(wall, w), append(cpu, c), max(peak, p)
				for _, path := range []string{out, out + ".index.csv"} {
					if err := os.RemoveAll(path); err != nil {
						b.Fatal(err)
					}
				}
			}
			perDevice := func(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1000 / float64(n) }
			b.ReportMetric(perDevice(median(limitWall)), "limit-µs/device")
			b.ReportMetric(perDevice(median(wall)), "µs/device")
			b.ReportMetric(perDevice(median(cpu)), "cpu-µs/device")
			b.ReportMetric(float64(median(limitWall))/float64(median(wall)), "of-limit")
			b.ReportMetric(float64(median(limitCPU))/float64(median(cpu)), "of-cpu-limit")
			b.ReportMetric(float64(peak)/(1<<20), "peak-MiB")
			b.ReportMetric(0, "ns/op")
		})
	}
}

func median(d []time.Duration) time.Duration {
	slices.Sort(d)
	return d[len(d)/2]
}
