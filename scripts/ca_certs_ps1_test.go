package scripts

import (
	"bytes"
	"crypto/x509"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/dpskit/dpskit/pkg/pki"
)

// powerShell runs lines of PowerShell after the functions are loaded, as the
// tutorials do. It skips the test where there is no PowerShell.
func (c call) powerShell(t *testing.T, lines ...string) result {
	t.Helper()
	for _, program := range []string{"pwsh", "powershell"} {
		path, err := exec.LookPath(program)
		if err != nil {
			continue
		}
		file := filepath.Join(t.TempDir(), "test.ps1")
		text := "Set-StrictMode -Version 2.0\n$ErrorActionPreference = 'Stop'\n. '" +
			strings.ReplaceAll(filepath.Join(scriptDir, "ca-certs.ps1"), "'", "''") + "'\n" + strings.Join(lines, "\n") + "\n"
		writeFile(t, file, text, 0o644)
		return c.exec(t, path, "-NoProfile", "-NonInteractive", "-ExecutionPolicy", "Bypass", "-File", file)
	}
	t.Skip("PowerShell is not installed: ca-certs.ps1 was not run")
	return result{}
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
		data := readFile(t, filepath.Join(dir, file))
		if i := bytes.LastIndex(data, []byte("-----BEGIN ")); i >= 0 {
			data = data[i:]
		}
		if key, err := pki.ParseKey(data, nil); err != nil || !pki.KeyMatches(leaf, key) {
			t.Errorf("%s does not hold the key: %v", file, err)
		}
		checkMode(t, filepath.Join(dir, file), 0o600)
	}
	checkPFX(t, filepath.Join(dir, name+".pfx"), chain)
}

func TestPowerShellFunctions(t *testing.T) {
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

// What is wrong is refused before anything is written.
func TestPowerShellRefuses(t *testing.T) {
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

// What can be told without PowerShell: the functions of both copies are there,
// the text is one that Windows PowerShell 5.1 reads, and every flag is one that
// certgen knows.
func TestPowerShellText(t *testing.T) {
	text := string(readFile(t, filepath.Join(scriptDir, "ca-certs.ps1")))
	for _, name := range []string{
		"Test-CACertsPrerequisites", "New-CACertsCertChain", "New-CACertsVerificationCert", "New-CACertsDevice",
		"New-CACertsEdgeDevice", "Write-CACertsCertificatesToEnvironment", "Write-CACertsCertificatesForEdgeDevice",
		"Get-CACertsCertUseRsa", "Get-CACertsCertBySubjectName", "New-CACertsEdgeDeviceIdentity", "New-CACertsEdgeDeviceCA",
		"New-CACertsEdgeServer", "Install-RootCACertificate",
	} {
		if !regexp.MustCompile(`(?m)^function ` + name + `\(`).MatchString(text) {
			t.Errorf("no function %s", name)
		}
	}
	for i, line := range strings.Split(text, "\n") {
		for _, r := range line {
			if r > '~' || r < ' ' {
				t.Errorf("line %d has %q, which Windows PowerShell reads otherwise", i+1, r)
			}
		}
		if later := regexp.MustCompile(`\?\?|\?\.|&&|\|\||ForEach-Object -Parallel|-AsHashtable`).FindString(line); later != "" {
			t.Errorf("line %d has %q, which Windows PowerShell does not know", i+1, later)
		}
		if strings.Contains(line, "openssl") && i > 20 {
			t.Errorf("line %d calls openssl", i+1)
		}
	}
	commands := map[string][]string{
		"root":         {"--cn", "--force", "--key-type", "--days", "--ca-cert", "--ca-key", "--dir", "--output"},
		"intermediate": {"--ca", "--cn", "--force", "--pfx", "--pfx-profile", "--key-type", "--days", "--dir", "--output"},
		"device":       {"--ca", "--force", "--pfx", "--pfx-profile", "--key-type", "--days", "--name", "--dir", "--output"},
		"list":         {"--dir", "--output"},
	}
	for _, like := range []string{"verification", "edge-ca", "edge-identity", "server"} {
		commands[like] = commands["device"]
	}
	used := map[string]bool{}
	for _, found := range regexp.MustCompile(`'(--[a-z-]+)'`).FindAllStringSubmatch(text, -1) {
		used[found[1]] = true
	}
	for command, flags := range commands {
		help := call{dir: t.TempDir()}.exec(t, filepath.Join(programDir, programName), command, "--help").stdout
		if !strings.Contains(text, "'"+command+"'") {
			t.Errorf("the script never calls certgen %s", command)
		}
		for _, flag := range flags {
			if !strings.Contains(help, flag) || !used[flag] {
				t.Errorf("certgen %s: flag %s is used %v", command, flag, used[flag])
			}
		}
	}
	for _, flags := range commands {
		for _, flag := range flags {
			delete(used, flag)
		}
	}
	if len(used) > 0 {
		t.Errorf("flags that no command is known to take: %v", used)
	}
}
