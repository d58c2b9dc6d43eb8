package main

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dpskit/dpskit/cmd/internal/cliapp"
	"github.com/dpskit/dpskit/pkg/pki"
)

func TestExportFlags(t *testing.T) {
	base := exportOptions{
		commonOptions: textIn, Name: "dev-1", PFXProfile: pki.PFXModern,
		Env: envOptions{Host: "global.azure-devices-provisioning.net", Shell: "sh"},
	}
	tests := []struct {
		name string
		args []string
		want func(*exportOptions)
	}{
		{"base64 is the certificate", []string{"--format", "base64"}, func(o *exportOptions) {
			o.Format, o.Part = exportBase64, partCertificate
		}},
		{"oneline is the chain", []string{"--format", "oneline"}, func(o *exportOptions) {
			o.Format, o.Part = exportOneline, partChain
		}},
		{"env has no parts", []string{"--format", "env", "--id-scope", "0ne1", "--host", "h", "--shell", "pwsh", "--pem-file", "p"}, func(o *exportOptions) {
			o.Format, o.Env = exportEnv, envOptions{IDScope: "0ne1", Host: "h", Shell: "pwsh", PEMFile: "p"}
		}},
		{"pfx is everything", []string{"--format=pfx", "--out", "f", "--pfx-profile", "legacy", "--pfx-password-file", "p", "--force"}, func(o *exportOptions) {
			o.Format, o.Part, o.Out, o.PFXProfile, o.PFXPasswordFile, o.Force = exportPFX, partAll, "f", pki.PFXLegacy, "p", true
		}},
		{"a key to a file", []string{"--format", "der", "--part", "key", "--out", "f", "--password-file", "-"}, func(o *exportOptions) {
			o.Format, o.Part, o.Out, o.KeyPasswordFile = exportDER, partKey, "f", "-"
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			want := base
			tt.want(&want)
			got := parseOK(t, newExportCmd, append([]string{"export", "dev-1"}, tt.args...)...)
			if d := cmp.Diff(want, got, cmp.AllowUnexported(exportOptions{})); d != "" {
				t.Errorf("options (-want +got):\n%s", d)
			}
		})
	}
}

// No combination of format and part shows a private key, or binary data, on
// standard output.
func TestExportKeepsKeysFromStdout(t *testing.T) {
	for _, f := range exportParts {
		for _, part := range f.parts {
			args := []string{"export", "dev-1", "--format", string(f.format), "--part", string(part)}
			_, code, stderr := parse(t, newExportCmd, args...)
			secret := slices.Contains([]exportPart{partKey, partAll, partEverything}, part) || f.format == exportDER
			if (code == cliapp.ExitUsage) != secret {
				t.Errorf("%q: exit code %d, stderr %q", args, code, stderr)
			}
		}
	}
}

func TestCIdentifier(t *testing.T) {
	for name, want := range map[string]string{
		"device_dev-1":            "device_dev_1",
		"device_A.b:C_9":          "device_a_b_c_9",
		"server_*.example.com":    "server___example_com",
		"server_ü*/ #include <x>": "server______include__x_",
	} {
		if got := cIdentifier(name); got != want {
			t.Errorf("cIdentifier(%q) = %q, want %q", name, got, want)
		}
	}
}

func TestSetVariable(t *testing.T) {
	tests := []struct{ shell, value, want string }{
		{"sh", "a", "export N=a\n# c\n"},
		{"sh", "a b'c$(d)", `export N='a b'\''c$(d)'` + "\n# c\n"},
		{"pwsh", "a b'c$(d)", "$env:N = 'a b''c$(d)'\n# c\n"},
		{"cmd", `C:\a b\c&d`, "set \"N=C:\\a b\\c&d\"\nrem c\n"},
		{"cmd", "100%", ""},
		{"cmd", `a"b`, ""},
		{"cmd", "a!b", ""},
	}
	for _, tt := range tests {
		w := envWriter{shell: tt.shell}
		w.set("N", tt.value)
		w.comment("c")
		if got := w.text.String(); (w.err == nil) != (tt.want != "") || w.err == nil && got != tt.want {
			t.Errorf("%s, %q: wrote %q, %v; want %q", tt.shell, tt.value, got, w.err, tt.want)
		}
	}
}

