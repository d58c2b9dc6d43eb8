package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"runtime"
	"strings"
	"syscall"
	"time"

	"github.com/dpskit/dpskit/cmd/internal/cliapp"
	"github.com/dpskit/dpskit/pkg/dps/emulator"
)

// dialTime bounds the look at whether an emulator of this machine still listens.
const dialTime = time.Second

// forgetStale removes a ready file that an emulator has left behind which does
// not run any more, so that nobody takes the one that is about to start for
// ready. The file of one that runs stays: this one may fail to start, because
// the other has its folder or its ports. Whatever is there is replaced in one
// step once this one is ready.
func forgetStale(file string) error {
	if file == "" {
		return nil
	}
	if err := cliapp.MayWrite(flagReadyFile, file, true); err != nil {
		return err
	}
	if info, ok := readReady(file); !ok || running(info) {
		return nil
	}
	return removeReady(file)
}

// forgetOwn removes the ready file, unless another emulator has written its own
// there meanwhile.
func forgetOwn(file string) error {
	if file == "" {
		return nil
	}
	if info, ok := readReady(file); !ok || info.PID != os.Getpid() {
		return nil
	}
	return removeReady(file)
}

func removeReady(file string) error {
	if err := os.Remove(file); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove --%s: %w", flagReadyFile, err)
	}
	return nil
}

// readReady reads a ready document; false if the file has none.
func readReady(file string) (info emulator.Info, ok bool) {
	data, err := os.ReadFile(file)
	if err != nil || json.Unmarshal(data, &info) != nil || info.Event != "ready" || info.PID <= 0 {
		return info, false
	}
	return info, true
}

// running reports whether the emulator of a ready document still runs. Process
// ids are used again, in a container at once, so it must listen, too.
func running(info emulator.Info) bool {
	if info.PID == os.Getpid() || !processRuns(info.PID) || len(info.HTTPS) == 0 {
		return false
	}
	conn, err := net.DialTimeout("tcp", strings.TrimPrefix(info.HTTPS[0], "https://"), dialTime)
	if err != nil {
		return false
	}
	_ = conn.Close()
	return true
}

func processRuns(pid int) bool {
	p, err := os.FindProcess(pid)
	if err != nil {
		return false
	}
	defer func() { _ = p.Release() }()
	if runtime.GOOS == "windows" { // a process that ended is not found
		return true
	}
	err = p.Signal(syscall.Signal(0))
	return err == nil || errors.Is(err, fs.ErrPermission)
}
