package main

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/urfave/cli/v2"

	"github.com/dpskit/dpskit/cmd/internal/cliapp"
)

// ignoreLogger leaves out what each command has in a field of its own, too.
var ignoreLogger = cmp.Options{cmpopts.IgnoreTypes((*slog.Logger)(nil)), cmpopts.IgnoreFields(connectOptions{}, "Output")}

// parse runs a program that has one command only, and returns its exit code.
func parse(t *testing.T, command func(*cliapp.Env) *cli.Command, args ...string) int {
	t.Helper()
	for _, name := range []string{envConnectionString, envCAFile, envIDScope, envDeviceHost, envSubscription, envDir} {
		t.Setenv(name, "")
	}
	var out bytes.Buffer
	p := cliapp.Program{Name: "enroll", Classify: classify, New: func(env *cliapp.Env) *cli.App {
		return &cli.App{Commands: []*cli.Command{command(env)}}
	}}
	env := &cliapp.Env{In: strings.NewReader(""), Out: &out, Err: &out, Getenv: func(string) string { return "" }, Now: time.Now}
	return p.Run(context.Background(), env, args)
}

func TestEmulatorFlags(t *testing.T) {
	usual := emulatorOptions{AdminAddr: "127.0.0.1:8442", Name: "dpskit-emulator", IDScope: "0ne00C0FFEE", RetryAfter: 3 * time.Second,
		Allocation: "hashed", WebhookTimeout: 5 * time.Second, MaxConnections: 2048, MaxRegistrations: 1024}
	inMemory := usual
	inMemory.Memory = true
	tests := []struct {
		name string
		args string
		want emulatorOptions
		code int
	}{
		{"defaults", "emulator", usual, 0},
		{"all", "emulator --data d --https-addr a:1 --https-addr b:2 --mqtt-addr d:4 --mqtt-addr e:5 --admin-addr c:3 --ready-file r --name n --id-scope s --hostname h --hostname i --linked-hub x --linked-hub y,weight=2 --allocation-policy static --webhook-ca-file w --webhook-timeout 2s --allow-remote-webhooks --max-connections 8 --max-registrations 9 --retry-after 1s --allow-remote --key-file k --fault reset --fault op=poll,assigning=2 --fault-seed 7",
			emulatorOptions{Data: "d", HTTPSAddrs: []string{"a:1", "b:2"}, MQTTAddrs: []string{"d:4", "e:5"}, AdminAddr: "c:3", ReadyFile: "r", Name: "n", IDScope: "s",
				Hostnames: []string{"h", "i"}, Hubs: []string{"x", "y,weight=2"}, Allocation: "static", WebhookCAFile: "w", WebhookTimeout: 2 * time.Second, RemoteWebhooks: true,
				MaxConnections: 8, MaxRegistrations: 9, RetryAfter: time.Second, Remote: true, KeyFile: "k",
				Faults: []string{"reset", "op=poll,assigning=2"}, FaultSeed: 7}, 0},
		{"no number", "emulator --max-connections many", emulatorOptions{}, 2},
		{"bad seed", "emulator --fault-seed -1", emulatorOptions{}, 2},
		{"memory", "emulator --memory", inMemory, 0},
		{"an argument", "emulator start", emulatorOptions{}, 2},
		{"not a duration", "emulator --retry-after soon", emulatorOptions{}, 2},
		{"bad log level", "emulator --log-level loud", emulatorOptions{}, 2},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var got emulatorOptions
			code := parse(t, func(env *cliapp.Env) *cli.Command {
				return newEmulatorCmd(env, func(_ context.Context, _ *cliapp.Env, o emulatorOptions) error {
					got = o
					return nil
				})
			}, strings.Fields(tt.args)...)
			if code != tt.code {
				t.Errorf("exit code = %d, want %d", code, tt.code)
			}
			if diff := cmp.Diff(tt.want, got, ignoreLogger, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("options (-want +got):\n%s", diff)
			}
		})
	}
}

