package scripts

import (
	"crypto/rsa"
	"crypto/x509"
	"fmt"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dpskit/dpskit/pkg/pki"
)

const (
	rootSubject         = "CN=Azure IoT Hub CA Cert Test Only"
	intermediateSubject = "CN=Azure IoT Hub Intermediate Cert Test Only"
	rootFile            = "certs/azure-iot-test-only.root.ca.cert.pem"
	intermediateFile    = "certs/azure-iot-test-only.intermediate.cert.pem"
)

// verbs are the verbs of both published copies that sign something, with the
// files that the copies make.
var verbs = []struct {
	verb, name string
	files      []want
}{
	{"create_verification_certificate", "106A5SD242AF512B3498BD6098C4941E66R34H268DDB3288", []want{
		{"verification-code", "106A5SD242AF512B3498BD6098C4941E66R34H268DDB3288", pki.ProfileVerification, "root"},
		{"iot-device-verification-code", "106A5SD242AF512B3498BD6098C4941E66R34H268DDB3288", pki.ProfileVerification, "root"},
	}},
	{"create_device_certificate", "my-device", []want{
		{"new-device", "my-device", pki.ProfileDevice, "root"},
		{"iot-device-my-device", "my-device", pki.ProfileDevice, "intermediate"},
	}},
	{"create_device_certificate_from_intermediate", "lower", []want{
		{"new-device", "lower", pki.ProfileDevice, "intermediate"},
		{"iot-device-lower", "lower", pki.ProfileDevice, "intermediate"},
	}},
	{"create_edge_device_certificate", "gateway", []want{
		{"new-edge-device", "gateway.ca", pki.ProfileEdgeCA, "intermediate"},
		{"iot-edge-device-gateway", "gateway.ca", pki.ProfileEdgeCA, "intermediate"},
	}},
	{"create_edge_device_ca_certificate", "MyEdgeDeviceCA", []want{
		{"iot-edge-device-ca-MyEdgeDeviceCA", "MyEdgeDeviceCA.ca", pki.ProfileEdgeCA, "intermediate"},
	}},
	{"create_edge_device_identity_certificate", "my-edge", []want{
		{"iot-edge-device-identity-my-edge", "my-edge", pki.ProfileEdgeIdentity, "intermediate"},
	}},
	{"create_edge_server_certificate", "gw.local", []want{
		{"iot-edge-server-gw.local", "gw.local", pki.ProfileServer, "intermediate"},
	}},
	{"create_edge_server_certificate", "192.168.1.20", []want{
		{"iot-edge-server-192.168.1.20", "192.168.1.20", pki.ProfileServer, "intermediate"},
	}},
}

// want is one set of files.
type want struct {
	stem, cn string
	profile  pki.Profile
	signer   string
}

func TestVerbs(t *testing.T) {
	t.Parallel()
	c := call{dir: t.TempDir()}
	r := c.must(t, "create_root_and_intermediate")
	for _, text := range []string{"azure-iot-test-only.root.ca.cert.pem", "azure-iot-test-only.intermediate.cert.pem"} {
		if !strings.Contains(r.stdout, text) {
			t.Errorf("output does not tell of %s:\n%s", text, r.stdout)
		}
	}
	if !strings.Contains(r.stderr, "not for production") || strings.Contains(r.stdout, "next:") {
		t.Errorf("stdout %q\nstderr %q", r.stdout, r.stderr)
	}
	checkCAs(t, c.dir, pki.KeyECP256)
	checkMode(t, filepath.Join(c.dir, "private"), 0o700)
	for _, v := range verbs {
		t.Run(v.verb, func(t *testing.T) {
			r := c.must(t, v.verb, v.name)
			for _, w := range v.files {
				if file := "certs/" + w.stem + "-full-chain.cert.pem"; !strings.Contains(r.stdout, file) {
					t.Errorf("output does not tell of %s:\n%s", file, r.stdout)
				}
				checkSet(t, c.dir, w)
			}
		})
	}
}

