package scripts

import (
	"bytes"
	"crypto/x509"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/dpskit/dpskit/pkg/pki"
)

// powerShell runs lines of PowerShell after the functions are loaded, as the
// tutorials do. Where there is no PowerShell, it runs them by the reading of the
// language in testdata/node/model.mjs.
func (c call) powerShell(t *testing.T, lines ...string) result {
	t.Helper()
	file := filepath.Join(t.TempDir(), "test.ps1")
	text := "Set-StrictMode -Version 2.0\n$ErrorActionPreference = 'Stop'\n. '" +
		strings.ReplaceAll(filepath.Join(scriptDir, "ca-certs.ps1"), "'", "''") + "'\n" + strings.Join(lines, "\n") + "\n"
	writeFile(t, file, text, 0o644)
	for _, program := range []string{"pwsh", "powershell"} {
		if path, err := exec.LookPath(program); err == nil {
			return c.exec(t, path, "-NoProfile", "-NonInteractive", "-ExecutionPolicy", "Bypass", "-File", file)
		}
	}
	return c.node(t, "model.mjs", file)
}

// node runs a program of testdata/node.
func (c call) node(t *testing.T, program string, args ...string) result {
	t.Helper()
	dir := filepath.Join(scriptDir, "testdata", "node")
	_, err := os.Stat(filepath.Join(dir, "node_modules", "tree-sitter-powershell"))
	if err == nil {
		_, err = exec.LookPath("node")
	}
	if err != nil {
		t.Skip("neither PowerShell nor node with its packages is here (npm ci --ignore-scripts in scripts/testdata/node): ca-certs.ps1 was not run")
	}
	return c.exec(t, "node", append([]string{filepath.Join(dir, program)}, args...)...)
}

func (c call) mustPowerShell(t *testing.T, lines ...string) result {
	t.Helper()
	r := c.powerShell(t, lines...)
	if r.code != 0 {
		t.Fatalf("%q: exit code %d\n%s%s", lines, r.code, r.stdout, r.stderr)
	}
	return r
}

const testOnly = "Azure IoT CA TestOnly "

// checkPowerShellCAs checks the files of New-CACertsCertChain.
func checkPowerShellCAs(t *testing.T, dir string) {
	t.Helper()
	root := certificate(t, filepath.Join(dir, "RootCA.pem"))
	if root.Subject.String() != "CN="+testOnly+"Root CA" || !root.IsCA {
		t.Errorf("root %q", root.Subject)
	}
	if der := readFile(t, filepath.Join(dir, "RootCA.cer")); !bytes.Equal(der, root.Raw) {
		t.Error("RootCA.cer is not RootCA.pem in DER")
	}
	issuer := root
	for _, n := range []string{"1", "2", "3"} {
		ca := certificate(t, filepath.Join(dir, "Intermediate"+n+".pem"))
		if ca.Subject.String() != "CN="+testOnly+"Intermediate "+n+" CA" || !ca.IsCA || ca.CheckSignatureFrom(issuer) != nil {
			t.Errorf("intermediate %s is %q by %q", n, ca.Subject, ca.Issuer)
		}
		issuer = ca
	}
	for _, stem := range []string{"root.ca", "intermediate", "intermediate2", "intermediate3"} {
		checkEncrypted(t, filepath.Join(dir, "private/azure-iot-test-only."+stem+".key.pem"), "1234")
	}
	if text := readFile(t, filepath.Join(dir, "algorithmUsed.txt")); string(text) != "ecc\n" {
		t.Errorf("algorithmUsed.txt holds %q", text)
	}
}

