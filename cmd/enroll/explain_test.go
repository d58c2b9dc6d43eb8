package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/dpskit/dpskit/cmd/internal/cliapp"
	"github.com/dpskit/dpskit/pkg/dps"
	"github.com/dpskit/dpskit/pkg/dps/device"
	"github.com/dpskit/dpskit/pkg/pki"
)

// shown is what the program prints when a command ends in err.
func shown(t *testing.T, err error) (code int, text string) {
	t.Helper()
	var stderr bytes.Buffer
	p := cliapp.Program{Name: "enroll", Classify: classify, New: func(*cliapp.Env) *cli.App {
		return &cli.App{Action: func(*cli.Context) error { return err }}
	}}
	env := &cliapp.Env{In: strings.NewReader(""), Out: &bytes.Buffer{}, Err: &stderr, Getenv: func(string) string { return "" }, Now: time.Now}
	return p.Run(context.Background(), env, nil), stderr.String()
}

func refusedBy(status, code int, message string, info map[string]string) error {
	return refusedRegistration(fmt.Errorf("outer: %w", &dps.Error{Op: "register device \"dev-1\"", StatusCode: status, Code: code, Message: message, Info: info}))
}

// TestRefusalsOfAzureAreExplained gives the answers of the service, which has no
// info to offer, to devices with something wrong.
func TestRefusalsOfAzureAreExplained(t *testing.T) {
	root, err := pki.NewRoot(nil)
	if err != nil {
		t.Fatal(err)
	}
	intermediate, err := root.NewIntermediate(nil)
	if err != nil {
		t.Fatal(err)
	}
	issue := func(req pki.IssueRequest) []*x509.Certificate {
		t.Helper()
		b, err := intermediate.Issue(req)
		if err != nil {
			t.Fatal(err)
		}
		return []*x509.Certificate{b.Certificate, intermediate.Certificate()}
	}
	good := issue(pki.IssueRequest{CommonName: "dev-1"})
	now := time.Now()
	old := issue(pki.IssueRequest{CommonName: "dev-1", Validity: pki.Validity{NotBefore: now.Add(-4 * time.Minute), NotAfter: now.Add(-2 * time.Minute)}})
	deep, err := intermediate.NewIntermediate(&pki.CAOptions{CommonName: "deep"})
	if err != nil {
		t.Fatal(err)
	}
	below, err := deep.Issue(pki.IssueRequest{CommonName: "dev-1"})
	if err != nil {
		t.Fatal(err)
	}
	own, err := pki.SelfSigned(pki.IssueRequest{CommonName: "dev-1"})
	if err != nil {
		t.Fatal(err)
	}
	rule := func(name string) map[string]string {
		return map[string]string{"rule": name, "expected": "e", "fix": "f"}
	}
	late := func(status string, code int, message, group string) error {
		e := &device.RegistrationError{Op: "o", Status: status, Code: code, Message: message, Individual: group == ""}
		e.Result.EnrollmentGroupID, e.Result.RegistrationID = group, "dev-1"
		return e
	}
	invalid := refusedBy(401, 401002, "Invalid certificate.", nil)
	unknown := refusedBy(401, 401002, "CA certificate not found.", nil)
	const healthy = "have no fault that shows from here"
	tests := []struct {
		name  string
		err   error
		id    string
		certs []*x509.Certificate
		code  int
		says  []string
		not   string
	}{
		{"intermediate not sent", unknown, "dev-1", good[:1], 6, []string{"Azure IoT Hub Intermediate Cert Test Only", "to fix it: "}, healthy},
		{"another name", invalid, "dev-2", good, 6, []string{`registers as "dev-2"`, `"dev-1"`}, healthy},
		{"expired", invalid, "dev-1", old, 6, []string{"expired"}, healthy},
		{"two faults", unknown, "dev-2", old[:1], 6, []string{"Intermediate", `registers as "dev-2"`}, healthy},
		{"nothing wrong", unknown, "dev-1", append(good[:2:2], root.Certificate()), 6, []string{"enroll ca list", healthy + ": what the enrollment holds"}, ""},
		{"no root", unknown, "dev-1", good, 6, []string{healthy + ", but the chain ends at", "has to be sent, too"}, "decides"},
		{"the upper intermediate is missing", unknown, "dev-1", []*x509.Certificate{below.Certificate, deep.Certificate()}, 6,
			[]string{`the chain ends at "deep", whose issuer "CN=Azure IoT Hub Intermediate Cert Test Only"`, "has to be sent, too"}, "decides"},
		{"a CA", invalid, "dev-1", []*x509.Certificate{intermediate.Certificate(), root.Certificate()}, 6, []string{"CA:TRUE", "common name"}, healthy},
		{"a root", invalid, "dev-1", []*x509.Certificate{root.Certificate()}, 6, []string{"is a CA certificate"}, healthy},
		{"self-signed", invalid, "dev-1", []*x509.Certificate{own.Certificate}, 6, []string{healthy}, "belongs to no enrollment group"},
		{"400 not about certificates", refusedBy(400, 400000, "Unknown api version.", nil), "dev-2", good[:1], 1, []string{"API version"}, "certificates that were sent"},
		// The emulator knows.
		{"the rule says it", refusedBy(401, 401002, "CA certificate not found.", rule("ca-not-verified")), "dev-1", good, 6,
			[]string{`the emulator's rule is "ca-not-verified"`, "it expected: e", "to fix it: f"}, "usually the intermediate"},
		{"and no more", refusedBy(401, 401002, "CA certificate not found.", rule("ca-not-verified")), "dev-1", good, 6, nil, healthy},
		{"id scope", refusedBy(401, 401002, "Unauthorized", rule("id-scope")), "dev-1", good, 6, []string{"to fix it: f"}, "key"},
		{"the doctor adds", refusedBy(401, 401002, "x", rule("chain-incomplete")), "dev-1", good[:1], 6, []string{"to fix it: f", "missing from the chain"}, healthy},
		{"on purpose", refusedBy(401, 401000, "Unauthorized.", map[string]string{"rule": "fault"}), "dev-2", good[:1], 6, []string{"on purpose", "--fault"}, "key"},
		{"api version of an emulator", refusedBy(400, 400000, "Unknown api version.", rule("api-version")), "dev-1", good, 1, []string{"to fix it: f"}, "certificates that were sent"},
		{"a fault of the server", &dps.Error{Op: "o", StatusCode: 503, Info: map[string]string{"rule": "fault"}}, "dev-1", good, 7, []string{"on purpose"}, "tracking id"},
		// The enrollment is named.
		{"disabled group", late("disabled", 0, "", "fleet"), "dev-1", good, 6,
			[]string{`the enrollment group "fleet" decided this: 'enroll group update fleet --provisioning-status enabled'`, "is disabled"}, "individual enrollment"},
		{"disabled individual", late("disabled", 0, "", ""), "dev-1", good, 6, []string{`individual enrollment "dev-1"`, "enroll individual update dev-1"}, `group "`},
		{"no hub for a group", late("failed", 400208, "No hub.", "fleet"), "dev-1", nil, 6, []string{`"fleet"`, "enroll group show fleet", "--linked-hub"}, "individual enrollment"},
		{"group deleted", late("failed", 404204, "", "fleet"), "dev-1", nil, 6, []string{`"fleet"`, "was deleted while"}, "enroll group show fleet"},
		{"a group nobody can have", late("disabled", 0, "", "a; rm -r"), "dev-1", nil, 6, []string{`"a; rm -r" decided this`}, "update a;"},
		{"explained in the message", late("failed", 400207, "Custom allocation failed. x [emulator: rule custom-allocation; expected: e; to fix it: f]", "fleet"),
			"dev-1", nil, 6, []string{`"fleet"`, "to fix it: f"}, "the webhook could not"},
		{"symmetric key", refusedBy(401, 401002, "Unauthorized", nil), "dev-1", nil, 6, []string{"group key used as a device key"}, healthy},
		{"while waiting", fmt.Errorf("x: %w", &device.RegistrationError{Op: "o", Status: "failed", Code: 401002, Message: "Invalid certificate."}), "dev-2", good, 6, []string{`registers as "dev-2"`}, healthy},
		{"in the handshake", &dps.Error{Op: "o", Err: fmt.Errorf("remote error: %w", tls.AlertError(42))}, "dev-1", old, 7, []string{"expired"}, healthy},
		{"an info that nobody knows", refusedBy(401, 401002, "Invalid certificate.", map[string]string{"b": "2", "a": "1"}), "dev-1", good, 6, []string{"the service adds: a: 1; b: 2", healthy}, ""},
		// Not about certificates.
		{"disabled", fmt.Errorf("x: %w", &device.RegistrationError{Op: "o", Status: "disabled"}), "dev-2", good, 6, []string{"is disabled"}, "registers as"},
		{"no hub", fmt.Errorf("x: %w", &device.RegistrationError{Op: "o", Status: "failed", Code: 400208}), "dev-2", good, 6, []string{"No hub is linked"}, "registers as"},
		{"throttled", &dps.Error{Op: "o", StatusCode: 429}, "dev-2", good, 7, []string{"slow down"}, "registers as"},
		{"interrupted", &dps.Error{Op: "o", Err: context.Canceled}, "dev-2", good, 130, []string{"interrupted"}, "hint"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := explainRegistration(tt.err, sentChain{tt.id, "chain.pem", tt.certs, time.Now})
			if !errors.Is(err, tt.err) {
				t.Error("the error itself is gone")
			}
			code, text := shown(t, err)
			if code != tt.code {
				t.Errorf("exit code %d, want %d", code, tt.code)
			}
			for _, s := range tt.says {
				if !strings.Contains(strings.ToLower(text), strings.ToLower(s)) {
					t.Errorf("nobody says %q", s)
				}
			}
			if tt.not != "" && strings.Contains(text, tt.not) {
				t.Errorf("it says %q", tt.not)
			}
			if t.Failed() {
				t.Log(text)
			}
		})
	}
}