// checkCAs checks the files of create_root_and_intermediate.
func checkCAs(t *testing.T, dir string, keyType pki.KeyType) {
	t.Helper()
	in := func(name string) string { return filepath.Join(dir, name) }
	root, intermediate := certificate(t, in(rootFile)), certificate(t, in(intermediateFile))
	if root.Subject.String() != rootSubject || intermediate.Subject.String() != intermediateSubject {
		t.Errorf("subjects %q and %q", root.Subject, intermediate.Subject)
	}
	for _, ca := range []*x509.Certificate{root, intermediate} {
		const usage = x509.KeyUsageCertSign | x509.KeyUsageCRLSign | x509.KeyUsageDigitalSignature
		if !ca.IsCA || ca.MaxPathLen != -1 || ca.KeyUsage != usage || ca.ExtKeyUsage != nil {
			t.Errorf("%s: CA %v, path length %d, usage %b", ca.Subject, ca.IsCA, ca.MaxPathLen, ca.KeyUsage)
		}
		if got, err := pki.KeyTypeOf(ca.PublicKey); err != nil || got != keyType {
			t.Errorf("%s has key type %s, %v", ca.Subject, got, err)
		}
		checkLifetime(t, ca, 30)
	}
	for _, file := range []string{
		"certs/azure-iot-test-only.chain.ca.cert.pem",                // azure-iot-sdk-c
		"certs/azure-iot-test-only.intermediate-full-chain.cert.pem", // iotedge
	} {
		chain := certificates(t, in(file))
		if len(chain) != 2 || !chain[0].Equal(intermediate) || !chain[1].Equal(root) {
			t.Errorf("%s holds %d certificates, want the intermediate and the root", file, len(chain))
		}
	}
	for _, stem := range []string{"azure-iot-test-only.root.ca", "azure-iot-test-only.intermediate"} {
		checkEncrypted(t, in("private/"+stem+".key.pem"), "1234")
		checkMode(t, in("private/"+stem+".key.pem"), 0o600)
	}
	checkPFX(t, in("certs/azure-iot-test-only.intermediate.cert.pfx"), []*x509.Certificate{intermediate, root})
	openssl(t, dir, "verify", "-x509_strict", "-CAfile", rootFile, intermediateFile)
	openssl(t, dir, "pkey", "-in", "private/azure-iot-test-only.intermediate.key.pem", "-passin", "pass:1234", "-noout")
}

// checkSet checks all files of one certificate.
func checkSet(t *testing.T, dir string, w want) {
	t.Helper()
	cert := certificate(t, filepath.Join(dir, "certs", w.stem+".cert.pem"))
	if cert.Subject.CommonName != w.cn || len(cert.Subject.Names) != 1 {
		t.Errorf("%s: subject %q, want only the common name %q", w.stem, cert.Subject, w.cn)
	}
	checkExtensions(t, cert, w)
	checkLifetime(t, cert, 30)

	issuers := []*x509.Certificate{certificate(t, filepath.Join(dir, rootFile))}
	if w.signer == "intermediate" {
		issuers = []*x509.Certificate{certificate(t, filepath.Join(dir, intermediateFile)), issuers[0]}
	}
	chain := append([]*x509.Certificate{cert}, issuers...)
	full := filepath.Join("certs", w.stem+"-full-chain.cert.pem")
	if got := certificates(t, filepath.Join(dir, full)); !slices.EqualFunc(got, chain, (*x509.Certificate).Equal) {
		t.Errorf("%s holds %d certificates, want the leaf, its signer %s and the root", full, len(got), w.signer)
	}
	keyFile := filepath.Join(dir, "private", w.stem+".key.pem")
	key, err := pki.ParseKey(readFile(t, keyFile), nil)
	if err != nil || !pki.KeyMatches(cert, key) {
		t.Errorf("%s does not fit the certificate: %v", keyFile, err)
	}
	checkMode(t, keyFile, 0o600)
	checkPFX(t, filepath.Join(dir, "certs", w.stem+".cert.pfx"), chain)
	if err := pki.Verify(cert, issuers, time.Now()); err != nil {
		t.Error(err)
	}
	openssl(t, dir, "verify", "-x509_strict", "-CAfile", rootFile, "-untrusted", full, filepath.Join("certs", w.stem+".cert.pem"))
}

