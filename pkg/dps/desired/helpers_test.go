package desired_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/dpskit/dpskit/pkg/dps"
	"github.com/dpskit/dpskit/pkg/dps/arm"
	"github.com/dpskit/dpskit/pkg/dps/desired"
	"github.com/dpskit/dpskit/pkg/dps/dpstest"
	"github.com/dpskit/dpskit/pkg/dps/service"
	"github.com/dpskit/dpskit/pkg/pki"
	"github.com/dpskit/dpskit/pkg/pki/pkitest"
)

// world is a service and a folder of files.
type world struct {
	service *service.Client
	arm     *arm.Client
	files   map[string][]byte
}

// newWorld starts an emulator. before, which may be nil, sees every request to
// the service plane.
func newWorld(t testing.TB, before func(*http.Request) error) *world {
	t.Helper()
	emu := dpstest.Start(t)
	info := emu.Info()
	cs, err := dps.ParseConnectionString(info.ConnectionString)
	if err != nil {
		t.Fatal(err)
	}
	client := emu.HTTPClient()
	t.Cleanup(client.CloseIdleConnections)
	if before != nil {
		client.Transport = &hook{client.Transport, before}
	}
	w := &world{files: chain(t)}
	if w.service, err = service.NewClient(cs.HostName, service.SharedKey(cs.SharedAccessKeyName, cs.SharedAccessKey),
		&service.ClientOptions{HTTPClient: client, MaxRetries: -1}); err != nil {
		t.Fatal(err)
	}
	scope := arm.Scope{SubscriptionID: info.SubscriptionID, ResourceGroup: info.ResourceGroup, ServiceName: info.Name}
	armClient := emu.HTTPClient()
	t.Cleanup(armClient.CloseIdleConnections)
	if w.arm, err = arm.NewClient(scope, arm.StaticToken(info.Token), &arm.ClientOptions{Endpoint: info.ARMEndpoint, HTTPClient: armClient}); err != nil {
		t.Fatal(err)
	}
	return w
}

type hook struct {
	next   http.RoundTripper
	before func(*http.Request) error
}

func (h *hook) RoundTrip(req *http.Request) (*http.Response, error) {
	if err := h.before(req); err != nil {
		return nil, err
	}
	return h.next.RoundTrip(req)
}

// chain is a folder with a root, an intermediate, devices and their keys.
func chain(t testing.TB) map[string][]byte {
	t.Helper()
	root, err := pki.NewRoot(nil)
	if err != nil {
		t.Fatal(err)
	}
	intermediate, err := root.NewIntermediate(nil)
	if err != nil {
		t.Fatal(err)
	}
	key := func(a *pki.Authority) []byte {
		data, err := pki.EncodeKeyPEM(a.Key())
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	return map[string][]byte{
		"root.pem": pki.EncodeCertificatesPEM(root.Certificate()), "root.key": key(root),
		"int.pem": pki.EncodeCertificatesPEM(intermediate.Chain()...), "int.key": key(intermediate),
		"dev.pem": pkitest.Device(t, "dev").CertificatePEM(), "dev2.pem": pkitest.Device(t, "dev").CertificatePEM(),
		"key.txt": []byte("bXktb3duLXByaW1hcnkta2V5LTEyMw==\n"), "key2.txt": []byte("bXktb3duLXNlY29uZGFyeS1rZXktMTIz"),
	}
}

func (w *world) read(name string) ([]byte, error) {
	if data, ok := w.files[name]; ok {
		return data, nil
	}
	return nil, fmt.Errorf("open %s: no such file", name)
}

func (w *world) target() desired.Target {
	return desired.Target{Certificates: w.arm, Enrollments: w.service}
}

func (w *world) parse(t testing.TB, text string) *desired.Document {
	t.Helper()
	doc, err := desired.Parse([]byte(text), &desired.ParseOptions{Files: w.read})
	if err != nil {
		t.Fatal(err)
	}
	return doc
}

func (w *world) plan(t testing.TB, text string, opts *desired.PlanOptions) *desired.Plan {
	t.Helper()
	plan, err := desired.Compare(t.Context(), w.parse(t, text), w.target(), opts)
	if err != nil {
		t.Fatal(err)
	}
	return plan
}

// apply brings the service to the state of the document and wants no failure.
func (w *world) apply(t testing.TB, text string, opts *desired.PlanOptions) {
	t.Helper()
	results, err := w.plan(t, text, opts).Apply(context.Background(), nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range results {
		if r.Err != nil {
			t.Fatalf("%s %s %q: %v", r.Action, r.Kind, r.ID, r.Err)
		}
	}
}

// outline lists the changes as "action kind id: members".
func outline(plan *desired.Plan) []string {
	var list []string
	for _, c := range plan.Changes {
		var members []string
		for _, d := range c.Differences {
			members = append(members, d.Member)
		}
		list = append(list, strings.TrimSuffix(fmt.Sprintf("%s %s %s: %s", c.Action, c.Kind, c.ID, strings.Join(members, " ")), ": "))
	}
	return list
}
