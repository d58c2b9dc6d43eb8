package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/dpskit/dpskit/cmd/internal/cliapp"
	"github.com/dpskit/dpskit/pkg/dps"
	"github.com/dpskit/dpskit/pkg/dps/dpstest"
	"github.com/dpskit/dpskit/pkg/dps/emulator"
	"github.com/dpskit/dpskit/pkg/pki"
)

// TestSecretsNeverAppear runs the commands with debug logs against an emulator
// whose key is a canary, and looks for the canary, for tokens made from it and
// for private keys in everything that is printed.
func TestSecretsNeverAppear(t *testing.T) {
	key := base64.StdEncoding.EncodeToString([]byte("canary-canary-canary-canary-1234"))
	emu := dpstest.Start(t, func(o *emulator.Options) {
		o.Key = dps.Secret(key)
		o.RetryAfter = -1
	})
	dir := t.TempDir()
	ca := filepath.Join(dir, "ca.pem")
	if err := os.WriteFile(ca, pki.EncodeCertificatesPEM(emu.CACertificate()), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Chdir(dir)
	wrongKey := base64.StdEncoding.EncodeToString([]byte("canary-canary-canary-canary-5678"))
	right := emu.Info().ConnectionString
	wrong := strings.Replace(right, key, wrongKey, 1)
	tests := []struct {
		connection string
		code       int
		args       []string
	}{
		{right, 0, []string{"--generate", "--dry-run", "--output", "json"}},
		{right, 0, []string{"--generate", "--dry-run"}},
		{right, 0, []string{"--generate"}},
		{right, 0, []string{"--generate", "--output", "json"}},
		{right, 0, []string{"group", "create", "keys", "--symmetric-key", "--output", "json"}},
		{right, 0, []string{"group", "create", "keys2", "--symmetric-key", "--dry-run"}},
		{right, 5, []string{"group", "create", "keys", "--symmetric-key"}},
		{right, 0, []string{"group", "list", "--output", "json"}},
		{right, 0, []string{"ca", "list", "--output", "json"}},
		{right, 3, []string{"registration", "show", "nobody"}},
		{right, 0, []string{"service", "show", "--output", "json"}},
		{right, 0, []string{"service", "show", "--out", "connection.txt"}},
		{right, 0, []string{"service", "list", "--output", "json"}},
		{right, 0, []string{"ca", "prove", "again", "--ca", "root", "--dry-run", "--output", "json"}},
		{right, 0, []string{"ca", "prove", "again", "--ca", "root"}},
		{right, 0, []string{"group", "delete", "keys", "--dry-run", "--output", "json"}},
		{right, 2, []string{"group", "list", "--host", "localhost:1", "--connection-string", wrong}},
		{right, 7, []string{"group", "list", "--host", "localhost:1", "--timeout", "1s"}},
		{right, 0, []string{"ca", "list", "--iot-hub", "dpskit-emulator-hub"}},
		{wrong, 4, []string{"service", "show", "--show-connection-string"}},
		{wrong, 4, []string{"group", "list"}},
		{wrong, 4, []string{"ca", "list"}},
		{wrong, 4, []string{"--generate"}},
		{right + ";", 0, []string{"group", "list"}},
		{"HostName=x;" + right, 2, []string{"group", "list"}},
		{right + "*", 2, []string{"group", "list"}},
		{strings.Replace(right, "HostName=", "Host=", 1), 2, []string{"group", "list"}},
		{strings.Replace(right, ";SharedAccessKey=", ";SharedAccessKey =", 1) + " ", 0, []string{"group", "list"}},
	}
	for i, tt := range tests {
		t.Run(fmt.Sprintf("%d %s", i, strings.Join(tt.args, " ")), func(t *testing.T) {
			t.Setenv(envConnectionString, tt.connection)
			t.Setenv(envCAFile, ca)
			var all bytes.Buffer
			env := &cliapp.Env{In: strings.NewReader(""), Out: &all, Err: &all, Getenv: os.Getenv, Now: time.Now}
			code := program().Run(context.Background(), env, append(tt.args, "--log-level", "debug"))
			if code != tt.code {
				t.Errorf("exit code = %d, want %d:\n%s", code, tt.code, all.String())
			}
			for _, secret := range []string{
				key[:20], wrongKey[len(wrongKey)-20:], "canary", "sig=", "sig%3D", emulator.TokenFor(dps.Secret(key)), emulator.TokenFor(dps.Secret(wrongKey)), "PRIVATE KEY",
			} {
				if strings.Contains(all.String(), secret) {
					t.Errorf("%q appears in:\n%s", secret, all.String())
				}
			}
		})
	}
}