// checkExtensions checks what the extension section of the profile says.
func checkExtensions(t *testing.T, cert *x509.Certificate, w want) {
	t.Helper()
	if cert.Version != 3 || !cert.BasicConstraintsValid || len(cert.SubjectKeyId) == 0 || len(cert.AuthorityKeyId) == 0 {
		t.Errorf("%s: version %d, constraints %v, SKI %x, AKI %x", w.stem, cert.Version, cert.BasicConstraintsValid,
			cert.SubjectKeyId, cert.AuthorityKeyId)
	}
	client, server := x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth
	purposes := map[pki.Profile][]x509.ExtKeyUsage{
		pki.ProfileDevice: {client}, pki.ProfileVerification: {client}, pki.ProfileServer: {server},
		pki.ProfileEdgeIdentity: {client, server}, pki.ProfileEdgeCA: nil,
	}[w.profile]
	if !slices.Equal(cert.ExtKeyUsage, purposes) {
		t.Errorf("%s: purposes %v, want %v", w.stem, cert.ExtKeyUsage, purposes)
	}
	wantCA := w.profile == pki.ProfileEdgeCA
	if cert.IsCA != wantCA || (cert.KeyUsage&x509.KeyUsageCertSign != 0) != wantCA {
		t.Errorf("%s: CA %v, key usage %b", w.stem, cert.IsCA, cert.KeyUsage)
	}
	if w.profile != pki.ProfileServer {
		return
	}
	if ip := net.ParseIP(w.cn); ip != nil {
		if len(cert.IPAddresses) != 1 || !cert.IPAddresses[0].Equal(ip) {
			t.Errorf("%s: addresses %v, want %s", w.stem, cert.IPAddresses, ip)
		}
	} else if !slices.Equal(cert.DNSNames, []string{w.cn}) {
		t.Errorf("%s: names %q, want %q", w.stem, cert.DNSNames, w.cn)
	}
}

func checkLifetime(t *testing.T, cert *x509.Certificate, days int) {
	t.Helper()
	end := time.Now().Add(time.Duration(days) * 24 * time.Hour)
	if left := end.Sub(cert.NotAfter).Abs(); left > 10*time.Minute || cert.NotBefore.After(time.Now()) {
		t.Errorf("%s is valid from %s to %s, want %d days", cert.Subject, cert.NotBefore, cert.NotAfter, days)
	}
}

// checkPFX checks that a PFX opens with 1234 and holds the key and the chain.
func checkPFX(t *testing.T, name string, chain []*x509.Certificate) {
	t.Helper()
	b, err := pki.DecodePFX(readFile(t, name), "1234")
	if err != nil {
		t.Errorf("%s: %v", name, err)
		return
	}
	got := append([]*x509.Certificate{b.Certificate}, b.Issuers...)
	if !slices.EqualFunc(got, chain, (*x509.Certificate).Equal) || !pki.KeyMatches(chain[0], b.Key) {
		t.Errorf("%s holds %d certificates, want %d", name, len(got), len(chain))
	}
	checkMode(t, name, 0o600)
	out, ok := openssl(t, ".", "pkcs12", "-in", name, "-passin", "pass:1234", "-nodes")
	if n := strings.Count(out, "BEGIN CERTIFICATE"); ok && (n != len(chain) || !strings.Contains(out, "BEGIN PRIVATE KEY")) {
		t.Errorf("openssl finds %d certificates in %s, want %d and a key", n, name, len(chain))
	}
}