// TestBestCauseComesFirst: of two faults, the one that predicts the answer.
func TestBestCauseComesFirst(t *testing.T) {
	root, err := pki.NewRoot(nil)
	if err != nil {
		t.Fatal(err)
	}
	intermediate, err := root.NewIntermediate(nil)
	if err != nil {
		t.Fatal(err)
	}
	b, err := intermediate.Issue(pki.IssueRequest{CommonName: "dev-1"})
	if err != nil {
		t.Fatal(err)
	}
	sent := sentChain{"dev-2", "chain.pem", []*x509.Certificate{b.Certificate}, time.Now} // no intermediate, another name
	for message, first := range map[string]string{"CA certificate not found": "missing from the chain", "Invalid certificate": `registers as "dev-2"`} {
		lines := sent.causes(answerSeen{code: 401002, message: message, refused: true, aboutChain: true})
		if len(lines) < 4 || !strings.Contains(lines[0], first) {
			t.Errorf("%s: got %q", message, lines)
		}
	}
}

func TestInfoLines(t *testing.T) {
	got := infoLines(map[string]string{"rule": "r", "certificateSubject": "CN=a", "certificateThumbprint": "AB", "certificatePosition": "2", "expected": "e", "fix": "f"})
	want := []string{`the emulator's rule is "r", about certificate "CN=a" (number 2 above the device's, SHA-1 AB)`, "it expected: e", "to fix it: f"}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got %q", got)
	}
	if got := infoLines(map[string]string{"rule": "r"}); len(got) != 1 || got[0] != `the emulator's rule is "r"` {
		t.Errorf("got %q", got)
	}
	if got := infoLines(map[string]string{"rule": "fault"}); len(got) != 1 || !strings.Contains(got[0], "on purpose") {
		t.Errorf("got %q", got)
	}
	if got := infoLines(nil); got != nil {
		t.Errorf("got %q", got)
	}
}
