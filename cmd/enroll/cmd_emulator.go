package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/dpskit/dpskit/cmd/internal/cliapp"
	"github.com/dpskit/dpskit/pkg/dps"
	"github.com/dpskit/dpskit/pkg/dps/emulator"
	"github.com/dpskit/dpskit/pkg/pki"
)

type emulatorOptions struct {
	Data       string
	Memory     bool
	HTTPSAddrs []string
	MQTTAddrs  []string
	AdminAddr  string
	ReadyFile  string
	Name       string
	IDScope    string
	Hostnames  []string
	RetryAfter time.Duration
	Remote     bool
	KeyFile    string
	Faults     []string
	FaultSeed  uint64
	Logger     *slog.Logger

	Hubs           []string
	Allocation     string
	WebhookCAFile  string
	WebhookTimeout time.Duration
	RemoteWebhooks bool

	MaxConnections, MaxRegistrations int
}

// addrNone switches a listener off.
const addrNone = "none"

func newEmulatorCmd(env *cliapp.Env, run func(context.Context, *cliapp.Env, emulatorOptions) error) *cli.Command {
	return &cli.Command{
		Name: "emulator", Usage: "run the DPS emulator in the foreground",
		Description: "Serves the service, device and resource manager APIs of DPS on this machine, for\n" +
			"tests; the device API over HTTPS, MQTT, and MQTT over WebSocket. The first line on\n" +
			"standard output, and the ready file, are one JSON document with the real addresses,\n" +
			"the ID scope, the connection string, the token and the file with the TLS root to\n" +
			"trust. With --key-file the connection string and the token are in the ready file\n" +
			"only. It stops cleanly on an interrupt (Ctrl-C) or SIGTERM.\n\n" +
			"   enroll emulator\n" +
			"   enroll emulator --memory --https-addr 127.0.0.1:0 --ready-file ready.json\n\n" +
			faultHelp,
		Flags: flags([]cli.Flag{
			&cli.StringFlag{Name: flagData, Usage: "keep the state in `FOLDER` (default: the user's state folder)"},
			&cli.BoolFlag{Name: flagMemory, Usage: "keep the state in memory and forget it at the end"},
			&cli.StringSliceFlag{Name: flagHTTPSAddr, Usage: "serve HTTPS on `ADDR`, repeatable; port 0 takes a free one (default: 127.0.0.1:8443)"},
			&cli.StringSliceFlag{Name: flagMQTTAddr, Usage: "serve MQTT over TLS on `ADDR`, repeatable; port 0 takes a free one, none switches it off (default: 127.0.0.1:8883)"},
			&cli.StringFlag{Name: flagAdminAddr, Value: "127.0.0.1:8442", Usage: "serve /healthz, /readyz and /ca.pem by plain HTTP on loopback `ADDR`; none switches it off"},
			&cli.StringFlag{Name: flagReadyFile, Usage: "write the ready document to `FILE` when all listeners accept"},
			&cli.StringFlag{Name: flagName, Value: emulator.DefaultName, Usage: "`NAME` of the service instance"},
			&cli.StringFlag{Name: flagIDScope, Value: emulator.DefaultIDScope, Usage: "ID `SCOPE` of the service instance"},
			&cli.StringSliceFlag{Name: flagHostname, Usage: "put `NAME` into the TLS certificate, too; repeatable"},
			&cli.DurationFlag{Name: flagRetryAfter, Value: 3 * time.Second, Usage: "tell devices to poll again after `DURATION`, in whole seconds, as the service does"},
			&cli.BoolFlag{Name: flagRemote, Usage: "allow addresses that are not loopback; needs --" + flagKeyFile},
			&cli.StringFlag{Name: flagKeyFile, Usage: "read the shared access key (base64) from `FILE` instead of using the documented one"},
		}, allocationFlags(), loadFlags(), faultFlags(), cliapp.LogFlags()),
		Action: func(c *cli.Context) error {
			info := slog.LevelInfo
			return run(c.Context, env, emulatorOptions{
				Data: c.String(flagData), Memory: c.Bool(flagMemory),
				HTTPSAddrs: c.StringSlice(flagHTTPSAddr), MQTTAddrs: c.StringSlice(flagMQTTAddr), AdminAddr: c.String(flagAdminAddr), ReadyFile: c.String(flagReadyFile),
				Name: c.String(flagName), IDScope: c.String(flagIDScope), Hostnames: c.StringSlice(flagHostname),
				RetryAfter: c.Duration(flagRetryAfter), Remote: c.Bool(flagRemote),
				Hubs: c.StringSlice(flagLinkedHub), Allocation: c.String(flagAllocationPolicy),
				WebhookCAFile: c.String(flagWebhookCAFile), WebhookTimeout: c.Duration(flagWebhookTimeout), RemoteWebhooks: c.Bool(flagRemoteWebhooks),
				MaxConnections: c.Int(flagMaxConnections), MaxRegistrations: c.Int(flagMaxRegistrations),
				KeyFile: c.String(flagKeyFile), Faults: c.StringSlice(flagFault), FaultSeed: c.Uint64(flagFaultSeed), Logger: env.Logger(c, &info),
			})
		},
	}
}

