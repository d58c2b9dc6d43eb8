package scripts

import (
	"bufio"
	"bytes"
	"encoding/json"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// What can be told without PowerShell: the functions of both copies are there,
// and the text is one that Windows PowerShell 5.1 reads.
func TestPowerShellText(t *testing.T) {
	t.Parallel()
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
}

// The grammar reads the script, and what it calls and uses is there.
func TestPowerShellSyntax(t *testing.T) {
	t.Parallel()
	c := call{dir: t.TempDir()}
	if r := c.node(t, "check.mjs", filepath.Join(scriptDir, "ca-certs.ps1")); r.code != 0 || r.stdout != "" {
		t.Errorf("exit code %d:\n%s%s", r.code, r.stdout, r.stderr)
	}
	tests := []struct{ name, script, want string }{
		{"syntax", "if ($true {\n}", "1: syntax error"},
		{"brace", "if ($true) {", "1: syntax error"},
		{"string", "$a = 'open", "syntax error"},
		{"command", "Write-Hots 'x'", "1: unknown command Write-Hots"},
		{"parameter", "function A([string]$x) { return $x }\nA -y 1", "2: A has no parameter -y"},
		{"cmdlet parameter", "Test-Path -Parallel 'x'", "1: Test-Path has no parameter -Parallel"},
		{"arguments", "function A([string]$x) { return $x }\nA 1 2", "2: A takes 1 arguments, not 2"},
		{"unset", "function A() { return $x }\nA", "1: variable $x is read and not set before"},
		{"set later", "function A() { $y = $x\n$x = 1\nreturn $y }\nA", "1: variable $x is read and not set before"},
		{"twice", "function A() { }\nfunction a() { }\nA", "2: function a is defined twice"},
		{"unused", "function A() { }", "1: function A is neither called nor documented"},
		{"fine", "<#\n.SYNOPSIS\nx\n#>\nfunction A([Alias('z')][string]$x = '') { foreach ($i in @($x)) { Write-Host $i } }\nA -Z 'b'", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "x.ps1")
			writeFile(t, file, tt.script, 0o600)
			r := c.node(t, "check.mjs", file)
			if r.code != 0 || tt.want == "" && r.stdout != "" || !strings.Contains(r.stdout, tt.want) {
				t.Errorf("exit code %d, found %q, want %q\n%s", r.code, r.stdout, tt.want, r.stderr)
			}
		})
	}
}

// The model fails where PowerShell would, and at what it does not know.
func TestPowerShellModel(t *testing.T) {
	t.Parallel()
	c := call{dir: t.TempDir()}
	tests := []struct{ name, script, want string }{
		{"a single value comes out bare", "function A() { return @('x') }\n$a = A\nWrite-Output $a.Length", "1"},
		{"a comma keeps the array", "function A() { return , @('xyz') }\n$a = A\nWrite-Output $a.Length", "1"},
		{"output is unrolled", "function A() { return @('xyz') }\n$a = A\nWrite-Output $a.Length", "3"},
		{"nothing is null", "function A() { }\nWrite-Output ($null -eq (A))", "True"},
		{"an expression is not unrolled", "$a = @('xyz')\nWrite-Output $a.Length", "1"},
		{"of the caller", "function B() { Write-Output $x }\nfunction A() { $x = 'seen'\nB }\nA", "seen"},
		{"case", "Write-Output (('A' -eq 'a') -and (@('x', 'Y') -contains 'y'))", "True"},
		{"format", "Write-Output ('{1}-{0}' -f 'a', 'b')", "b-a"},
		{"alias", "function A([Alias('other')][string]$x) { Write-Output $x }\nA -Other 'v'", "v"},
		{"unset", "Write-Output $x", "!the variable $x was not set"},
		{"unknown command", "Get-Thing", "!unknown command Get-Thing"},
		{"unknown method", "Write-Output ('a'.Foo())", "!unknown method Foo"},
		{"mandatory", "function A([Parameter(Mandatory = $true)][string]$x) { }\nA", "!x is mandatory"},
		{"empty", "function A([Parameter(Mandatory = $true)][string]$x) { }\nA ''", "!x is empty"},
		{"choice", "function A([ValidateSet('a', 'b')][string]$x) { }\nA c", "!x is none of a,b"},
		{"too many", "function A() { }\nA 1", "!too many arguments"},
		{"thrown", "function A() { throw 'no' }\nA\nWrite-Output 'after'", "!no"},
		{"syntax", "if (", "!syntax error"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "x.ps1")
			writeFile(t, file, tt.script+"\n", 0o600)
			r := c.node(t, "model.mjs", file)
			message, fails := strings.CutPrefix(tt.want, "!")
			switch {
			case fails && (r.code == 0 || !strings.Contains(r.stderr, message) || r.stdout != ""):
				t.Errorf("exit code %d, stdout %q, stderr %q; want a failure with %q", r.code, r.stdout, r.stderr, message)
			case !fails && (r.code != 0 || strings.TrimSpace(r.stdout) != tt.want):
				t.Errorf("exit code %d, stdout %q, stderr %q; want %q", r.code, r.stdout, r.stderr, tt.want)
			}
		})
	}
}

