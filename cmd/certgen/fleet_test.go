package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/dpskit/dpskit/cmd/internal/cliapp"
	"github.com/dpskit/dpskit/pkg/pki"
	"github.com/dpskit/dpskit/pkg/pki/fleet"
)

func TestFleetFlags(t *testing.T) {
	numbered := fleetOptions{Count: 100, Prefix: "dev-", Start: 1, Format: fleet.FormatFiles, Out: "pki/fleet"}
	with := func(change func(*deviceOptions)) deviceOptions {
		f := numbered
		opts := deviceOptions{
			commonOptions: textIn, issueOptions: defaultOf, IDs: []string{}, PFX: pfxOptions{Profile: pki.PFXModern}, Fleet: &f,
		}
		change(&opts)
		return opts
	}
	tests := []struct {
		name string
		args string
		want deviceOptions
	}{
		{"numbers", "--count 100 --prefix dev-", with(func(*deviceOptions) {})},
		{"a start", "--count 100 --prefix dev- --start 0", with(func(o *deviceOptions) { o.Fleet.Start = 0 })},
		{"a file", "--from-file ids.csv", with(func(o *deviceOptions) {
			o.Fleet.Count, o.Fleet.Prefix, o.Fleet.FromFile = 0, "", "ids.csv"
		})},
		{"a tar file", "--count 100 --prefix dev- --output-format tar --dir d", with(func(o *deviceOptions) {
			o.Fleet.Format, o.Fleet.Out, o.Dir = fleet.FormatTar, "d/fleet.tar", "d"
		})},
		{"a part", "--count 100 --prefix dev- --shard 1/8", with(func(o *deviceOptions) {
			o.Fleet.Shard = fleet.Shard{Index: 1, Count: 8}
		})},
		{"a part in a zip file", "--count 100 --prefix dev- --shard 1/8 --output-format zip", with(func(o *deviceOptions) {
			o.Fleet.Shard, o.Fleet.Format, o.Fleet.Out = fleet.Shard{Index: 1, Count: 8}, fleet.FormatZip, "pki/fleet-1-of-8.zip"
		})},
		{"a place", "--count 100 --prefix dev- --shard 1/8 --output-format zip --out x --raw-index --force", with(func(o *deviceOptions) {
			o.Fleet.Shard, o.Fleet.Format, o.Fleet.Out = fleet.Shard{Index: 1, Count: 8}, fleet.FormatZip, "x"
			o.Fleet.RawIndex, o.Force = true, true
		})},
		{"PFX files", "--count 100 --prefix dev- --pfx", with(func(o *deviceOptions) { o.PFX.Write = true })},
		{"no PFX files", "--count 100 --prefix dev- --pfx=false", with(func(*deviceOptions) {})},
		{"PFX files with a password", "--count 100 --prefix dev- --pfx-password-file p", with(func(o *deviceOptions) {
			o.PFX.Write, o.PFX.PasswordFile = true, "p"
		})},
		{"another key and CA", "--count 100 --prefix dev- --key-type rsa-2048 --ca root", with(func(o *deviceOptions) {
			o.KeyType, o.CA = pki.KeyRSA2048, "root"
		})},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			diff(t, tt.want, parseOK(t, newDeviceCmd, append([]string{"device"}, strings.Fields(tt.args)...)...))
		})
	}
}

func TestFleetFlagsRefused(t *testing.T) {
	tests := []struct{ args, want string }{
		{"--count 5", "--count needs --prefix"},
		{"--count 5 --prefix=", "flag --prefix has an empty value"},
		{"--count 0 --prefix d", "invalid --count 0: want 1 to"},
		{"--count -1 --prefix d", "invalid --count -1"},
		{"--count 99999999 --prefix d", "invalid --count 99999999"},
		{"--count x --prefix d", "for flag --count"},
		{"--count 5 --prefix d --start -1", "invalid --start -1"},
		{"--count 5 --prefix d dev-1", `unexpected argument "dev-1"`},
		{"--count 5 --prefix d --from-file f", "exclude each other"},
		{"--from-file f --prefix d", "--prefix goes with --count"},
		{"--from-file f --start 2", "--start goes with --count"},
		{"--from-file=", "flag --from-file has an empty value"},
		{"--from-file - --pfx-password-file -", "standard input"},
		{"--count 5 --prefix d --output-format rar", `invalid --output-format "rar": want files, tar or zip`},
		{"--count 5 --prefix d --shard 8/8", "count from 0"},
		{"--count 5 --prefix d --shard 1", "invalid --shard"},
		{"--count 5 --prefix d --shard=", "flag --shard has an empty value"},
		{"--count 5 --prefix d --self-signed", "--self-signed is for devices"},
		{"--count 5 --prefix d --name n", "--name is for devices"},
		{"--count 5 --prefix d --broken expired", "--broken is for devices"},
		{"--prefix d", "--prefix goes with --count or --from-file"},
		{"--shard 0/2 dev-1", "--shard goes with --count or --from-file"},
		{"--output-format tar dev-1", "--output-format goes with"},
		{"--out x dev-1", "--out goes with"},
		{"--raw-index dev-1", "--raw-index goes with"},
		{"", "missing argument ID"},
	}
	for _, tt := range tests {
		_, code, stderr := parse(t, newDeviceCmd, append([]string{"device"}, strings.Fields(tt.args)...)...)
		if code != cliapp.ExitUsage || !strings.Contains(stderr, tt.want) {
			t.Errorf("device %s: exit code %d, stderr %q; want 2 and %q", tt.args, code, stderr, tt.want)
		}
	}
}