func runEmulator(ctx context.Context, env *cliapp.Env, opts emulatorOptions) error {
	start, err := opts.forEmulator(env)
	if err != nil {
		return err
	}
	if err := forgetStale(opts.ReadyFile); err != nil {
		return err
	}
	emu, err := emulator.Start(ctx, start)
	if err != nil {
		return startError(err)
	}
	defer emu.Close()
	info, forget, err := withCAFile(emu)
	if err != nil {
		return err
	}
	defer forget()
	env.Notef("test emulator, not for production; stop it with Ctrl-C")
	for _, rule := range start.Faults {
		env.Notef("fault on purpose: %s (seed %d)", rule, start.FaultSeed)
	}
	if err := announce(env, info, opts); err != nil {
		return errors.Join(err, forgetOwn(opts.ReadyFile))
	}
	<-ctx.Done()
	env.Notef("stopping")
	return errors.Join(forgetOwn(opts.ReadyFile), emu.Close())
}

func (o emulatorOptions) forEmulator(env *cliapp.Env) (*emulator.Options, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	if !o.Memory && o.Data == "" {
		dir, err := stateDir(env)
		if err != nil {
			return nil, err
		}
		o.Data = dir
	}
	if len(o.HTTPSAddrs) == 0 {
		o.HTTPSAddrs = []string{"127.0.0.1:8443"}
	}
	switch {
	case len(o.MQTTAddrs) == 0:
		o.MQTTAddrs = []string{"127.0.0.1:8883"}
	case o.MQTTAddrs[0] == addrNone: // alone, as check has made sure
		o.MQTTAddrs = []string{}
	}
	if o.AdminAddr == addrNone {
		o.AdminAddr = ""
	}
	start := &emulator.Options{
		Name: o.Name, IDScope: o.IDScope, DataDir: o.Data, HTTPSAddrs: o.HTTPSAddrs, MQTTAddrs: o.MQTTAddrs, AdminAddr: o.AdminAddr,
		HostNames: o.Hostnames, RetryAfter: o.RetryAfter, AllowRemote: o.Remote,
		AllocationPolicy: o.Allocation, AllowRemoteWebhooks: o.RemoteWebhooks, WebhookTimeout: o.WebhookTimeout,
		MaxConnections: o.MaxConnections, MaxRegistrations: o.MaxRegistrations,
		Logger: o.Logger, Now: env.Now, Version: cliapp.Version(),
		FaultSeed: o.FaultSeed,
	}
	if start.RetryAfter == 0 {
		start.RetryAfter = -1
	}
	return start, o.complete(env, start)
}

// complete fills in what has to be read or parsed.
func (o emulatorOptions) complete(env *cliapp.Env, start *emulator.Options) (err error) {
	if start.Faults, err = parseFaults(o.Faults); err != nil {
		return err
	}
	if start.Hubs, start.HubSettings, err = parseHubs(o.Hubs); err != nil {
		return err
	}
	if o.WebhookCAFile != "" {
		if start.WebhookRootCAs, err = trustedRoots(flagWebhookCAFile, o.WebhookCAFile); err != nil {
			return err
		}
	}
	if o.KeyFile != "" {
		key, err := env.Secret(cliapp.SecretSource{File: o.KeyFile})
		if err != nil {
			return fmt.Errorf("read --%s: %w", flagKeyFile, err)
		}
		if len(bytes.TrimSpace(key)) == 0 { // not the documented key, which "" stands for
			return cliapp.Usagef("--%s %q is empty", flagKeyFile, o.KeyFile)
		}
		start.Key = dps.Secret(key)
	}
	return nil
}