// The files that certgen keeps are not for export, by whatever way they are reached.
func TestInWorkspace(t *testing.T) {
	top := t.TempDir()
	dir := filepath.Join(top, "pki")
	if err := os.MkdirAll(filepath.Join(dir, "certs"), 0o700); err != nil {
		t.Fatal(err)
	}
	tests := map[string]bool{
		"pki/certs/a.pem":       true,
		"pki/certs/new/a.pem":   true,
		"pki/private/a.key.pem": true, // which is not there yet
		"pki/Certgen.json":      true,
		"pki/.certgen.lock":     true,
		"pki/certs":             true,
		"pki/../pki/certs/a":    true,
		"pki/a.pem":             false,
		"pki/out/certs/a.pem":   false,
		"certs/a.pem":           false,
		"a.pem":                 false,
	}
	if os.Symlink(dir, filepath.Join(top, "link")) == nil {
		tests["link/certs/a.pem"] = true
		tests["link/a.pem"] = false
	}
	for path, want := range tests {
		if got := inWorkspace(dir, top+"/"+path); got != want {
			t.Errorf("inWorkspace(%q) = %t", path, got)
		}
	}
	if inWorkspace(filepath.Join(top, "nowhere"), filepath.Join(top, "nowhere", "certs", "a")) {
		t.Error("a folder that is not there has a file")
	}
}

func TestRenewAndSignFlags(t *testing.T) {
	day := 24 * time.Hour
	renew := parseOK(t, newRenewCmd, "renew", "dev-1", "--expires-in", "1d", "--new-key", "--key-type", "ec-p384", "--ca", "root", "--pfx-password-file", "p")
	want := renewOptions{
		commonOptions: textIn, Name: "dev-1", NewKey: true, ExpiresIn: &day,
		issueOptions: issueOptions{CA: "root", KeyType: pki.KeyECP384, Validity: pki.Validity{Days: 30}},
		PFX:          pfxOptions{Write: true, PasswordFile: "p"},
	}
	if d := cmp.Diff(want, renew, cmp.AllowUnexported(renewOptions{})); d != "" {
		t.Errorf("renew options (-want +got):\n%s", d)
	}
	plain := parseOK(t, newRenewCmd, "renew", "dev-1")
	if plain.KeyType != "" || plain.PFX.Write || plain.ExpiresIn != nil {
		t.Errorf("renew without flags = %+v; want the key and the PFX as they are", plain)
	}

	sign := parseOK(t, newSignCmd, "sign", "-", "--profile", "server", "--name", "web", "--not-after", "1d")
	wantSign := signOptions{
		commonOptions: textIn, File: "-", Profile: pki.ProfileServer, Names: []string{"web"},
		issueOptions: issueOptions{Validity: pki.Validity{NotAfter: testNow.Add(day).Truncate(time.Second)}, ExpiryAsked: true},
	}
	if d := cmp.Diff(wantSign, sign, cmp.AllowUnexported(signOptions{})); d != "" {
		t.Errorf("sign options (-want +got):\n%s", d)
	}
}

func TestPrintResultQuiet(t *testing.T) {
	for _, tt := range []struct {
		opts commonOptions
		want string
	}{
		{commonOptions{Format: cliapp.FormatText}, "text\n"},
		{commonOptions{Format: cliapp.FormatText, Quiet: true}, ""},
		{commonOptions{Format: cliapp.FormatJSON, Quiet: true}, "1\n"},
	} {
		var out bytes.Buffer
		if err := printResult(&cliapp.Env{Out: &out}, tt.opts, 1, "text\n"); err != nil || out.String() != tt.want {
			t.Errorf("%+v: printed %q, %v; want %q", tt.opts, out.String(), err, tt.want)
		}
	}
}
