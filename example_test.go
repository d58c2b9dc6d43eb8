package dpskit_test

import (
	"context"
	"crypto/x509"
	"fmt"
	"log"
	"os"
	"strings"
	"testing"

	"github.com/dpskit/dpskit/pkg/dps"
	"github.com/dpskit/dpskit/pkg/dps/arm"
	"github.com/dpskit/dpskit/pkg/dps/device"
	"github.com/dpskit/dpskit/pkg/dps/emulator"
	"github.com/dpskit/dpskit/pkg/dps/service"
	"github.com/dpskit/dpskit/pkg/pki"
)

// Example is the whole story as a program: what `enroll --generate` does.
func Example() {
	ctx := context.Background()
	emu, err := emulator.Start(ctx, &emulator.Options{RetryAfter: -1})
	if err != nil {
		log.Fatal(err)
	}
	defer emu.Close()
	hub, err := registerDevice(ctx, emu, "dev-1")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("assigned to", hub)
	// Output: assigned to dpskit-emulator-hub.azure-devices.net
}

func registerDevice(ctx context.Context, emu *emulator.Emulator, id string) (hub string, err error) {
	// A chain: root, intermediate, device.
	root, err := pki.NewRoot(nil)
	if err != nil {
		return "", err
	}
	intermediate, err := root.NewIntermediate(nil)
	if err != nil {
		return "", err
	}
	bundle, err := intermediate.Issue(pki.IssueRequest{Profile: pki.ProfileDevice, CommonName: id})
	if err != nil {
		return "", err
	}

	// Proof of possession of the root's key.
	info := emu.Info()
	scope := arm.Scope{SubscriptionID: info.SubscriptionID, ResourceGroup: info.ResourceGroup, ServiceName: info.Name}
	certificates, err := arm.NewClient(scope, arm.StaticToken(info.Token), &arm.ClientOptions{Endpoint: info.ARMEndpoint, HTTPClient: emu.HTTPClient()})
	if err != nil {
		return "", err
	}
	sign := func(_ context.Context, code string) (*x509.Certificate, error) {
		proof, err := root.Issue(pki.IssueRequest{Profile: pki.ProfileVerification, CommonName: code})
		if err != nil {
			return nil, err
		}
		return proof.Certificate, nil
	}
	if _, err := certificates.Prove(ctx, "my-root", root.Certificate(), sign, nil); err != nil {
		return "", err
	}

	// An enrollment group for devices that the intermediate signed.
	cs, err := dps.ParseConnectionString(info.ConnectionString)
	if err != nil {
		return "", err
	}
	enrollments, err := service.NewClient(cs.HostName, service.SharedKey(cs.SharedAccessKeyName, cs.SharedAccessKey),
		&service.ClientOptions{HTTPClient: emu.HTTPClient()})
	if err != nil {
		return "", err
	}
	group := service.EnrollmentGroup{EnrollmentGroupID: "my-group", Attestation: service.SigningCertificate(intermediate.Certificate(), nil)}
	if _, err := enrollments.PutGroup(ctx, group, nil); err != nil {
		return "", err
	}

	// The device registers over TLS with its certificate.
	cert, err := bundle.TLSCertificate()
	if err != nil {
		return "", err
	}
	dev, err := device.NewClient(info.IDScope, id, device.X509(cert), &device.ClientOptions{Host: info.HostName, RootCAs: emu.CAPool()})
	if err != nil {
		return "", err
	}
	result, err := dev.Register(ctx, nil)
	return result.AssignedHub, err
}

// TestReadmeExample holds the program in the README against the one above,
// which runs.
func TestReadmeExample(t *testing.T) {
	source, err := os.ReadFile("example_test.go")
	if err != nil {
		t.Fatal(err)
	}
	text := string(source)
	begin, end := strings.Index(text, "func registerDevice("), strings.Index(text, "// TestReadmeExample")
	code := strings.ReplaceAll(strings.TrimSpace(text[begin:end]), "\t", "    ")
	data, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(data), "```go\n"+code+"\n```") {
		t.Errorf("the program in the README is stale; it should be:\n%s", code)
	}
}