// Without a choice the keys are the original's: RSA with 4096 bits.
func TestDefaultKeys(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("RSA keys take seconds")
	}
	c := call{dir: t.TempDir(), env: []string{"CERTGEN_KEY_TYPE="}}
	c.must(t, "create_root_and_intermediate")
	checkCAs(t, c.dir, pki.KeyRSA4096)
	c.must(t, "create_edge_device_identity_certificate", "edge-1")
	cert := certificate(t, filepath.Join(c.dir, "certs/iot-edge-device-identity-edge-1.cert.pem"))
	if key, ok := cert.PublicKey.(*rsa.PublicKey); !ok || key.N.BitLen() != 4096 {
		t.Errorf("device key %T", cert.PublicKey)
	}
	const usage = x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment
	if cert.KeyUsage != usage {
		t.Errorf("key usage %b, want %b", cert.KeyUsage, usage)
	}
}

// Any POSIX shell runs the script, without TERM and without a terminal.
func TestShells(t *testing.T) {
	t.Parallel()
	for _, shell := range [][]string{{"bash"}, {"dash"}, {"busybox", "sh"}, {"ksh"}, {"zsh"}} {
		t.Run(strings.Join(shell, " "), func(t *testing.T) {
			c := call{dir: t.TempDir(), shell: shell}
			c.must(t, "create_root_and_intermediate")
			c.must(t, "create_device_certificate_from_intermediate", "dev-1")
			checkSet(t, c.dir, want{"new-device", "dev-1", pki.ProfileDevice, "intermediate"})
			if r := c.certGen(t, "create_device_certificate", "a b"); r.code == 0 {
				t.Errorf("a bad name: exit code 0\n%s", r.stdout)
			}
			if r := c.certGen(t, "no_such_verb"); r.code != 1 {
				t.Errorf("a bad verb: exit code %d", r.code)
			}
		})
	}
}

// The two copies disagree on the files of three verbs; one of them can be had
// alone.
func TestOneCopy(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		copy           string
		cn             string // of the intermediate
		there, missing []string
	}{
		{
			"azure-iot-sdk-c", "Azure IoT Hub Intermediate Cert Test Only",
			[]string{"verification-code", "new-device", "new-edge-device"},
			[]string{"iot-device-verification-code", "iot-device-x", "iot-edge-device-x"},
		},
		{
			"iotedge", "Azure_IoT_Hub_Intermediate_Cert_Test_Only",
			[]string{"iot-device-verification-code", "iot-device-x", "iot-edge-device-x"},
			[]string{"verification-code", "new-device", "new-edge-device"},
		},
	} {
		t.Run(test.copy, func(t *testing.T) {
			c := call{dir: t.TempDir(), env: []string{"CERTGEN_COPY=" + test.copy}}
			c.must(t, "create_root_and_intermediate")
			c.must(t, "create_verification_certificate", "x")
			c.must(t, "create_device_certificate", "x")
			c.must(t, "create_edge_device_certificate", "x")
			if got := certificate(t, filepath.Join(c.dir, "certs/azure-iot-test-only.intermediate.cert.pem")).Subject.CommonName; got != test.cn {
				t.Errorf("the intermediate is %q, want %q", got, test.cn)
			}
			found := files(t, c.dir)
			for _, stem := range test.there {
				if _, ok := found["certs/"+stem+".cert.pem"]; !ok {
					t.Errorf("no %s", stem)
				}
			}
			for _, stem := range test.missing {
				if _, ok := found["certs/"+stem+".cert.pem"]; ok {
					t.Errorf("there is %s", stem)
				}
			}
		})
	}
}