// checkPowerShellDevice checks the files of azure-iot-sdk-c: NAME.pfx, NAME-all.pem
// and so on. signers are the files of the CAs, the nearest first.
func checkPowerShellDevice(t *testing.T, dir, name, cn string, signers ...string) {
	t.Helper()
	leaf := certificate(t, filepath.Join(dir, name+"-public.pem"))
	if leaf.Subject.String() != "CN="+cn {
		t.Errorf("subject %q, want CN=%s", leaf.Subject, cn)
	}
	chain := []*x509.Certificate{leaf}
	for _, file := range signers {
		chain = append(chain, certificate(t, filepath.Join(dir, file)))
	}
	all := filepath.Join(dir, name+"-all.pem")
	if got := certificates(t, all); !slices.EqualFunc(got, chain, (*x509.Certificate).Equal) {
		t.Errorf("%s holds %d certificates, want %d", all, len(got), len(chain))
	}
	for _, file := range []string{name + "-private.pem", name + "-all.pem"} {
		if key, err := pki.ParseKey(readFile(t, filepath.Join(dir, file)), nil); err != nil || !pki.KeyMatches(leaf, key) {
			t.Errorf("%s does not hold the key: %v", file, err)
		}
		checkMode(t, filepath.Join(dir, file), 0o600)
	}
	checkPFX(t, filepath.Join(dir, name+".pfx"), chain)
}

func TestPowerShellFunctions(t *testing.T) {
	t.Parallel()
	c := call{dir: t.TempDir()}
	r := c.mustPowerShell(t, "Test-CACertsPrerequisites", "New-CACertsCertChain ecc")
	if !strings.Contains(r.stdout, "Success") || !strings.Contains(r.stdout+r.stderr, "PRODUCTION") {
		t.Errorf("output %q", r.stdout+r.stderr)
	}
	checkPowerShellCAs(t, c.dir)

	c.mustPowerShell(t, "New-CACertsVerificationCert ' 106A5SD242AF '")
	proof := readFile(t, filepath.Join(c.dir, "verifyCert4.cer"))
	if cert, err := x509.ParseCertificate(proof); err != nil || cert.Subject.String() != "CN=106A5SD242AF" {
		t.Errorf("verifyCert4.cer: %v", err)
	} else if !bytes.Equal(cert.Raw, certificate(t, filepath.Join(c.dir, "certs/iot-device-verification-code.cert.pem")).Raw) {
		t.Error("the two copies of the proof differ")
	}

	c.mustPowerShell(t, "New-CACertsDevice my-device", "New-CACertsDevice lower 'CN="+testOnly+"Intermediate 2 CA'",
		"New-CACertsDevice -deviceName edged -issuerPrefix azure-iot-test-only.intermediate")
	checkPowerShellDevice(t, c.dir, "my-device", "my-device", "RootCA.pem")
	checkPowerShellDevice(t, c.dir, "lower", "lower", "Intermediate2.pem", "Intermediate1.pem", "RootCA.pem")
	checkPowerShellDevice(t, c.dir, "edged", "edged", "Intermediate1.pem", "RootCA.pem")
	checkSet(t, c.dir, want{"iot-device-my-device", "my-device", pki.ProfileDevice, "intermediate"})

	c.mustPowerShell(t, "New-CACertsEdgeDevice gw", "Write-CACertsCertificatesForEdgeDevice gw")
	checkPowerShellDevice(t, c.dir, "gw", "gw.ca", "Intermediate1.pem", "RootCA.pem")
	edge := want{"iot-edge-device-gw", "gw.ca", pki.ProfileEdgeCA, "intermediate"}
	checkSet(t, c.dir, edge)
	for _, file := range []string{"certs/%.cert.pem", "certs/%-full-chain.cert.pem", "private/%.key.pem"} {
		one := filepath.Join(c.dir, strings.ReplaceAll(file, "%", "new-edge-device"))
		other := filepath.Join(c.dir, strings.ReplaceAll(file, "%", edge.stem))
		if !bytes.Equal(readFile(t, one), readFile(t, other)) {
			t.Errorf("%s is not %s", one, other)
		}
	}
	checkMode(t, filepath.Join(c.dir, "private/new-edge-device.key.pem"), 0o600)

	c.mustPowerShell(t, "New-CACertsEdgeDeviceCA ca-1", "New-CACertsEdgeDeviceIdentity edge-1", "New-CACertsEdgeServer gw.local")
	checkSet(t, c.dir, want{"iot-edge-device-ca-ca-1", "ca-1.ca", pki.ProfileEdgeCA, "intermediate"})
	checkSet(t, c.dir, want{"iot-edge-device-identity-edge-1", "edge-1", pki.ProfileEdgeIdentity, "intermediate"})
	checkSet(t, c.dir, want{"iot-edge-server-gw.local", "gw.local", pki.ProfileServer, "intermediate"})
}

