package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/dpskit/dpskit/cmd/internal/cliapp"
	"github.com/dpskit/dpskit/pkg/dps/dpstest"
	"github.com/dpskit/dpskit/pkg/pki"
)

// TestConnectionMistakesAreToldApart makes the mistakes that all end in "it does
// not work", and wants a different explanation and a next step for each.
func TestConnectionMistakesAreToldApart(t *testing.T) {
	emu := dpstest.Start(t)
	ca := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, pki.EncodeCertificatesPEM(emu.CACertificate()), 0o600); err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody := listener.Addr().String()
	_ = listener.Close()
	right := emu.Info().ConnectionString
	part := func(name, value string) string {
		parts := strings.Split(right, ";")
		for i, p := range parts {
			if strings.HasPrefix(p, name+"=") {
				parts[i] = name + "=" + value
			}
		}
		return strings.Join(parts, ";")
	}
	tests := []struct {
		name       string
		connection string
		ahead      time.Duration
		ca         string
		code       int
		says       []string
	}{
		{name: "right", connection: right, ca: ca},
		{name: "an IoT hub", connection: "HostName=my-hub.azure-devices.net;SharedAccessKeyName=iothubowner;SharedAccessKey=c2VjcmV0", ca: ca, code: 2,
			says: []string{"IoT hub", "hint: "}},
		{name: "the host of an IoT hub", connection: part("HostName", "my-hub.azure-devices.net"), ca: ca, code: 2, says: []string{"IoT hub"}},
		{name: "another key", connection: part("SharedAccessKey", base64.StdEncoding.EncodeToString([]byte("another-key-another-key"))), ca: ca, code: 4,
			says: []string{"401", "copy the connection string of the policy again"}},
		{name: "a key that was cut", connection: strings.TrimRight(right, "=")[:len(right)-9], ca: ca, code: 2, says: []string{"SharedAccessKey"}},
		{name: "another policy", connection: part("SharedAccessKeyName", "nobody"), ca: ca, code: 4, says: []string{"401"}},
		{name: "a clock two hours ahead", connection: right, ahead: 2 * time.Hour, ca: ca},
		{name: "a clock two hours behind", connection: right, ahead: -2 * time.Hour, ca: ca, code: 4, says: []string{"the clock of this machine is", "behind the server"}},
		{name: "nobody at that port", connection: part("HostName", nobody), ca: ca, code: 7, says: []string{"refused", "enroll emulator"}},
		{name: "no such host", connection: part("HostName", "no-such-dps.invalid"), ca: ca, code: 7, says: []string{"no-such-dps.invalid", "hint: "}},
		{name: "a TLS root that is not trusted", connection: right, code: 1, says: []string{"certificate", envCAFile}},
	}
	seen := map[string]string{}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Setenv(envConnectionString, tt.connection)
			t.Setenv(envCAFile, tt.ca)
			var stderr bytes.Buffer
			env := &cliapp.Env{In: strings.NewReader(""), Out: &bytes.Buffer{}, Err: &stderr, Getenv: os.Getenv,
				Now: func() time.Time { return time.Now().Add(tt.ahead) }}
			code := program().Run(context.Background(), env, []string{"individual", "list", "--timeout", "20s"})
			if code != tt.code {
				t.Errorf("exit code = %d, want %d", code, tt.code)
			}
			for _, s := range tt.says {
				if !strings.Contains(stderr.String(), s) {
					t.Errorf("nobody says %q", s)
				}
			}
			_, hint, found := strings.Cut(stderr.String(), "hint: ")
			if tt.code != 0 && !found {
				t.Error("there is no hint")
			}
			if other, ok := seen[hint]; ok && found && !strings.Contains(tt.name, "another policy") && !strings.Contains(tt.name, "of an IoT hub") {
				t.Errorf("the hint is that of %q", other)
			}
			seen[hint] = tt.name
			if t.Failed() {
				t.Log(stderr.String())
			}
		})
	}
}
