// Package crash is a test that kills emulators: processes of their own, by
// SIGKILL, at random moments of a run of writes through HTTPS, their start
// included. After each kill the store must open, and hold of every object
// either what was acknowledged last or what was being written.
//
// A test run takes seconds. A long one is
//
//	go test ./pkg/dps/emulator/internal/crash -kill-for 1h
package crash
