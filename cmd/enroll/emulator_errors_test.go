package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/urfave/cli/v2"

	"github.com/dpskit/dpskit/cmd/internal/cliapp"
	"github.com/dpskit/dpskit/pkg/dps/emulator"
)

// TestStartErrors: what keeps an emulator from starting has an exit code and,
// where there is one, a way out.
func TestStartErrors(t *testing.T) {
	start := func(err error) error { return fmt.Errorf("%w: %w", emulator.ErrStart, err) }
	for name, tt := range map[string]struct {
		err  error
		code int
		says string
	}{
		"in use":   {start(fmt.Errorf("lock data folder %q: %w (pid 7)", "d", emulator.ErrDataInUse)), 1, "hint: stop that emulator, or give another folder in --data, or --memory"},
		"damaged":  {start(emulator.ErrDataDamaged), 1, "hint: move the folder aside"},
		"foreign":  {start(emulator.ErrDataForeign), 1, "hint: give a new or empty folder"},
		"newer":    {start(emulator.ErrDataNewer), 1, "hint: use the version that made it"},
		"anything": {start(errors.New("disk on fire")), 1, "error: start emulator: disk on fire"},
		"an option": {start(&emulator.OptionError{Option: "IDScope", Value: "x y", Err: errors.New("want letters")}), 2,
			`error: --id-scope "x y": want letters`},
		"a secret option": {start(&emulator.OptionError{Option: "Key", Err: errors.New("want base64")}), 2, "error: --key-file: want base64"},
		"remote": {start(&emulator.OptionError{Option: "AdminAddr", Value: "0.0.0.0:1", Err: fmt.Errorf("%w", emulator.ErrNotLoopback)}), 2,
			"hint: give --allow-remote"},
	} {
		t.Run(name, func(t *testing.T) {
			p := cliapp.Program{Name: "enroll", Classify: classify, New: func(*cliapp.Env) *cli.App {
				return &cli.App{Action: func(*cli.Context) error { return startError(tt.err) }}
			}}
			var out bytes.Buffer
			if code := p.Run(context.Background(), &cliapp.Env{Out: &out, Err: &out}, nil); code != tt.code {
				t.Errorf("exit code = %d, want %d", code, tt.code)
			}
			if !strings.Contains(out.String(), tt.says) || strings.Count(out.String(), "error:") != 1 {
				t.Errorf("says %q, want %q", &out, tt.says)
			}
		})
	}
}

// TestEveryOptionHasAFlag: an option error names a flag that exists.
func TestEveryOptionHasAFlag(t *testing.T) {
	known := map[string]bool{}
	for _, f := range newEmulatorCmd(&cliapp.Env{}, nil).Flags {
		for _, name := range f.Names() {
			known[name] = true
		}
	}
	options := reflect.TypeFor[emulator.Options]()
	for option, flag := range flagOfOption {
		if _, ok := options.FieldByName(option); !ok {
			t.Errorf("there is no option %s", option)
		}
		if !known[flag] {
			t.Errorf("%s: there is no flag --%s", option, flag)
		}
	}
}
