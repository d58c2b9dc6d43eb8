package main

import (
	"context"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/urfave/cli/v2"

	"github.com/dpskit/dpskit/cmd/internal/cliapp"
)

func TestCAFlags(t *testing.T) {
	files := caSource{Dir: defaultDir, Password: cliapp.SecretSource{Env: envKeyPassword, Prompt: "pass phrase of the CA key"}}
	with := func(f func(*caSource)) caSource {
		s := files
		f(&s)
		return s
	}
	tests := []struct {
		args string
		want caOptions
		code int
	}{
		{"x n --cert c --key k --force", caOptions{Names: []string{"n"}, Force: true, Source: with(func(s *caSource) { s.Cert, s.Key = "c", "k" })}, 0},
		{"x n --ca root --dir d --verified --key-password-file p", caOptions{Names: []string{"n"}, Verified: true,
			Source: with(func(s *caSource) { s.CA, s.Dir, s.Password.File = "root", "d", "p" })}, 0},
		{"x n --iot-hub h -g g --api-version 2023-06-30", caOptions{Names: []string{"n"}, Hub: "h", Source: files, Connect: connectOptions{
			ResourceGroup: "g", APIVersion: "2023-06-30", ARMVersion: "2023-06-30", SubscriptionOnly: true}}, 0},
		{"x n --api-version 2022-12-12 -n d", caOptions{Names: []string{"n"}, Source: files, Connect: connectOptions{
			Name: "d", APIVersion: "2022-12-12", ARMVersion: "2022-12-12"}}, 0},
		{"x n --ca root --key k", caOptions{}, 2},
		{"x n --ca=", caOptions{}, 2},
		{"x n --iot-hub=", caOptions{}, 2},
		{"x n --iot-hub h --name d", caOptions{}, 2},
		{"x", caOptions{}, 2},
		{"x a b", caOptions{}, 2},
	}
	for _, tt := range tests {
		t.Run(tt.args, func(t *testing.T) {
			var got caOptions
			code := parse(t, func(env *cliapp.Env) *cli.Command {
				return caCommand(env, func(_ context.Context, _ *cliapp.Env, o caOptions) error {
					got = o
					return nil
				}, &cli.Command{Name: "x", Before: cliapp.ExactArgs("NAME"),
					Flags: append(caSourceFlags(true), &cli.BoolFlag{Name: flagVerified}, &cli.BoolFlag{Name: flagForce})})
			}, strings.Fields(tt.args)...)
			if code != tt.code {
				t.Fatalf("exit code = %d, want %d", code, tt.code)
			}
			if code != 0 {
				return
			}
			tt.want.Output, tt.want.Connect.Timeout = cliapp.FormatTSV, defaultTimeout
			if diff := cmp.Diff(tt.want, got, ignoreLogger, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("options (-want +got):\n%s", diff)
			}
		})
	}
}
