package main

import (
	"bytes"
	"context"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/urfave/cli/v2"

	"github.com/dpskit/dpskit/cmd/internal/cliapp"
	"github.com/dpskit/dpskit/pkg/pki"
)

// parse runs the flag parsing of one command and returns the options that its
// run function would get.
func parse[O any](t *testing.T, newCmd func(*cliapp.Env, func(context.Context, *cliapp.Env, O) error) *cli.Command, args ...string) (opts O, code int, stderr string) {
	t.Helper()
	t.Setenv(envDir, "")
	var out, errOut bytes.Buffer
	env := &cliapp.Env{
		In: strings.NewReader(""), Out: &out, Err: &errOut,
		Getenv: func(string) string { return "" },
		Now:    func() time.Time { return testNow },
	}
	p := program()
	p.New = func(env *cliapp.Env) *cli.App {
		return &cli.App{
			Commands: []*cli.Command{newCmd(env, func(_ context.Context, _ *cliapp.Env, o O) error {
				opts = o
				return nil
			})},
			InvalidFlagAccessHandler: func(_ *cli.Context, name string) { panic("no flag " + name) },
		}
	}
	code = p.Run(t.Context(), env, args)
	if out.Len() > 0 {
		t.Errorf("parsing %q printed %q", args, out.String())
	}
	return opts, code, errOut.String()
}

// parseOK is parse for a command line that must be accepted.
func parseOK[O any](t *testing.T, newCmd func(*cliapp.Env, func(context.Context, *cliapp.Env, O) error) *cli.Command, args ...string) O {
	t.Helper()
	opts, code, stderr := parse(t, newCmd, args...)
	if code != 0 || stderr != "" {
		t.Fatalf("parsing %q: exit code %d, stderr %q", args, code, stderr)
	}
	return opts
}

func diff(t *testing.T, want, got any) {
	t.Helper()
	opts := []cmp.Option{
		cmp.AllowUnexported(initOptions{}, intermediateOptions{}, deviceOptions{}, verificationOptions{}, inspectOptions{}, listOptions{}, leafOptions{}),
		cmpopts.IgnoreFields(pki.CAOptions{}, "Now"),
	}
	if d := cmp.Diff(want, got, opts...); d != "" {
		t.Errorf("options (-want +got):\n%s", d)
	}
}

var (
	textIn    = commonOptions{Dir: "./pki", Format: cliapp.FormatText}
	defaultCA = pki.CAOptions{KeyType: pki.KeyECP256, Validity: pki.Validity{Days: 30}}
	defaultOf = issueOptions{KeyType: pki.KeyECP256, Validity: pki.Validity{Days: 30}}
)

func TestInitFlags(t *testing.T) {
	diff(t, initOptions{commonOptions: textIn, Root: defaultCA, Intermediate: defaultCA, Intermediates: 1, PFX: pfxOptions{Profile: pki.PFXModern}},
		parseOK(t, newInitCmd, "init"))

	end := time.Date(2026, 5, 30, 12, 0, 0, 0, time.UTC)
	ca := pki.CAOptions{KeyType: pki.KeyRSA2048, Validity: pki.Validity{NotBefore: testNow.Add(-time.Hour).Truncate(time.Second), NotAfter: end}}
	root := ca
	root.CommonName = "My Root"
	diff(t, initOptions{
		commonOptions: commonOptions{Dir: "x", Format: cliapp.FormatJSON, Force: true, Quiet: true},
		Root:          root, Intermediate: ca, Intermediates: 3, PFX: pfxOptions{Profile: pki.PFXModern},
	}, parseOK(t, newInitCmd, "init", "-d", "x", "-o", "json", "-f", "-q", "--intermediates", "3", "--key-type", "RSA-2048",
		"--not-before", "-1h", "--not-after", "90d", "--root-cn", "My Root"))
}

