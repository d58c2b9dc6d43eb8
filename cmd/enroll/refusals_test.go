package main

import (
	"bytes"
	"context"
	"net"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dpskit/dpskit/cmd/internal/cliapp"
	"github.com/dpskit/dpskit/pkg/pki"
	"github.com/dpskit/dpskit/pkg/pki/pkitest"
)

// TestWrongInputNeverLeavesThisMachine runs commands with mistakes in them
// against a listener, which must not see a single connection.
func TestWrongInputNeverLeavesThisMachine(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	var connections atomic.Int64
	go func() {
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			connections.Add(1)
			_ = c.Close()
		}
	}()
	t.Chdir(t.TempDir())
	writeRefusalFiles(t)
	t.Setenv(envConnectionString, "HostName="+listener.Addr().String()+";SharedAccessKeyName=p;SharedAccessKey=c2VjcmV0c2VjcmV0c2VjcmV0")
	for _, tt := range refusals {
		t.Run(tt.args, func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			env := &cliapp.Env{In: strings.NewReader(""), Out: &stdout, Err: &stderr, Getenv: os.Getenv, Now: time.Now}
			code := program().Run(context.Background(), env, splitArgs(tt.args))
			if code != tt.code {
				t.Errorf("exit code = %d, want %d", code, tt.code)
			}
			if !strings.Contains(stderr.String(), tt.says) || stdout.Len() > 0 {
				t.Errorf("want %q on standard error and nothing on standard output (%q)", tt.says, stdout.String())
			}
			for _, secret := range []string{"PRIVATE", "QUJD", "c2VjcmV0"} {
				if strings.Contains(stderr.String(), secret) {
					t.Errorf("%q appears", secret)
				}
			}
			if t.Failed() {
				t.Log(stderr.String())
			}
		})
	}
	if n := connections.Load(); n != 0 {
		t.Errorf("%d connections were made", n)
	}
}

