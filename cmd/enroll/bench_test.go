package main

import (
	"bufio"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/dpskit/dpskit/cmd/internal/clitest"
)

// BenchmarkGenerate runs the whole `enroll --generate` in a new process and an
// empty folder: with P-256 keys, from certificates to the assigned device.
// Besides the wall time it reports the processor time and the peak memory of
// the process.
//
//	go test -bench Generate -run '^$' ./cmd/enroll
func BenchmarkGenerate(b *testing.B) {
	program, dir := clitest.Build(b, "enroll"), b.TempDir()
	var cpu time.Duration
	var peak int64
	i := 0
	for b.Loop() {
		i++
		cmd := exec.Command(program, "--generate", "--output", "json", "--dir", filepath.Join(dir, "pki", time.Now().Format("150405.000000000")))
		cmd.Env = append(os.Environ(), envConnectionString+"=")
		if out, err := cmd.Output(); err != nil {
			b.Fatalf("%v\n%s", err, out)
		}
		cpu += cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
		peak = max(peak, clitest.PeakBytes(cmd.ProcessState))
	}
	b.ReportMetric(float64(cpu.Milliseconds())/float64(i), "cpu-ms/op")
	b.ReportMetric(float64(peak)/(1<<20), "peak-MiB")
}

// BenchmarkEmulatorReady measures from the start of the process to the ready
// line of an emulator that makes its TLS root and its store in a new folder.
//
//	go test -bench EmulatorReady -run '^$' ./cmd/enroll
func BenchmarkEmulatorReady(b *testing.B) {
	program, dir := clitest.Build(b, "enroll"), b.TempDir()
	for _, mode := range []string{"memory", "data"} {
		b.Run(mode, func(b *testing.B) {
			for b.Loop() {
				args := []string{"emulator", "--https-addr", "127.0.0.1:0", "--mqtt-addr", "127.0.0.1:0", "--admin-addr", "127.0.0.1:0", "--log-level", "error"}
				if mode == "memory" {
					args = append(args, "--memory")
				} else {
					args = append(args, "--data", filepath.Join(dir, time.Now().Format("150405.000000000")))
				}
				cmd := exec.Command(program, args...)
				stdout, err := cmd.StdoutPipe()
				if err != nil {
					b.Fatal(err)
				}
				if err := cmd.Start(); err != nil {
					b.Fatal(err)
				}
				line, err := bufio.NewReader(stdout).ReadBytes('\n')
				b.StopTimer()
				if err != nil || !json.Valid(line) {
					b.Fatalf("ready line %q: %v", line, err)
				}
				_ = cmd.Process.Signal(os.Interrupt)
				if err := cmd.Wait(); err != nil {
					b.Fatal(err)
				}
				b.StartTimer()
			}
		})
	}
}