func TestIntermediateNames(t *testing.T) {
	for _, tt := range []struct {
		args []string
		n    int
		want []string
	}{
		{nil, 1, nil},
		{[]string{"--intermediate-cn", "A, B"}, 1, []string{"A, B"}},
		{[]string{"--intermediate-cn", "A", "--intermediates", "3"}, 3, []string{"A", "A 2", "A 3"}},
		{[]string{"--intermediate-cn", "A {n} CA", "--intermediates", "3"}, 3, []string{"A 1 CA", "A 2 CA", "A 3 CA"}},
		{[]string{"--intermediate-cn", "A", "--intermediate-cn", "B"}, 2, []string{"A", "B"}},
		{[]string{"--intermediate-cn", "A", "--intermediate-cn", "B {n}", "--intermediates", "2"}, 2, []string{"A", "B 2"}},
	} {
		got := parseOK(t, newInitCmd, append([]string{"init"}, tt.args...)...)
		if d := cmp.Diff(tt.want, got.IntermediateNames); d != "" || got.Intermediates != tt.n {
			t.Errorf("%q: %d intermediates, names (-want +got):\n%s", tt.args, got.Intermediates, d)
		}
	}
}

func TestRootAndIntermediateFlags(t *testing.T) {
	one, zero := 1, 0
	root := defaultCA
	root.CommonName, root.MaxPathLen, root.Validity.Days = "R", &one, 10
	diff(t, initOptions{commonOptions: textIn, Root: root, Alone: true}, parseOK(t, newRootCmd, "root", "--cn", "R", "--path-len", "1", "--days", "10"))
	diff(t, initOptions{
		commonOptions: textIn, Root: defaultCA, Alone: true, CACert: "c", CAKey: "k", CAPasswordFile: "-", KeyPasswordFile: "n",
	}, parseOK(t, newRootCmd, "root", "--ca-cert", "c", "--ca-key", "k", "--ca-key-password-file", "-", "--key-password-file", "n"))

	noPFX := pfxOptions{Profile: pki.PFXModern}
	diff(t, intermediateOptions{commonOptions: textIn, Options: defaultCA, PFX: noPFX}, parseOK(t, newIntermediateCmd, "intermediate"))
	sub := defaultCA
	sub.CommonName, sub.MaxPathLen = "Plant", &zero
	diff(t, intermediateOptions{commonOptions: textIn, Name: "plant", CA: "root", CAPasswordFile: "pw", Options: sub, PFX: noPFX},
		parseOK(t, newIntermediateCmd, "intermediate", "plant", "--ca", "root", "--ca-key-password-file", "pw", "--cn", "Plant", "--path-len", "0"))
	diff(t, intermediateOptions{
		commonOptions: textIn, Options: defaultCA, KeyPasswordFile: "new", CAPasswordFile: "-",
		PFX: pfxOptions{Write: true, Profile: pki.PFXLegacy, PasswordFile: "pfx"},
	}, parseOK(t, newIntermediateCmd, "intermediate", "--key-password-file", "new", "--ca-key-password-file", "-", "--pfx",
		"--pfx-profile", "legacy", "--pfx-password-file", "pfx"))
}

// The flags that import a root leave nothing to choose about it, and one input
// cannot be two passwords.
func TestRefusedCAFlags(t *testing.T) {
	for _, args := range [][]string{
		{"root", "--ca-key", "k"},
		{"init", "--ca-key", "k"},
		{"init", "--ca-cert", "c", "--root-cn", "R"},
		{"init", "--intermediates", "0", "--pfx"},
		{"init", "--intermediates", "0", "--intermediate-cn", "I"},
		{"init", "--intermediates", "3", "--intermediate-cn", "I", "--intermediate-cn", "J"},
		{"init", "--intermediate-cn", "I", "--intermediate-cn", ""},
		{"init", "--intermediate-cn", ""},
		{"init", "--path-len", "2"},
		{"init", "--pfx-profile", "legacy"},
		{"init", "--ca-cert", "c", "--ca-key-password-file", "-", "--intermediate-key-password-file", "-"},
		{"root", "--ca-cert", "c", "--ca-key", "k", "--cn", "R"},
		{"root", "--ca-cert", "c", "--ca-key", "k", "--key-type", "rsa-2048"},
		{"root", "--ca-cert", "c", "--ca-key", "k", "--days", "3"},
		{"root", "--ca-cert", "c", "--ca-key", "k", "--path-len", "3"},
		{"root", "--ca-cert", "c", "--ca-key", "k", "--key-password-file", "-", "--ca-key-password-file", "-"},
	} {
		command := newRootCmd
		if args[0] == "init" {
			command = newInitCmd
		}
		if _, code, stderr := parse(t, command, args...); code != cliapp.ExitUsage || !strings.Contains(stderr, "hint: see") {
			t.Errorf("%q: exit code %d, stderr %q", args, code, stderr)
		}
	}
	for _, args := range [][]string{
		{"intermediate", "--key-password-file", "-", "--ca-key-password-file", "-"},
		{"intermediate", "--pfx", "--pfx-password-file", "-", "--key-password-file", "-"},
		{"intermediate", "--pfx-profile", "legacy"},
		{"intermediate", "--pfx", "--pfx-profile", "ancient"},
	} {
		if _, code, stderr := parse(t, newIntermediateCmd, args...); code != cliapp.ExitUsage || !strings.Contains(stderr, "hint: see") {
			t.Errorf("%q: exit code %d, stderr %q", args, code, stderr)
		}
	}
}