func writeRefusalFiles(t *testing.T) {
	t.Helper()
	dev := pkitest.Device(t, "dev")
	key, err := dev.KeyPEM()
	if err != nil {
		t.Fatal(err)
	}
	for name, data := range map[string]string{
		"dev.pem": string(dev.CertificatePEM()), "dev.key": string(key), "ca.pem": string(pki.EncodeCertificatesPEM(pkitest.Intermediate(t).Certificate())),
		"short.txt": "QUJD", "key.txt": "bXktb3duLXByaW1hcnkta2V5LTEyMw==", "empty.txt": "\n", "list.json": "[]", "bin.json": "{\"a\":\"\xff\"}",
		"deep.json": strings.Repeat(`{"a":`, 70) + "1" + strings.Repeat("}", 70), "huge.json": `{"a":"` + strings.Repeat("x", 2<<20) + `"}`,
	} {
		if err := os.WriteFile(name, []byte(data), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// splitArgs splits at spaces that are not in single quotes.
func splitArgs(s string) []string {
	var args []string
	for i, part := range strings.Split(s, "'") {
		if i%2 == 1 {
			args = append(args, part)
			continue
		}
		args = append(args, strings.Fields(part)...)
	}
	return args
}

// refusals are commands with one mistake each.
var refusals = []struct {
	code int
	args string
	says string
}{
	// Identifiers.
	{2, "individual create 'a/b' --symmetric-key", `error: ID: "a/b": invalid identifier`},
	{2, "individual create 'a b' --symmetric-key", `"a b": invalid identifier`},
	{2, "individual create 'ä' --symmetric-key", "invalid identifier"},
	{2, "individual create 'a%2fb' --symmetric-key", "invalid identifier"},
	{2, "individual create 'a\n' --symmetric-key", "invalid identifier"},
	{2, "individual create '..' --symmetric-key", "invalid identifier"},
	{2, "individual create a. --symmetric-key", "invalid identifier"},
	{2, "individual create a_ --symmetric-key", "invalid identifier"},
	{2, "individual create '' --symmetric-key", "an argument is empty"},
	{2, "individual create " + strings.Repeat("a", 129) + " --symmetric-key", "invalid identifier"},
	{2, "individual create " + strings.Repeat("a", 65) + " --cert dev.pem", "with X.509 at most 64"},
	{2, "individual show 'a/b'", "invalid identifier"},
	{2, "individual update 'a/b' --edge", "invalid identifier"},
	{2, "individual delete 'a/b' --yes", "invalid identifier"},
	{2, "individual keys 'a/b'", "invalid identifier"},
	{2, "group create 'a?b' --symmetric-key", `error: ID: "a?b"`},
	{2, "group keys 'a#b' --group-keys", "invalid identifier"},
	{2, "group keys g 'a/b'", `device "a/b"`},

	// Attestation.
	{2, "individual create x", "give one of --cert, --symmetric-key and --endorsement-key"},
	{2, "individual create x --symmetric-key --cert dev.pem", "give one of"},
	{2, "individual create x --endorsement-key AQID --primary-key-file key.txt", "give one of"},
	{2, "individual create x --cert ca.pem", "--cert: it is a CA certificate"},
	{2, "individual create x --cert ca.pem", "hint: give the device's own certificate; for all devices of a CA make a group"},
	{2, "individual create dev --cert dev.pem --secondary-cert ca.pem", "--secondary-cert: it is a CA certificate"},
	{2, "individual create x --secondary-cert dev.pem", "--secondary-cert goes with --cert"},
	{3, "individual create x --cert nowhere.pem", "nowhere.pem"},
	{1, "individual create x --cert key.txt", "key.txt"},
	{1, "individual create x --cert dev.key", "dev.key"},
	{1, "individual create x --cert huge.json", "larger than"},
	{2, "individual create x --cert ''", "flag --cert has an empty value"},
	{2, "individual create x --secondary-key-file key.txt", "--secondary-key-file goes with --primary-key-file"},
	{2, "individual create x --primary-key-file short.txt", "--primary-key-file: a key has 16 to 64 bytes, this one 3"},
	{2, "individual create x --primary-key-file dev.pem", "--primary-key-file: read secret"},
	{2, "individual create x --primary-key-file empty.txt", "is empty"},
	{3, "individual create x --primary-key-file nowhere.txt", "nowhere.txt"},
	{2, "individual create x --storage-root-key AQID", "--storage-root-key goes with --endorsement-key"},
	{2, "individual create x --endorsement-key 'not base64!'", "--endorsement-key: not base64"},
	{2, "individual create x --endorsement-key @empty.txt", "is empty"},
	{2, "individual create x --signing-cert dev.pem", "unknown flag --signing-cert"},
	{2, "group create x --cert dev.pem", "unknown flag --cert"},
	{2, "group create x", "give one of --signing-cert, --ca-reference and --symmetric-key"},
	{2, "group create x --signing-cert dev.pem", "--signing-cert: it is not a CA certificate: basicConstraints say CA:FALSE"},
	{2, "group create x --signing-cert ca.pem --secondary-cert dev.pem", "--secondary-cert: it is not a CA certificate"},
	{2, "group create x --secondary-ca-reference r", "--secondary-ca-reference goes with --ca-reference"},
	{2, "group create x --symmetric-key --signing-cert ca.pem", "give one of"},
	{2, "group create x --signing-cert ca.pem --ca-reference r", "give one of"},
	{2, "group create x --endorsement-key AQID", "unknown flag --endorsement-key"},

	// Settings.
	{2, "individual create x --symmetric-key --device-id 'a b'", "--device-id"},
	{2, "individual create x --symmetric-key --provisioning-status off", "--provisioning-status"},
	{2, "individual create x --symmetric-key --reprovision-policy sometimes", "want migrate, reset or never"},
	{2, "individual create x --symmetric-key --allocation-policy random", "hashed, geoLatency, static, custom"},
	{2, "individual create x --symmetric-key --allocation-policy static", "--iot-hub: the policy static needs exactly one hub, here are 0"},
	{2, "group create x --symmetric-key --allocation-policy static --iot-hub a.net --iot-hub b.net", "here are 2"},
	{2, "individual create x --symmetric-key --iot-hub a.azure-devices.net", "--allocation-policy: it must be given together with hubs"},
	{2, "individual create x --symmetric-key --allocation-policy hashed --iot-hub hub", "hint: write hub.azure-devices.net"},
	{2, "individual create x --symmetric-key --allocation-policy hashed --iot-hub https://hub.azure-devices.net", "is not a host name"},
	{2, "individual create x --symmetric-key --allocation-policy hashed --iot-hub a.net --iot-hub A.NET", "is listed twice"},
	{2, "individual create x --symmetric-key --allocation-policy custom --webhook-url https://f.example", "needs the URL of the webhook and the API version"},
	{2, "individual create x --symmetric-key --allocation-policy custom --webhook-url f.example --webhook-api-version 2019-03-31", "not an absolute https URL"},
	{2, "individual create x --symmetric-key --allocation-policy custom --webhook-url https://f.example --webhook-api-version 1", "--webhook-api-version"},
	{2, "individual create x --symmetric-key --webhook-url https://f.example --webhook-api-version 2019-03-31", "goes with the policy custom only"},
	{2, "individual create x --symmetric-key --credential-policy p", "--api-version 2025-07-01-preview"},
	{2, "individual create x --symmetric-key --edge=maybe", "edge"},

	// JSON.
	{2, "individual create x --symmetric-key --initial-twin-tags []", "want an object in braces, found a list"},
	{2, `individual create x --symmetric-key --initial-twin-tags '{"a":1,"a":2}'`, `--initial-twin-tags: 1:8: member "a" appears twice`},
	{2, `individual create x --symmetric-key --initial-twin-tags '{"a":1} x'`, "text after the end"},
	{2, `individual create x --symmetric-key --initial-twin-tags '{"a":"\ud800"}'`, "half a surrogate pair"},
	{2, "individual create x --symmetric-key --initial-twin-tags ''", "has an empty value"},
	{2, "individual create x --symmetric-key --initial-twin-tags @deep.json", "deeper than 64 levels"},
	{1, "individual create x --symmetric-key --initial-twin-tags @huge.json", "larger than"},
	{2, "individual create x --symmetric-key --initial-twin-tags @bin.json", "not UTF-8"},
	{2, "individual create x --symmetric-key --initial-twin-tags list.json", "hint: to read a file write --initial-twin-tags @list.json"},
	{2, "individual create x --symmetric-key --initial-twin-properties @list.json", `--initial-twin-properties "list.json": 1:1`},
	{3, "individual create x --symmetric-key --initial-twin-tags @nowhere.json", "nowhere.json"},
	{2, "individual create x --symmetric-key --device-information 7", "found a number"},

	// The command itself.
	{2, "individual create x --symmetric-key --if-exists replace", "want fail, skip or update"},
	{2, "individual create x y --symmetric-key", `unexpected argument "y"`},
	{2, "individual create --symmetric-key", "missing argument ID"},
	{2, "individual update x", "nothing to change"},
	{2, "individual update x --clear everything", "want cert, secondary-cert"},
	{2, "individual update x --clear device-id --device-id d", "exclude each other"},
	{2, "individual update x --symmetric-key", "unknown flag --symmetric-key"},
	{2, "group update x --clear device-id", "want signing-cert"},
	{2, "group update x --device-id d", "unknown flag --device-id"},
	{2, "individual list --top -1", "want 1 or more"},
	{2, "individual delete a b --if-match e --yes", "--if-match goes with one ID"},
	{2, "individual delete a", "hint: add --yes"},
	{2, "group keys g", "give the IDs of devices, or --group-keys"},
	{2, "individual keys", "missing argument ID"},
}