// runHere runs certgen in this process with standard error as a terminal or not.
func runHere(t *testing.T, terminal bool, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errOut bytes.Buffer
	env := &cliapp.Env{
		In: strings.NewReader(""), Out: &out, Err: &errOut, ErrTTY: terminal, Now: time.Now, Getenv: func(string) string { return "" },
	}
	return program().Run(t.Context(), env, args), out.String(), errOut.String()
}

func TestFleetProgress(t *testing.T) {
	dir := t.TempDir()
	if code, _, stderr := runHere(t, false, "init", "--dir", dir+"/pki"); code != 0 {
		t.Fatal(stderr)
	}
	make := func(terminal bool, more ...string) (stdout, stderr string) {
		t.Helper()
		args := append([]string{
			"device", "--dir", dir + "/pki", "--count", "20", "--prefix", "d", "--output-format", "tar", "--force",
		}, more...)
		code, stdout, stderr := runHere(t, terminal, args...)
		if code != 0 {
			t.Fatal(stderr)
		}
		return stdout, stderr
	}
	stdout, stderr := make(true)
	if !strings.HasPrefix(stderr, "\rdevices [") || !strings.HasSuffix(stderr, "\r\x1b[K") || strings.Contains(stderr, "\n") {
		t.Errorf("stderr of a terminal is %q, want a progress line that is taken away", stderr)
	}
	if !strings.HasPrefix(stdout, "20 devices made in ") {
		t.Errorf("stdout is %q", stdout)
	}
	if _, stderr := make(false); stderr != "" {
		t.Errorf("stderr of a pipe is %q, want nothing", stderr)
	}
	if stdout, stderr := make(true, "--quiet"); stdout != "" || stderr != "" {
		t.Errorf("--quiet prints %q and %q", stdout, stderr)
	}
}

// What is said after an early end is true of each kind of output.
func TestFleetHints(t *testing.T) {
	early := fmt.Errorf("issue fleet: %w", context.Canceled)
	some := fleet.Summary{Devices: 9, Made: 4}
	tests := []struct {
		name   string
		format fleet.Format
		force  bool
		result fleet.Result
		err    error
		want   string
	}{
		{"a folder", fleet.FormatFiles, false, fleet.Result{Summary: some}, early, "4 of 9 devices are whole and stay in o; the same command makes the others"},
		{"a folder by force", fleet.FormatFiles, true, fleet.Result{Summary: some}, early, "the same command without --force makes the others"},
		{"an archive", fleet.FormatTar, false, fleet.Result{Summary: some, Unfinished: ".o.part", Saved: 3}, early, "3 of 9 devices are whole and stay in .o.part; the same command makes the others"},
		{"an archive by force", fleet.FormatZip, true, fleet.Result{Summary: some, Unfinished: ".o.part", Saved: 3}, early, "; the same command makes the others"},
		{"an archive at its beginning", fleet.FormatZip, false, fleet.Result{Summary: some}, early, "no archive was written: the same command starts over"},
		{"a full disk", fleet.FormatTar, false, fleet.Result{Summary: some, Unfinished: ".o.part", Saved: 3}, syscall.ENOSPC, "3 of 9 devices"},
		{"another fleet", fleet.FormatTar, false, fleet.Result{}, fleet.ErrExists, "choose another place with --out, or use --force"},
	}
	for _, tt := range tests {
		p := program()
		p.New = func(*cliapp.Env) *cli.App {
			return &cli.App{Action: func(*cli.Context) error {
				return fleetError(tt.err, &fleetOptions{Format: tt.format, Out: "o"}, tt.force, tt.result)
			}}
		}
		var errOut bytes.Buffer
		env := &cliapp.Env{In: strings.NewReader(""), Out: io.Discard, Err: &errOut, Now: time.Now, Getenv: func(string) string { return "" }}
		if code := p.Run(t.Context(), env, nil); code == 0 || !strings.Contains(errOut.String(), "hint: ") || !strings.Contains(errOut.String(), tt.want) {
			t.Errorf("%s: exit code %d, stderr %q, want %q", tt.name, code, errOut.String(), tt.want)
		}
	}
}