func TestDeviceFlags(t *testing.T) {
	modern := pfxOptions{Write: true, Profile: pki.PFXModern}
	diff(t, deviceOptions{commonOptions: textIn, issueOptions: defaultOf, IDs: []string{"a", "b"}, PFX: modern},
		parseOK(t, newDeviceCmd, "device", "a", "b"))

	issue := issueOptions{CA: "root", CAPasswordFile: "cap", KeyType: pki.KeyECP384, Validity: pki.Validity{Days: 7}, ExpiryAsked: true}
	diff(t, deviceOptions{
		commonOptions: textIn, issueOptions: issue, IDs: []string{"a", "--weird"},
		PFX: pfxOptions{Write: true, Profile: pki.PFXLegacy, PasswordFile: "pw"},
	}, parseOK(t, newDeviceCmd, "device", "--days=7", "--ca", "root", "--ca-key-password-file", "cap", "--key-type", "ec-p384",
		"--pfx-profile", "legacy", "--pfx-password-file", "pw", "--", "a", "--weird"))

	diff(t, deviceOptions{commonOptions: textIn, issueOptions: defaultOf, IDs: []string{"help"}, SelfSigned: true, PFX: pfxOptions{Profile: pki.PFXModern}},
		parseOK(t, newDeviceCmd, "device", "help", "--self-signed", "--pfx=false"))
}

func TestVerificationFlags(t *testing.T) {
	noPFX := pfxOptions{Profile: pki.PFXModern}
	diff(t, verificationOptions{commonOptions: textIn, issueOptions: defaultOf, Code: "CODE", PFX: noPFX},
		parseOK(t, newVerificationCmd, "verification", "\ufeff CODE\r\n"))
	issue := defaultOf
	issue.CAPasswordFile = "-"
	diff(t, verificationOptions{commonOptions: textIn, issueOptions: issue, Code: "CODE", CACert: "c", CAKey: "k", PFX: noPFX},
		parseOK(t, newVerificationCmd, "verification", "CODE", "--ca-cert", "c", "--ca-key", "k", "--ca-key-password-file", "-"))
	diff(t, verificationOptions{
		commonOptions: textIn, issueOptions: defaultOf, Code: "CODE", Names: []string{"verification-code", "proof, second"},
		PFX: pfxOptions{Write: true, Profile: pki.PFXModern, PasswordFile: "pw"},
	}, parseOK(t, newVerificationCmd, "verification", "CODE", "--name", "verification-code", "--name", "proof, second", "--pfx",
		"--pfx-password-file", "pw"))
}

