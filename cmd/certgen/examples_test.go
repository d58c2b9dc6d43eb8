package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/urfave/cli/v2"

	"github.com/dpskit/dpskit/cmd/internal/cliapp"
)

// exampleSetup is what the examples of a command find in their folder.
var exampleSetup = map[string][]string{
	"init":         myCASetup,
	"root":         myCASetup,
	"intermediate": {"certgen root"},
	"device":       {"certgen init"},
	"verification": append([]string{"certgen init"}, myCASetup...),
}

// myCASetup makes the files of a CA outside of the folder: my-ca.pem with its
// encrypted key my-ca.key, and both in my-ca.pfx.
var myCASetup = []string{
	"certgen init --dir mine --key-password-file my-ca.password",
	"cp mine/certs/azure-iot-test-only.root.ca.cert.pem my-ca.pem",
	"cp mine/private/azure-iot-test-only.root.ca.key.pem my-ca.key",
	"certgen init --dir plain",
	"certgen export root --dir plain --format pfx --out my-ca.pfx --pfx-password-file my-ca.password",
}

// defaultSetup is for the other commands.
var defaultSetup = []string{"certgen init", "certgen device my-device"}

// exampleInput is a file that examples read.
type exampleInput struct{ name, content string }

func exampleInputs(t *testing.T) []exampleInput {
	t.Helper()
	return []exampleInput{
		{"my-ca.password", "correct horse\n"},
		{"ca.password", "correct horse\n"},
		{"pfx.password", "correct horse\n"},
		{"ids.csv", "registrationId,site\npress-a,north\npress-b,south\n"},
		{"device.csr", exampleRequest(t, "own-key")},
		{"server.csr", exampleRequest(t, "www.example.com", "www.example.com")},
	}
}

// exampleRequest makes a certificate request.
func exampleRequest(t *testing.T, cn string, dns ...string) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.CertificateRequest{Subject: pkix.Name{CommonName: cn}, DNSNames: dns}
	der, err := x509.CreateCertificateRequest(rand.Reader, tmpl, key)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der}))
}

// Every example in a help text is run as it stands there.
func TestExamples(t *testing.T) {
	dir := t.TempDir()
	app := newApp(&cliapp.Env{})
	writeExamples(t, dir, "certgen", app.Description, nil)
	for _, c := range app.Commands {
		setup, ok := exampleSetup[c.Name]
		if !ok {
			setup = defaultSetup
		}
		writeExamples(t, dir, c.Name, c.Description, setup)
		checkMentions(t, app, c)
	}
	testscript.Run(t, scriptParams(dir))
}

// writeExamples writes a script with the examples of one help text. Each runs
// in a folder of its own, except those of the program, which tell a story.
func writeExamples(t *testing.T, dir, name, text string, setup []string) {
	t.Helper()
	var script strings.Builder
	examples, inputs := 0, ""
	for _, input := range exampleInputs(t) {
		inputs += " $WORK/" + input.name
	}
	for line := range strings.SplitSeq(text, "\n") {
		example, ok := strings.CutPrefix(line, "   certgen ")
		if !ok {
			continue
		}
		examples++
		if name != "certgen" {
			fmt.Fprintf(&script, "mkdir $WORK/%d\ncd $WORK/%d\ncp %s .\n", examples, examples, inputs)
		}
		for _, s := range setup {
			script.WriteString("exec " + s + "\n")
		}
		script.WriteString("exec certgen " + strings.ReplaceAll(example, `"`, `'`) + "\n")
	}
	if examples == 0 {
		t.Errorf("the help of %q has no example", name)
	}
	for _, input := range exampleInputs(t) {
		fmt.Fprintf(&script, "-- %s --\n%s", input.name, input.content)
	}
	if err := os.WriteFile(filepath.Join(dir, name+".txtar"), []byte(script.String()), 0o600); err != nil {
		t.Fatal(err)
	}
}

// checkMentions checks that a help text names no command that does not exist.
func checkMentions(t *testing.T, app *cli.App, c *cli.Command) {
	t.Helper()
	words := strings.FieldsFunc(c.Description, func(r rune) bool { return r == '\'' || r == '\n' })
	for _, w := range words {
		rest, ok := strings.CutPrefix(w, "certgen ")
		if !ok {
			continue
		}
		if name := strings.Fields(rest)[0]; app.Command(name) == nil {
			t.Errorf("the help of %q speaks of the command %q", c.Name, name)
		}
	}
}