func TestPowerShellEnvironment(t *testing.T) {
	t.Parallel()
	c := call{dir: t.TempDir(), env: []string{"FORCE_NO_PROD_WARNING=1"}}
	r := c.mustPowerShell(t, "New-CACertsCertChain ecc", "New-CACertsDevice dev",
		"Write-CACertsCertificatesToEnvironment dev my-hub.azure-devices.net $true",
		"[IO.File]::WriteAllText((Join-Path (Get-Location) 'public'), $env:IOTHUB_CA_X509_PUBLIC)",
		"[IO.File]::WriteAllText((Join-Path (Get-Location) 'private-key'), $env:IOTHUB_CA_X509_PRIVATE_KEY)",
		"Write-Output $env:IOTHUB_CA_CONNECTION_STRING_TO_DEVICE", "Write-Output ('ecc=' + $env:IOTHUB_CA_USE_ECC)",
		"Write-Output ('left=' + $env:CERTGEN_CA_PASSWORD + $env:CERTGEN_KEY_PASSWORD + $env:CERTGEN_PFX_PASSWORD)",
		"Write-Output (Get-CACertsCertBySubjectName 'CN="+testOnly+"Root CA').Thumbprint")
	root := certificate(t, filepath.Join(c.dir, "RootCA.pem"))
	for _, text := range []string{
		"HostName=my-hub.azure-devices.net;DeviceId=dev;x509=true", "ecc=1", "left=\n", pki.SHA1Thumbprint(root),
	} {
		if !strings.Contains(strings.ReplaceAll(r.stdout, "\r\n", "\n"), text) {
			t.Errorf("no %q in %q", text, r.stdout)
		}
	}
	if strings.Contains(r.stdout+r.stderr, "PRODUCTION") {
		t.Error("the warning is there")
	}
	public := readFile(t, filepath.Join(c.dir, "public"))
	certs, err := pki.ParseCertificates(public)
	if err != nil || len(certs) != 2 || certs[0].Subject.CommonName != "dev" || !bytes.Contains(public, []byte("-----\r\n")) {
		t.Errorf("IOTHUB_CA_X509_PUBLIC holds %d certificates, %v: %q", len(certs), err, public)
	}
	key, err := pki.ParseKey(readFile(t, filepath.Join(c.dir, "private-key")), nil)
	if err != nil || !pki.KeyMatches(certs[0], key) {
		t.Errorf("IOTHUB_CA_X509_PRIVATE_KEY: %v", err)
	}
}

func TestPowerShellInstallRoot(t *testing.T) {
	t.Parallel()
	c := call{dir: t.TempDir()}
	rootFixture(t, c.dir, "their secret")
	c.mustPowerShell(t, "Install-RootCACertificate ca.pem key.pem ecc 'their secret'", "New-CACertsEdgeDeviceIdentity dev")
	if got := certificate(t, filepath.Join(c.dir, "RootCA.pem")); got.Subject.CommonName != "Contoso Root" {
		t.Errorf("root %q", got.Subject)
	}
	checkSet(t, c.dir, want{"iot-edge-device-identity-dev", "dev", pki.ProfileEdgeIdentity, "intermediate"})
	before := files(t, c.dir)
	if r := c.powerShell(t, "Install-RootCACertificate ca.pem key.pem ecc guess"); r.code == 0 {
		t.Error("a wrong password: exit code 0")
	}
	checkSame(t, before, files(t, c.dir))
}

// The root signs with the pass phrase that ROOT_CA_PASSWORD has, as with certGen.sh; else it is said.
func TestPowerShellInstallRootPassword(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, setting, kept string
	}{
		{"password alone", "", "their secret"},
		{"password and setting", "mine", "mine"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := call{dir: t.TempDir(), env: []string{"FORCE_NO_PROD_WARNING=1", "ROOT_CA_PASSWORD=" + tt.setting}}
			rootFixture(t, c.dir, "their secret")
			r := c.mustPowerShell(t, "Install-RootCACertificate ca.pem key.pem ecc 'their secret'")
			if says := strings.Contains(r.stdout, `$env:ROOT_CA_PASSWORD = "..."`); says != (tt.setting == "") {
				t.Errorf("what to set is said: %t\n%s", says, r.stdout)
			}
			checkEncrypted(t, filepath.Join(c.dir, "private/azure-iot-test-only.root.ca.key.pem"), tt.kept)
			if r := c.powerShell(t, "New-CACertsVerificationCert CODE"); (r.code == 0) != (tt.setting != "") {
				t.Errorf("exit code %d\n%s", r.code, r.stderr)
			}
			c.mustPowerShell(t, "$env:ROOT_CA_PASSWORD = '"+tt.kept+"'", "New-CACertsVerificationCert CODE")
		})
	}
}