func TestLeafFlags(t *testing.T) {
	pfx := pfxOptions{Write: true, Profile: pki.PFXModern}
	diff(t, leafOptions{commonOptions: textIn, issueOptions: defaultOf, Profile: pki.ProfileEdgeCA, Subject: "gw", PFX: pfx},
		parseOK(t, newEdgeCACmd, "edge-ca", "gw"))
	issue := defaultOf
	issue.CA, issue.CAPasswordFile = "root", "pw"
	diff(t, leafOptions{
		commonOptions: textIn, issueOptions: issue, Profile: pki.ProfileEdgeIdentity, Subject: "gw", Names: []string{"a", "b"},
		PFX: pfxOptions{Profile: pki.PFXModern},
	}, parseOK(t, newEdgeIdentityCmd, "edge-identity", "gw", "--name", "a", "--name", "b", "--pfx=false", "--ca", "root",
		"--ca-key-password-file", "pw"))
	diff(t, leafOptions{
		commonOptions: textIn, issueOptions: defaultOf, Profile: pki.ProfileServer, Subject: "gw", PFX: pfx,
		DNSNames: []string{"gw.local", "*.gw.local"}, IPAddresses: []net.IP{net.IPv6loopback},
	}, parseOK(t, newServerCmd, "server", "gw", "--san", "gw.local", "--san", "::1", "--san", "*.gw.local"))
}

func TestRefusedNames(t *testing.T) {
	for _, args := range [][]string{
		{"device", "a", "b", "--name", "x"},
		{"device", "a", "--name", ""},
		{"device", "a", "--name", "x", "--name", "X"},
	} {
		if _, code, stderr := parse(t, newDeviceCmd, args...); code != cliapp.ExitUsage || !strings.Contains(stderr, "--name") {
			t.Errorf("%q: exit code %d, stderr %q", args, code, stderr)
		}
	}
	for _, name := range []string{"", "a b", "a/b", "é"} {
		if _, code, stderr := parse(t, newEdgeIdentityCmd, "edge-identity", name); code != cliapp.ExitUsage {
			t.Errorf("edge-identity %q: exit code %d, stderr %q", name, code, stderr)
		}
	}
}

func TestReadingFlags(t *testing.T) {
	diff(t, inspectOptions{commonOptions: textIn, What: []string{"a", "-"}, PasswordFile: "pw"},
		parseOK(t, newInspectCmd, "inspect", "a", "--password-file", "pw", "-"))
	diff(t, listOptions{commonOptions: textIn}, parseOK(t, newListCmd, "list"))
	week := 7 * 24 * time.Hour
	diff(t, listOptions{commonOptions: textIn, ExpiresIn: &week}, parseOK(t, newListCmd, "list", "--expires-in", "7d"))
}

// Flags that a run would not notice, or that a script cannot pass, are refused
// before anything is done.
func TestRefusedArguments(t *testing.T) {
	for _, id := range []string{"a\x00b", "a\nb", "a\x1b[2J", "\u202etxt", "e\u0301", "é", "\xff", "😀", "CON\u00a0", "a\tb"} {
		_, code, stderr := parse(t, newDeviceCmd, "device", "--", id)
		if code != cliapp.ExitUsage || strings.Count(stderr, "\n") < 1 || strings.ContainsAny(stderr, "\x00\x1b\u202e") {
			t.Errorf("device %q: exit code %d, stderr %q", id, code, stderr)
		}
		if !strings.Contains(stderr, "a-z A-Z 0-9") {
			t.Errorf("device %q: stderr %q does not say what is allowed", id, stderr)
		}
	}
	for _, code := range []string{"A\x00B", "A\x1bB", "Ä", strings.Repeat("A", 65)} {
		if _, exit, _ := parse(t, newVerificationCmd, "verification", code); exit != cliapp.ExitUsage {
			t.Errorf("verification %q: exit code %d", code, exit)
		}
	}
}

// Every flag has a usage text, and no two names of a command are the same.
func TestFlagsAreDocumented(t *testing.T) {
	app := newApp(&cliapp.Env{})
	for _, c := range app.Commands {
		if c.Usage == "" || c.Description == "" {
			t.Errorf("command %q lacks usage or description", c.Name)
		}
		seen := map[string]bool{}
		for _, f := range c.Flags {
			doc, ok := f.(cli.DocGenerationFlag)
			if !ok || doc.GetUsage() == "" {
				t.Errorf("flag --%s of %q has no usage", f.Names()[0], c.Name)
			}
			for _, n := range f.Names() {
				if seen[n] {
					t.Errorf("flag %q of %q is there twice", n, c.Name)
				}
				seen[n] = true
				if strings.Contains(n, "password") && !strings.HasSuffix(n, "-file") {
					t.Errorf("flag --%s of %q takes a secret on the command line", n, c.Name)
				}
			}
		}
	}
}