// check refuses what the library would take for something else: zero and
// negative values have a meaning there.
func (o emulatorOptions) check() error {
	switch {
	case o.Memory && o.Data != "":
		return cliapp.Usagef("--%s and --%s exclude each other", flagMemory, flagData)
	case o.RetryAfter < 0:
		return cliapp.Usagef("--%s %v: want 0 or more", flagRetryAfter, o.RetryAfter)
	case o.RetryAfter%time.Second != 0:
		return cliapp.Usagef("--%s %v: want whole seconds: devices are told nothing else", flagRetryAfter, o.RetryAfter)
	case len(o.MQTTAddrs) > 1 && slices.Contains(o.MQTTAddrs, addrNone):
		return cliapp.Usagef("--%s %s excludes other addresses", flagMQTTAddr, addrNone)
	case o.WebhookTimeout <= 0:
		return cliapp.Usagef("--%s %v: want more than 0", flagWebhookTimeout, o.WebhookTimeout)
	case o.MaxConnections <= 0:
		return cliapp.Usagef("--%s %d: want 1 or more", flagMaxConnections, o.MaxConnections)
	case o.MaxRegistrations <= 0:
		return cliapp.Usagef("--%s %d: want 1 or more", flagMaxRegistrations, o.MaxRegistrations)
	}
	return nil
}

// announce prints the ready document and writes the ready file. A key of the
// user's own, and the token that is made from it and gives it away, go to the
// file, which only the user can read, and not to the output.
func announce(env *cliapp.Env, info emulator.Info, opts emulatorOptions) error {
	if opts.ReadyFile != "" {
		data, err := json.MarshalIndent(info, "", "  ")
		if err != nil {
			return err
		}
		if err := cliapp.WriteOut(opts.ReadyFile, append(data, '\n')); err != nil {
			return err
		}
	}
	if opts.KeyFile != "" {
		info.ConnectionString, info.Token = "", ""
	}
	if err := json.NewEncoder(env.Out).Encode(info); err != nil {
		return err
	}
	if info.ConnectionString != "" {
		env.Notef("%s", shellLines(info))
	}
	return nil
}

// withCAFile completes the description of an emulator in memory, which keeps no
// files, with a file that holds its TLS root for other programs to trust. The
// function removes the file.
func withCAFile(emu *emulator.Emulator) (emulator.Info, func(), error) {
	info := emu.Info()
	if info.CAFile != "" {
		return info, func() {}, nil
	}
	temp, err := filepath.Abs(os.TempDir())
	if err != nil {
		return info, nil, fmt.Errorf("find the folder for temporary files: %w", err)
	}
	dir, err := os.MkdirTemp(temp, "dpskit-emulator-")
	if err != nil {
		return info, nil, fmt.Errorf("make a folder for the TLS root: %w", err)
	}
	info.CAFile = filepath.Join(dir, "ca.pem")
	if err := os.WriteFile(info.CAFile, pki.EncodeCertificatesPEM(emu.CACertificate()), 0o644); err != nil {
		_ = os.RemoveAll(dir)
		return info, nil, fmt.Errorf("write the TLS root: %w", err)
	}
	return info, func() { _ = os.RemoveAll(dir) }, nil
}

// shellLines are what to paste into another terminal.
func shellLines(info emulator.Info) string {
	quoted := func(text string) string { return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'" }
	return fmt.Sprintf("export %s=%s %s=%s", envConnectionString, quoted(info.ConnectionString), envCAFile, quoted(info.CAFile))
}

// stateDir is where an emulator keeps its state by default: never the current
// folder.
func stateDir(env *cliapp.Env) (string, error) {
	const sub = "dpskit/emulator"
	if dir := env.Getenv("XDG_STATE_HOME"); filepath.IsAbs(dir) {
		return filepath.Join(dir, sub), nil
	}
	if runtime.GOOS == "windows" || runtime.GOOS == "darwin" {
		if dir, err := os.UserCacheDir(); err == nil && runtime.GOOS == "windows" {
			return filepath.Join(dir, sub), nil
		}
		if dir, err := os.UserConfigDir(); err == nil {
			return filepath.Join(dir, sub), nil
		}
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", cliapp.WithHint(fmt.Errorf("find a folder for the state: %v", err), "give --%s FOLDER or --%s", flagData, flagMemory)
	}
	return filepath.Join(home, ".local", "state", sub), nil
}