// The files of a device are found under the name of either copy.
func TestPowerShellFindsDevice(t *testing.T) {
	t.Parallel()
	c := call{dir: t.TempDir(), env: []string{"CERTGEN_COPY=iotedge"}}
	c.mustPowerShell(t, "New-CACertsCertChain ecc", "New-CACertsDevice a:b", "New-CACertsEdgeDevice gw",
		"Write-CACertsCertificatesForEdgeDevice gw", "Write-CACertsCertificatesToEnvironment a:b hub $true",
		"[IO.File]::WriteAllText((Join-Path (Get-Location) 'public'), $env:IOTHUB_CA_X509_PUBLIC)")
	if got := certificate(t, filepath.Join(c.dir, "certs/new-edge-device.cert.pem")); got.Subject.CommonName != "gw.ca" {
		t.Errorf("the device is %q", got.Subject)
	}
	if got := certificates(t, filepath.Join(c.dir, "public")); got[0].Subject.CommonName != "a:b" {
		t.Errorf("IOTHUB_CA_X509_PUBLIC is of %q", got[0].Subject)
	}
	for _, line := range []string{"Write-CACertsCertificatesForEdgeDevice nobody", "Write-CACertsCertificatesToEnvironment nobody hub $true"} {
		if r := c.powerShell(t, line); r.code == 0 || !strings.Contains(r.stdout+r.stderr, `There is no certificate "nobody"`) {
			t.Errorf("%s: exit code %d\n%s", line, r.code, r.stdout+r.stderr)
		}
	}
}

// A folder without the choice of the algorithm gets keys like those of its CAs.
func TestPowerShellAlgorithm(t *testing.T) {
	t.Parallel()
	for keyType, want := range map[string]pki.KeyType{"ec-p384": pki.KeyECP256, "rsa-2048": pki.KeyRSA4096} {
		c := call{dir: t.TempDir(), env: []string{"CERTGEN_KEY_TYPE=" + keyType}}
		c.must(t, "create_root_and_intermediate")
		c.mustPowerShell(t, "New-CACertsEdgeDeviceIdentity dev")
		cert := certificate(t, filepath.Join(c.dir, "certs/iot-edge-device-identity-dev.cert.pem"))
		if got, err := pki.KeyTypeOf(cert.PublicKey); err != nil || got != want {
			t.Errorf("below %s: key type %q, %v, want %q", keyType, got, err, want)
		}
	}
}

// What is wrong is refused before anything is written.
func TestPowerShellRefuses(t *testing.T) {
	t.Parallel()
	c := call{dir: t.TempDir()}
	c.mustPowerShell(t, "New-CACertsCertChain ecc")
	before := files(t, c.dir)
	for _, line := range []string{
		"New-CACertsCertChain dsa", "New-CACertsDevice 'a b'", "New-CACertsDevice ' '", "New-CACertsDevice 'a/b'",
		`New-CACertsDevice 'a"b'`, "New-CACertsDevice dev no-such-ca", "New-CACertsVerificationCert ''",
		"Write-CACertsCertificatesForEdgeDevice nobody", "Get-CACertsCertBySubjectName 'CN=nobody'",
		"$env:CERTGEN = '/no/such/program'; Test-CACertsPrerequisites", "$env:CERTGEN_COPY = 'x'; New-CACertsDevice dev",
	} {
		if r := c.powerShell(t, line); r.code == 0 {
			t.Errorf("%s: exit code 0\n%s", line, r.stdout)
		}
	}
	checkSame(t, before, files(t, c.dir))
}

