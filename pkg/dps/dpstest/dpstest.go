// Package dpstest gives tests a provisioning service of their own.
//
//	e := dpstest.Start(t)
//	client := e.HTTPClient()
//
// Each call of [Start] runs a separate emulator in memory on a free loopback
// port, so tests that use it can run in parallel. It answers at once: devices
// are told to poll after 0 seconds.
package dpstest

import (
	"log/slog"
	"testing"

	"github.com/dpskit/dpskit/pkg/dps/emulator"
)

// Start runs an emulator until the test ends. Each function in opts may change
// the options. Refusals are logged to the output of t.
func Start(t testing.TB, opts ...func(*emulator.Options)) *emulator.Emulator {
	t.Helper()
	o := &emulator.Options{
		RetryAfter: -1,
		Logger:     slog.New(slog.NewTextHandler(t.Output(), nil)),
	}
	for _, set := range opts {
		set(o)
	}
	e, err := emulator.Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	})
	return e
}