func TestRegisterFlags(t *testing.T) {
	file, empty := filepath.Join(t.TempDir(), "key"), filepath.Join(t.TempDir(), "empty")
	for name, content := range map[string]string{file: " a2V5\r\n", empty: "\n"} {
		if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	password := cliapp.SecretSource{Env: envKeyPassword, Prompt: "pass phrase of the key"}
	tests := []struct {
		name string
		args string
		want registerOptions
		code int
	}{
		{"flags after the id", "device register d1 --cert c --key k --id-scope s --host h --payload {}", registerOptions{
			Connect: connectOptions{Timeout: defaultTimeout}, RegistrationID: "d1", Cert: "c", Key: "k", KeyPassword: password,
			IDScope: "s", Host: "h", Transport: "https", Payload: "{}", Output: cliapp.FormatTSV}, 0},
		{"json, timeout, trust", "device register --transport mqtt-ws --output json --timeout 5s --ca-file f --api-version v d1", registerOptions{
			Connect: connectOptions{Timeout: 5 * time.Second, CAFile: "f", APIVersion: "v"}, RegistrationID: "d1",
			KeyPassword: password, Transport: "mqtt-ws", Output: cliapp.FormatJSON}, 0},
		{"key of the device", "device register d1 --symmetric-key-file " + file, registerOptions{
			Connect: connectOptions{Timeout: defaultTimeout}, RegistrationID: "d1", KeyPassword: password, SymmetricKey: "a2V5", Transport: "https", Output: cliapp.FormatTSV}, 0},
		{"key of the group", "device register d1 --transport mqtt --group-key-file " + file, registerOptions{
			Connect: connectOptions{Timeout: defaultTimeout}, RegistrationID: "d1", KeyPassword: password, GroupKey: "a2V5", Transport: "mqtt", Output: cliapp.FormatTSV}, 0},
		{"two keys", "device register d1 --symmetric-key-file " + file + " --group-key-file " + file, registerOptions{}, 2},
		{"key and certificate", "device register d1 --symmetric-key-file " + file + " --cert c", registerOptions{}, 2},
		{"key and private key", "device register d1 --group-key-file " + file + " --key k", registerOptions{}, 2},
		{"empty key file", "device register d1 --symmetric-key-file " + empty, registerOptions{}, 2},
		{"a key on the command line", "device register d1 --symmetric-key a2V5", registerOptions{}, 2},
		{"no id", "device register --cert c", registerOptions{}, 2},
		{"two ids", "device register a b", registerOptions{}, 2},
		{"another transport", "device register a --transport amqp", registerOptions{}, 2},
		{"another format", "device register a --output yaml", registerOptions{}, 2},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var got registerOptions
			code := parse(t, func(env *cliapp.Env) *cli.Command {
				return &cli.Command{Name: "device", Subcommands: []*cli.Command{
					newRegisterCmd(env, func(_ context.Context, _ *cliapp.Env, o registerOptions) error {
						got = o
						return nil
					}),
				}}
			}, strings.Fields(tt.args)...)
			if code != tt.code {
				t.Errorf("exit code = %d, want %d", code, tt.code)
			}
			if diff := cmp.Diff(tt.want, got, ignoreLogger, cmpopts.IgnoreUnexported(registerOptions{})); diff != "" {
				t.Errorf("options (-want +got):\n%s", diff)
			}
		})
	}
}