// After an error there are the files of before, whatever the function makes.
func TestPowerShellAllOrNothing(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	call{dir: dir}.mustPowerShell(t, "New-CACertsCertChain ecc", "New-CACertsDevice dev")
	before := files(t, dir)
	tests := []struct {
		env  string
		line string
	}{
		{"DEFAULT_VALIDITY_DAYS=0", "New-CACertsCertChain rsa"},
		{"CERTGEN_PFX_PROFILE=weak", "New-CACertsCertChain ecc"},
		{"ROOT_CA_PASSWORD=guess", "New-CACertsDevice dev"}, // the intermediate could sign
		{"INTERMEDIATE_CA_PASSWORD=guess", "New-CACertsDevice dev"},
		{"ROOT_CA_PASSWORD=guess", "New-CACertsVerificationCert CODE"},
		{"INTERMEDIATE_CA_PASSWORD=guess", "New-CACertsEdgeDevice gw"},
		{"CERTGEN=" + os.DevNull, "New-CACertsEdgeDevice gw"},
		{"CERTGEN_COPY=other", "New-CACertsCertChain ecc"},
	}
	for _, tt := range tests {
		r := call{dir: dir, env: []string{tt.env}}.powerShell(t, tt.line)
		if r.code == 0 {
			t.Errorf("%s, %s: exit code 0\n%s", tt.env, tt.line, r.stdout)
		}
		if says := strings.Contains(r.stderr, "variables ROOT_CA_PASSWORD and INTERMEDIATE_CA_PASSWORD"); says != strings.HasSuffix(tt.env, "=guess") {
			t.Errorf("%s, %s: the settings of the pass phrases are named: %t\n%s", tt.env, tt.line, says, r.stderr)
		}
		checkSame(t, before, files(t, dir))
	}
}

// The files of one copy alone, in another folder.
func TestPowerShellCopies(t *testing.T) {
	t.Parallel()
	tests := []struct {
		copied       string
		intermediate string
		there, other []string
	}{
		{"azure-iot-sdk-c", testOnly + "Intermediate 1 CA", []string{"RootCA.cer", "Intermediate3.pem", "dev-all.pem", "gw.pfx", "verifyCert4.cer"}, []string{
			"certs/iot-device-dev.cert.pem", "certs/iot-edge-device-gw.cert.pem", "certs/iot-device-verification-code.cert.pem",
		}},
		{"iotedge", testOnly + "Intermediate CA", []string{
			"certs/iot-device-dev.cert.pem", "certs/iot-edge-device-gw.cert.pem", "certs/iot-device-verification-code.cert.pem",
			"private/iot-device-dev.key.pem", "certs/iot-device-dev-full-chain.cert.pem",
		}, []string{"RootCA.cer", "Intermediate3.pem", "dev-all.pem", "gw.pfx", "verifyCert4.cer", "certs/dev.cert.pem", "certs/azure-iot-test-only.intermediate2.cert.pem"}},
	}
	for _, tt := range tests {
		dir := t.TempDir()
		out := filepath.Join(dir, "some where", "else")
		c := call{dir: dir, env: []string{"CERTGEN_COPY=" + tt.copied, "CERTIFICATE_OUTPUT_DIR=" + out}}
		c.mustPowerShell(t, "New-CACertsCertChain ecc", "New-CACertsDevice dev", "New-CACertsEdgeDevice gw", "New-CACertsVerificationCert CODE")
		if ca := certificate(t, filepath.Join(out, "certs/azure-iot-test-only.intermediate.cert.pem")); ca.Subject.CommonName != tt.intermediate {
			t.Errorf("%s: the intermediate is %q, want %q", tt.copied, ca.Subject.CommonName, tt.intermediate)
		}
		got := files(t, out)
		for _, name := range tt.there {
			if got[name] == "" {
				t.Errorf("%s: no %s", tt.copied, name)
			}
		}
		for _, name := range tt.other {
			if _, ok := got[name]; ok {
				t.Errorf("%s: %s is there", tt.copied, name)
			}
		}
		if here := files(t, dir); len(here) != len(got) {
			t.Errorf("%s: files beside the folder: %d and %d", tt.copied, len(here), len(got))
		}
	}
}
