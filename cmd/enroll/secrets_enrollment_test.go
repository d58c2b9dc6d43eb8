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
	"github.com/dpskit/dpskit/pkg/dps/dpstest"
	"github.com/dpskit/dpskit/pkg/pki"
)

// TestKeysOfDevicesNeverAppear gives the commands keys and webhooks that are
// canaries, and looks for them in everything that is printed or written but for
// where they were asked for.
func TestKeysOfDevicesNeverAppear(t *testing.T) {
	emu := dpstest.Start(t)
	dir := t.TempDir()
	t.Chdir(dir)
	key := base64.StdEncoding.EncodeToString([]byte("canary-canary-canary"))
	short := base64.StdEncoding.EncodeToString([]byte("canary"))
	for name, text := range map[string]string{
		"ca.pem": string(pki.EncodeCertificatesPEM(emu.CACertificate())), "key": key, "short": short, "other": base64.StdEncoding.EncodeToString([]byte("canary-canary-other-key")), "hook": "https://f.example/api?code=canary-canary",
		"badhook": "f.example/canary", "devices.csv": "registrationId,primaryKey,webhookUrl,webhookApiVersion,allocationPolicy\na," + key + ",https://f.example/?code=canary,2019-03-31,custom\n",
		"bad.csv":   "registrationId,primaryKey\nb," + short + "\nc,canary!\n",
		"bad.jsonl": `{"registrationId":"d","attestation":{"symmetricKey":{"primaryKey":"` + short + `"}}}` + "\n",
		"state.yaml": "enrollmentGroups:\n- enrollmentGroupId: applied\n  attestation: {symmetricKey: {primaryKeyFile: key}}\n  allocationPolicy: custom\n" +
			"  customAllocationDefinition: {webhookUrlFile: hook, apiVersion: 2019-03-31}\n",
		"bad.yaml":    "enrollments: [{registrationId: x, attestation: {symmetricKey: {primaryKey: " + short + "}}}]\n",
		"short.jsonl": `{"registrationId":"d","attestation":{"symmetricKey":{"primaryKey":"` + key,
	} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	tests := []struct {
		code int
		args string
	}{
		{0, "group create g --primary-key-file key --allocation-policy custom --webhook-url @hook --webhook-api-version 2019-03-31 --dry-run"},
		{0, "group create g --primary-key-file key"},
		{5, "group create g --primary-key-file key"},
		{2, "group create g2 --primary-key-file short"},
		{2, "group create g2 --symmetric-key --allocation-policy custom --webhook-url @badhook --webhook-api-version 2019-03-31"},
		{0, "group show g --output json"},
		{0, "group update g --secondary-key-file key"},
		{0, "group update g --secondary-key-file key"},
		{0, "group update g --allocation-policy custom --webhook-url @hook --webhook-api-version 2019-03-31 --output table"},
		{0, "group show g --output json"},
		{0, "group list --output json"},
		{0, "group update g --edge --output json"},
		{0, "group update g --edge=false --dry-run --output json"},
		{0, "group list --output table"},
		{0, "group keys g --group-keys --out group.keys"},
		{0, "individual create i --primary-key-file key --output json"},
		{0, "individual import devices.csv --dry-run"},
		{0, "individual import devices.csv --output json"},
		{0, "individual import devices.csv --restart --if-exists update --keys-file device.keys"},
		{8, "individual import devices.csv --restart"},
		{2, "individual import bad.csv"},
		{2, "individual import bad.jsonl"},
		{2, "individual import short.jsonl"},
		{0, "apply -f state.yaml --plan"},
		{0, "apply -f state.yaml --dry-run"},
		{0, "apply -f state.yaml --yes --output json"},
		{0, "group update applied --primary-key-file other"},
		{0, "apply -f state.yaml --yes"},
		{2, "apply -f bad.yaml --yes"},
		{0, "individual keys a --out a.keys"},
		{1, "individual keys a --out nowhere/a.keys"},
	}
	for i, tt := range tests {
		t.Run(fmt.Sprintf("%d %s", i, tt.args), func(t *testing.T) {
			t.Setenv(envConnectionString, emu.Info().ConnectionString)
			t.Setenv(envCAFile, "ca.pem")
			var all bytes.Buffer
			env := &cliapp.Env{In: strings.NewReader(""), Out: &all, Err: &all, Getenv: os.Getenv, Now: time.Now}
			code := program().Run(context.Background(), env, append(strings.Fields(tt.args), "--log-level", "debug"))
			if code != tt.code && (tt.code != 1 || code == 0) {
				t.Errorf("exit code = %d, want %d:\n%s", code, tt.code, all.String())
			}
			holdsNoCanary(t, "the output", all.String())
		})
	}
	for _, name := range []string{"devices.report.csv", "devices.report.csv.state"} {
		data, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		holdsNoCanary(t, name, string(data))
	}
	for name, want := range map[string]string{"group.keys": key, "device.keys": key, "a.keys": key} {
		data, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil || !strings.Contains(string(data), want) {
			t.Errorf("%s does not hold the key that was asked for: %v", name, err)
		}
	}
}

func holdsNoCanary(t *testing.T, where, text string) {
	t.Helper()
	for _, secret := range []string{"canary", "Y2FuYXJ5", "SharedAccessSignature", "sig="} {
		if strings.Contains(text, secret) {
			t.Errorf("%q appears in %s:\n%s", secret, where, text)
		}
	}
}