// The arguments that the script hands to certgen: what they are, and that no
// secret is among them.
func TestPowerShellArguments(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "it's a folder")
	log := filepath.Join(t.TempDir(), "arguments")
	mkdir(t, dir)
	c := call{dir: dir, env: []string{
		"MODEL_ARGUMENTS=" + log, "ROOT_CA_PASSWORD=root secret", "INTERMEDIATE_CA_PASSWORD=other secret",
		"CERTGEN_PFX_PASSWORD=pfx secret", "CERTGEN_PFX_PROFILE=legacy", "DEFAULT_VALIDITY_DAYS=7",
	}}
	file := filepath.Join(t.TempDir(), "test.ps1")
	script := ". '" + strings.ReplaceAll(filepath.Join(scriptDir, "ca-certs.ps1"), "'", "''") + "'\nNew-CACertsCertChain ecc\n" +
		"New-CACertsEdgeDevice gw\nNew-CACertsVerificationCert CODE\nNew-CACertsEdgeServer 'gw.local'\n"
	writeFile(t, file, script, 0o600)
	if r := c.node(t, "model.mjs", file); r.code != 0 {
		t.Fatalf("exit code %d\n%s%s", r.code, r.stdout, r.stderr)
	}
	var got []string
	lines := bufio.NewScanner(bytes.NewReader(readFile(t, log)))
	for lines.Scan() {
		var args []string
		if err := json.Unmarshal(lines.Bytes(), &args); err != nil {
			t.Fatal(err)
		}
		got = append(got, strings.ReplaceAll(strings.Join(args, "|"), dir, "DIR"))
	}
	const common, key, pfx = "|--dir|DIR|--quiet|", "|--key-type|ec-p256|--days|7", "--pfx|--pfx-profile|legacy"
	want := []string{
		"init" + common + "--root-cn|Azure IoT CA TestOnly Root CA|--intermediates|3|--intermediate-cn|Azure IoT CA TestOnly Intermediate {n} CA|--force|" + pfx + key,
		"export" + common + "--force|--pfx-profile|legacy|--file|pem:certificate=DIR/RootCA.pem|--file|der=DIR/RootCA.cer|--|root",
		"export" + common + "--force|--pfx-profile|legacy|--file|pem:certificate=DIR/Intermediate1.pem|--|intermediate",
		"export" + common + "--force|--pfx-profile|legacy|--file|pem:certificate=DIR/Intermediate2.pem|--|intermediate2",
		"export" + common + "--force|--pfx-profile|legacy|--file|pem:certificate=DIR/Intermediate3.pem|--|intermediate3",
		"edge-ca" + common + "--ca|intermediate|--force|" + pfx + key + "|--name|iot-edge-device-gw|--name|gw|--|gw",
		"export" + common + "--force|--pfx-profile|legacy|--file|pfx=DIR/gw.pfx|--file|pem:everything=DIR/gw-all.pem" +
			"|--file|pem:key=DIR/gw-private.pem|--file|pem:certificate=DIR/gw-public.pem|--|gw",
		"verification" + common + "--ca|root|--force|" + pfx + key + "|--name|verification-code|--name|iot-device-verification-code|--|CODE",
		"export" + common + "--force|--pfx-profile|legacy|--file|der=DIR/verifyCert4.cer|--|verification-code",
		"server" + common + "--ca|intermediate|--force|" + pfx + key + "|--name|iot-edge-server-gw.local|--|gw.local",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("arguments (-want +got):\n%s", diff)
	}
	if strings.Contains(string(readFile(t, log)), "secret") {
		t.Error("a secret is among the arguments")
	}
	checkEncrypted(t, filepath.Join(dir, "private/azure-iot-test-only.root.ca.key.pem"), "root secret")
	checkEncrypted(t, filepath.Join(dir, "private/azure-iot-test-only.intermediate3.key.pem"), "other secret")
}