func TestRegisterManyFlags(t *testing.T) {
	file := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(file, []byte("a2V5\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	many := func(change func(*registerOptions)) registerOptions {
		o := registerOptions{
			Connect: connectOptions{Timeout: defaultTimeout}, KeyPassword: cliapp.SecretSource{Env: envKeyPassword}, Transport: "https", Output: cliapp.FormatTSV,
			Many: &manyOptions{Dir: defaultDir, Start: 1, Concurrency: 16, MaxWait: 10 * time.Minute},
		}
		change(&o)
		return o
	}
	for name, tt := range map[string]struct {
		args string
		want registerOptions
		code int
	}{
		"a workspace": {"--from-workspace", many(func(o *registerOptions) { o.Many.FromWorkspace = true }), 0},
		"all of it": {"w --from-workspace --id a* --id b --concurrency 99 --report r.csv --force --dry-run --timeout 9s --transport mqtt -o json --payload [] --key-password-file p", many(func(o *registerOptions) {
			o.Connect.DryRun, o.Connect.Timeout, o.Payload, o.Transport, o.Output, o.KeyPassword.File = true, 9*time.Second, "[]", "mqtt", "json", "p"
			*o.Many = manyOptions{FromWorkspace: true, Dir: "w", IDs: []string{"a*", "b"}, Start: 1, Concurrency: 99, Report: "r.csv", Force: true, MaxWait: 9 * time.Second}
		}), 0},
		"numbered": {"--count 9 --prefix d- --start 7 --dir w", many(func(o *registerOptions) {
			o.Many.Count, o.Many.Prefix, o.Many.Start, o.Many.Dir = 9, "d-", 7, "w"
		}), 0},
		"numbered in a workspace": {"--count 9 --prefix d- --from-workspace w", many(func(o *registerOptions) {
			o.Many.Count, o.Many.Prefix, o.Many.FromWorkspace, o.Many.Dir = 9, "d-", true, "w"
		}), 0},
		"by the key of a group": {"--count 9 --prefix d- --group-key-file " + file, many(func(o *registerOptions) {
			o.Many.Count, o.Many.Prefix, o.GroupKey = 9, "d-", "a2V5"
		}), 0},
		"neither":            {"", registerOptions{}, 2},
		"not a number":       {"--count many --prefix d-", registerOptions{}, 2},
		"ids of one":         {"d-1 --id d-2", registerOptions{}, 2},
		"a key of one":       {"--count 9 --prefix d- --key k", registerOptions{}, 2},
		"from before 0":      {"--count 9 --prefix d- --start -1", registerOptions{}, 2},
		"too many":           {"--count 10000001 --prefix d-", registerOptions{}, 2},
		"no time":            {"--from-workspace --timeout 0s", registerOptions{}, 2},
		"a transport of old": {"--from-workspace --transport amqp", registerOptions{}, 2},
	} {
		t.Run(name, func(t *testing.T) {
			var got registerOptions
			code := parse(t, func(env *cliapp.Env) *cli.Command {
				return newRegisterCmd(env, func(_ context.Context, _ *cliapp.Env, o registerOptions) error {
					got = o
					return nil
				})
			}, append([]string{"register"}, strings.Fields(tt.args)...)...)
			if code != tt.code {
				t.Errorf("exit code = %d, want %d", code, tt.code)
			}
			if diff := cmp.Diff(tt.want, got, ignoreLogger, cmpopts.EquateEmpty()); tt.want.Many != nil && diff != "" {
				t.Errorf("options (-want +got):\n%s", diff)
			}
		})
	}
}

func TestConnect(t *testing.T) {
	const azure = "HostName=my-dps.azure-devices-provisioning.net;SharedAccessKeyName=p;SharedAccessKey=c2VjcmV0"
	const ambient = "HostName=of-the-environment.azure-devices-provisioning.net;SharedAccessKeyName=p;SharedAccessKey=c2VjcmV0"
	getenv := func(name string) string { return map[string]string{envConnectionString: ambient}[name] }
	tests := []struct {
		name     string
		opts     connectOptions
		host     string
		emulator bool
		arm      bool
		code     int
	}{
		{"nothing", connectOptions{}, "", false, false, 2},
		{"Azure", connectOptions{ConnectionString: azure}, "my-dps.azure-devices-provisioning.net", false, false, 0},
		{"Azure with its resource", connectOptions{ConnectionString: azure, ResourceGroup: "g", Name: "n"}, "my-dps.azure-devices-provisioning.net", false, true, 0},
		{"the resource alone", connectOptions{ResourceGroup: "g", Name: "n"}, "", false, true, 0},
		{"an emulator on this machine", connectOptions{ConnectionString: "HostName=localhost:8443;SharedAccessKeyName=p;SharedAccessKey=c2VjcmV0"}, "localhost:8443", true, true, 0},
		{"an emulator by its word", connectOptions{ConnectionString: "HostName=box:8443;SharedAccessKeyName=p;SharedAccessKey=c2VjcmV0;UseDevelopmentEmulator=true"}, "box:8443", true, true, 0},
		{"a host", connectOptions{Host: "my-dps.azure-devices-provisioning.net"}, "my-dps.azure-devices-provisioning.net", false, false, 0},
		{"a host goes before the environment", connectOptions{Host: "h.azure-devices-provisioning.net", ConnectionString: ambient}, "h.azure-devices-provisioning.net", false, false, 0},
		{"a string goes before the environment", connectOptions{ConnectionString: azure}, "my-dps.azure-devices-provisioning.net", false, false, 0},
		{"a host and a string", connectOptions{Host: "h.azure-devices-provisioning.net", ConnectionString: azure}, "", false, false, 2},
		{"a host and a file", connectOptions{Host: "h.azure-devices-provisioning.net", ConnectionStringFile: "nowhere"}, "", false, false, 2},
		{"a string and a file", connectOptions{ConnectionString: azure, ConnectionStringFile: "nowhere"}, "", false, false, 2},
		{"an IoT hub", connectOptions{ConnectionString: "HostName=h.azure-devices.net;SharedAccessKeyName=p;SharedAccessKey=c2VjcmV0"}, "", false, false, 2},
		{"no such file", connectOptions{ConnectionStringFile: "nowhere"}, "", false, false, 3},
		{"no such TLS root", connectOptions{ConnectionString: azure, CAFile: "nowhere"}, "", false, false, 3},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			ep, err := connect(&cliapp.Env{Getenv: getenv, Err: io.Discard}, tt.opts)
			if err != nil {
				p := cliapp.Program{Name: "enroll", Classify: classify, New: func(*cliapp.Env) *cli.App {
					return &cli.App{Action: func(*cli.Context) error { return err }}
				}}
				var out bytes.Buffer
				if code := p.Run(context.Background(), &cliapp.Env{Out: &out, Err: &out}, nil); code != tt.code {
					t.Errorf("exit code = %d, want %d: %v", code, tt.code, err)
				}
				return
			}
			if tt.code != 0 {
				t.Fatalf("connect succeeded, want exit code %d", tt.code)
			}
			if ep.host != tt.host || ep.emulator != tt.emulator || ep.hasARM() != tt.arm {
				t.Errorf("host %q, emulator %v, ARM %v; want %q, %v, %v", ep.host, ep.emulator, ep.hasARM(), tt.host, tt.emulator, tt.arm)
			}
		})
	}
}