// What another user of the originals set in the environment works here.
func TestSettings(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	c := call{dir: dir, env: []string{
		"DEFAULT_VALIDITY_DAYS=3", "ROOT_CA_PASSWORD=root secret", "INTERMEDIATE_CA_PASSWORD=other", "FORCE_NO_PROD_WARNING=true",
		"CERTGEN_PFX_PASSWORD=for the pfx", "CERTGEN_PFX_PROFILE=legacy", "CERTIFICATE_OUTPUT_DIR=deep/down",
		"CERTGEN_DIR=elsewhere",
	}}
	r := c.must(t, "create_root_and_intermediate")
	if strings.Contains(r.stdout+r.stderr, "production") {
		t.Errorf("the warning is there: %s%s", r.stdout, r.stderr)
	}
	c.must(t, "create_verification_certificate", "CODE")
	c.must(t, "create_device_certificate", "dev")
	out := filepath.Join(dir, "deep/down")
	for _, name := range []string{rootFile, intermediateFile, "certs/verification-code.cert.pem", "certs/new-device.cert.pem"} {
		checkLifetime(t, certificate(t, filepath.Join(out, name)), 3)
	}
	checkEncrypted(t, filepath.Join(out, "private/azure-iot-test-only.root.ca.key.pem"), "root secret")
	checkEncrypted(t, filepath.Join(out, "private/azure-iot-test-only.intermediate.key.pem"), "other")
	pfx := readFile(t, filepath.Join(out, "certs/new-device.cert.pfx"))
	if _, err := pki.DecodePFX(pfx, "for the pfx"); err != nil {
		t.Error(err)
	}
	if _, err := pki.DecodePFX(pfx, "1234"); err == nil {
		t.Error("the PFX opens with 1234")
	}
	for name := range files(t, dir) {
		if !strings.HasPrefix(name, "deep/down/") {
			t.Errorf("%s is outside of the output folder", name)
		}
	}

	// The wrong pass phrase signs nothing.
	before := files(t, dir)
	c.env = append(c.env, "ROOT_CA_PASSWORD=wrong")
	if r := c.certGen(t, "create_verification_certificate", "CODE2"); r.code != 4 || strings.Contains(r.stderr, "wrong\n") {
		t.Errorf("exit code %d, stderr %q", r.code, r.stderr)
	}
	checkSame(t, before, files(t, dir))
}

func checkSame(t *testing.T, before, after map[string]string) {
	t.Helper()
	for name, text := range after {
		if old, ok := before[name]; !ok || old != text {
			t.Errorf("%s was written", name)
		}
	}
	for name := range before {
		if _, ok := after[name]; !ok {
			t.Errorf("%s is gone", name)
		}
	}
}

// Files with spaces and other characters of shells in their path, from where
// the script was copied to as the tutorials say.
func TestOddPlaces(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"it's a $HOME; x&y *", "-n"} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), name)
			mkdir(t, dir)
			script := filepath.Join(dir, "certGen.sh")
			writeFile(t, script, string(readFile(t, filepath.Join(scriptDir, "certGen.sh"))), 0o755)
			c := call{dir: dir}
			if r := c.script(t, script, "create_root_and_intermediate"); r.code != 0 {
				t.Fatalf("exit code %d\n%s", r.code, r.stderr)
			}
			if r := c.script(t, "./certGen.sh", "create_device_certificate", "dev"); r.code != 0 {
				t.Fatalf("exit code %d\n%s", r.code, r.stderr)
			}
			checkSet(t, dir, want{"new-device", "dev", pki.ProfileDevice, "root"})
			for file := range files(t, filepath.Dir(dir)) {
				if !strings.HasPrefix(file, name+"/") {
					t.Errorf("%s is outside of the folder", file)
				}
			}
		})
	}
}

// The script's head and usage name every verb.
func TestUsageNamesEveryVerb(t *testing.T) {
	t.Parallel()
	c := call{dir: t.TempDir()}
	r := c.certGen(t, "--help")
	if r.code != 0 || r.stderr != "" {
		t.Errorf("--help: exit code %d, stderr %q", r.code, r.stderr)
	}
	names := []string{"create_root_and_intermediate", "install_root_ca_from_files", "install_root_ca_from_cli"}
	for _, v := range verbs {
		names = append(names, v.verb)
	}
	for _, name := range names {
		if !strings.Contains(r.stdout, fmt.Sprintf("\n  %s", name)) {
			t.Errorf("--help does not name %s", name)
		}
	}
}
