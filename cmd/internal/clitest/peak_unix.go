//go:build unix

package clitest

import (
	"os"
	"runtime"
	"syscall"
)

// PeakBytes is the largest resident set of an ended process; 0 if unknown.
func PeakBytes(state *os.ProcessState) int64 {
	usage, ok := state.SysUsage().(*syscall.Rusage)
	if !ok {
		return 0
	}
	if runtime.GOOS == "darwin" {
		return int64(usage.Maxrss)
	}
	return int64(usage.Maxrss) << 10
}
