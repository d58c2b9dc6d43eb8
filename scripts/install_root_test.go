package scripts

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/dpskit/dpskit/pkg/pki"
)

// rootFixture makes the root CA of a company with openssl: an encrypted RSA key
// in the file key.pem and the certificate in ca.pem.
func rootFixture(t *testing.T, dir, passphrase string) {
	t.Helper()
	if _, err := exec.LookPath("openssl"); err != nil {
		t.Skip("no openssl here")
	}
	protect := []string{"-nodes"}
	if passphrase != "" {
		protect = []string{"-passout", "pass:" + passphrase}
	}
	openssl(t, dir, append([]string{
		"req", "-x509", "-newkey", "rsa:2048", "-sha256", "-days", "90", "-subj", "/O=Contoso/CN=Contoso Root",
		"-addext", "keyUsage=critical,keyCertSign,cRLSign", "-keyout", "key.pem", "-out", "ca.pem",
	}, protect...)...)
}

func TestInstallRootFromFiles(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		passphrase string   // of the key
		args       []string // after the two files
		env        []string
		kept       string // pass phrase of the key afterwards
	}{
		"password as argument":  {"their secret", []string{"their secret"}, nil, "their secret"},
		"password in a setting": {"their secret", nil, []string{"ROOT_CA_PASSWORD=their secret"}, "their secret"},
		"argument and setting":  {"their secret", []string{"their secret"}, []string{"ROOT_CA_PASSWORD=mine"}, "mine"},
		"password 1234":         {"1234", nil, nil, "1234"},
		"a plain key":           {"", nil, nil, "1234"},
		"an empty password":     {"", []string{""}, nil, "1234"},
	} {
		t.Run(name, func(t *testing.T) {
			c := call{dir: t.TempDir(), env: append([]string{"ROOT_CA_PASSWORD="}, test.env...)}
			mkdir(t, filepath.Join(c.dir, "their CA"))
			rootFixture(t, filepath.Join(c.dir, "their CA"), test.passphrase)
			r := c.must(t, append([]string{"install_root_ca_from_files", "their CA/ca.pem", "their CA/key.pem"}, test.args...)...)
			if says := strings.Contains(r.stderr, "export ROOT_CA_PASSWORD"); says != (test.kept != "1234" && test.env == nil) {
				t.Errorf("what to export is said: %t\n%s", says, r.stderr)
			}

			root := certificate(t, filepath.Join(c.dir, rootFile))
			if !root.Equal(certificate(t, filepath.Join(c.dir, "their CA/ca.pem"))) {
				t.Error("the root is another one")
			}
			if got := certificate(t, filepath.Join(c.dir, intermediateFile)); got.Subject.String() != intermediateSubject ||
				got.CheckSignatureFrom(root) != nil {
				t.Errorf("the intermediate is %q by %q", got.Subject, got.Issuer)
			}
			checkEncrypted(t, filepath.Join(c.dir, "private/azure-iot-test-only.root.ca.key.pem"), test.kept)
			checkEncrypted(t, filepath.Join(c.dir, "private/azure-iot-test-only.intermediate.key.pem"), "1234")
			c.must(t, "create_edge_device_identity_certificate", "dev")
			checkSet(t, c.dir, want{"iot-edge-device-identity-dev", "dev", pki.ProfileEdgeIdentity, "intermediate"})

			// As in the original, the root signs with the password in the setting.
			c.env = append(c.env, "ROOT_CA_PASSWORD="+test.kept)
			c.must(t, "create_verification_certificate", "CODE")
			checkSet(t, c.dir, want{"iot-device-verification-code", "CODE", pki.ProfileVerification, "root"})
		})
	}
}

// What cannot be installed leaves everything as it was.
func TestInstallRootRefused(t *testing.T) {
	t.Parallel()
	c := call{dir: t.TempDir()}
	rootFixture(t, c.dir, "their secret")
	c.must(t, "create_root_and_intermediate")
	c.must(t, "create_device_certificate", "dev")
	openssl(t, c.dir, "genrsa", "-out", "other.pem", "2048")
	before := files(t, c.dir)
	for _, test := range []struct {
		args []string
		code int
		says string
	}{
		{[]string{"ca.pem", "key.pem"}, 4, "comes from the argument PASSWORD or the variable ROOT_CA_PASSWORD; without"},
		{[]string{"ca.pem", "key.pem", "guess"}, 4, "pass phrase"},
		{[]string{"ca.pem", "other.pem"}, 1, "certificate and the key"},
		{[]string{"ca.pem", "nothing.pem", "x"}, 3, "nothing.pem"},
		{[]string{"nothing.pem", "key.pem", "x"}, 3, "nothing.pem"},
		{[]string{"key.pem", "key.pem", "their secret"}, 1, "key.pem"},
		{[]string{"certs/new-device.cert.pem", "private/new-device.key.pem"}, 1, "CA"},
		{[]string{"certs/azure-iot-test-only.intermediate.cert.pem", "private/azure-iot-test-only.intermediate.key.pem"}, 1, "not by itself"},
	} {
		r := c.certGen(t, append([]string{"install_root_ca_from_files"}, test.args...)...)
		if r.code != test.code || !strings.Contains(r.stderr, test.says) || strings.Contains(r.stderr, "guess") {
			t.Errorf("%q: exit code %d, stderr %q, want %d and %q", test.args, r.code, r.stderr, test.code, test.says)
		}
	}
	checkSame(t, before, files(t, c.dir))
}

// The texts themselves as arguments; what they were written to is removed.
func TestInstallRootFromCLI(t *testing.T) {
	t.Parallel()
	scratch := t.TempDir()
	c := call{dir: t.TempDir(), env: []string{"TMPDIR=" + scratch}}
	rootFixture(t, c.dir, "their secret")
	cert, key := string(readFile(t, filepath.Join(c.dir, "ca.pem"))), string(readFile(t, filepath.Join(c.dir, "key.pem")))
	if r := c.certGen(t, "install_root_ca_from_cli", cert, key, "guess"); r.code != 4 {
		t.Errorf("a wrong password: exit code %d, stderr %q", r.code, r.stderr)
	}
	c.must(t, "install_root_ca_from_cli", cert, key, "their secret")
	if got := certificate(t, filepath.Join(c.dir, rootFile)); got.Subject.CommonName != "Contoso Root" {
		t.Errorf("the root is %q", got.Subject)
	}
	left, err := os.ReadDir(scratch)
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}
