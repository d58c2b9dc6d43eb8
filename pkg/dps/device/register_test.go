package device_test

import (
	"crypto/tls"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dpskit/dpskit/pkg/dps"
	"github.com/dpskit/dpskit/pkg/dps/device"
	"github.com/dpskit/dpskit/pkg/dps/emulator"
	"github.com/dpskit/dpskit/pkg/dps/service"
	"github.com/dpskit/dpskit/pkg/pki"
)

const hub = "dpskit-emulator-hub.azure-devices.net"

func TestRegisterThroughGroup(t *testing.T) {
	w := newWorld(t)
	w.group("fleet", w.intermediate)
	var seen []string
	got := must[device.Result](t)(w.register("dev-1", issue(t, w.intermediate, pki.IssueRequest{CommonName: "dev-1"}),
		&device.RegisterOptions{Progress: func(s string) { seen = append(seen, s) }}))
	if got.RegistrationID != "dev-1" || got.DeviceID != "dev-1" || got.AssignedHub != hub || got.Status != device.StatusAssigned ||
		got.Substatus != "initialAssignment" || got.EnrollmentGroupID != "fleet" || got.OperationID == "" || got.ETag == "" ||
		got.Created.IsZero() || got.LastUpdated.IsZero() {
		t.Errorf("got %+v", got)
	}
	if len(seen) < 2 || seen[0] != device.StatusAssigning || seen[len(seen)-1] != device.StatusAssigned {
		t.Errorf("progress %v", seen)
	}
	// Registering again is no error and gives the same hub.
	again := must[device.Result](t)(w.register("dev-1", issue(t, w.intermediate, pki.IssueRequest{CommonName: "dev-1"}), nil))
	if again.AssignedHub != got.AssignedHub || again.OperationID == got.OperationID {
		t.Errorf("again %+v", again)
	}
}

func TestRegisterChains(t *testing.T) {
	w := newWorld(t)
	second := must[*pki.Authority](t)(w.intermediate.NewIntermediate(&pki.CAOptions{CommonName: "second"}))
	w.group("second", second)
	w.group("root", w.root)
	whole := issue(t, second, pki.IssueRequest{CommonName: "dev-1"})
	if len(whole.Certificate) != 3 {
		t.Fatalf("%d certificates in the chain", len(whole.Certificate))
	}
	withRoot, leafOnly, gap := whole, whole, whole
	withRoot.Certificate = append(slices.Clone(whole.Certificate), w.root.Certificate().Raw)
	leafOnly.Certificate = whole.Certificate[:1]
	gap.Certificate = whole.Certificate[:2]
	for name, tt := range map[string]struct {
		cert  tls.Certificate
		group string
	}{
		"all intermediates":          {whole, "second"},
		"and the root":               {withRoot, "second"},
		"leaf below the root, alone": {issue(t, w.root, pki.IssueRequest{CommonName: "dev-1"}), "root"},
	} {
		got := must[device.Result](t)(w.register("dev-1", tt.cert, nil))
		if got.EnrollmentGroupID != tt.group {
			t.Errorf("%s: %+v", name, got)
		}
	}
	for name, tt := range map[string]struct {
		cert tls.Certificate
		sent string
	}{
		"no intermediate":       {leafOnly, `the device sent "dev-1"; the issuer of the last one is "second"`},
		"one intermediate only": {gap, `the device sent "dev-1", "second"; the issuer of the last one is "Azure IoT Hub Intermediate Cert Test Only"`},
	} {
		_, err := w.register("dev-1", tt.cert, nil)
		refusal := wantError(t, err, dps.ErrUnauthorized, 401002)
		if refusal.Detail != tt.sent {
			t.Errorf("%s: detail %q", name, refusal.Detail)
		}
		x, ok := dps.Explain(err)
		if !ok || !strings.Contains(x.Why, tt.sent) || !strings.Contains(x.Fix, "full chain") {
			t.Errorf("%s: explained as %+v", name, x)
		}
	}
}

func TestRegisterIndividually(t *testing.T) {
	w := newWorld(t)
	cert, leaf := selfSigned(t, "dev-1")
	next, nextLeaf := selfSigned(t, "dev-1")
	w.individual(service.IndividualEnrollment{RegistrationID: "dev-1", DeviceID: "Device-One", Attestation: service.ClientCertificate(leaf, nextLeaf)})
	for _, c := range []tls.Certificate{cert, next} {
		got := must[device.Result](t)(w.register("dev-1", c, nil))
		if got.DeviceID != "Device-One" || got.EnrollmentGroupID != "" || got.AssignedHub != hub {
			t.Errorf("got %+v", got)
		}
	}
	stranger, _ := selfSigned(t, "dev-1")
	_, err := w.register("dev-1", stranger, nil)
	wantError(t, err, dps.ErrUnauthorized, 401002)
}

// TestRefusedAtOnce: each of these completes TLS and is refused by the service.
func TestRefusedAtOnce(t *testing.T) {
	w := newWorld(t)
	w.group("fleet", w.intermediate)
	foreign := must[*pki.Authority](t)(pki.NewRoot(nil))
	expired := pki.Validity{NotBefore: time.Now().Add(-2 * time.Hour), NotAfter: time.Now().Add(-time.Hour)}
	authority := must[*pki.Authority](t)(w.root.NewIntermediate(&pki.CAOptions{
		Validity: pki.Validity{NotBefore: time.Now().Add(-3 * time.Hour), NotAfter: time.Now().Add(time.Hour)}}))
	w.group("old", authority)
	for name, tt := range map[string]struct {
		id     string
		cert   tls.Certificate
		detail string
	}{
		"CA that nobody knows": {"dev-1", issue(t, foreign, pki.IssueRequest{CommonName: "dev-1"}), `the device sent "dev-1"`},
		"expired leaf":         {"dev-1", issue(t, authority, pki.IssueRequest{CommonName: "dev-1", Validity: expired}), `the device sent "dev-1"`},
		"another common name": {"dev-2", issue(t, w.intermediate, pki.IssueRequest{CommonName: "dev-1"}),
			`the certificate's common name "dev-1" is not the registration id "dev-2"`},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := w.register(tt.id, tt.cert, nil)
			refusal := wantError(t, err, dps.ErrUnauthorized, 401002)
			if refusal == nil || !strings.Contains(refusal.Detail, tt.detail) || refusal.Attempts != 1 {
				t.Errorf("got %+v", refusal)
			}
			if errors.Is(err, device.ErrRefused) {
				t.Error("taken for a late refusal")
			}
			if x, ok := dps.Explain(err); !ok || !strings.Contains(x.Why, "seen from here: ") {
				t.Errorf("explained as %+v", x)
			}
		})
	}
	t.Run("another id scope", func(t *testing.T) {
		c := must[*device.Client](t)(device.NewClient("0ne0BADC0DE", "dev-1", device.X509(issue(t, w.intermediate, pki.IssueRequest{CommonName: "dev-1"})),
			&device.ClientOptions{Host: w.e.Info().HostName, RootCAs: w.e.CAPool()}))
		if _, err := c.Register(t.Context(), nil); err == nil || errors.Is(err, device.ErrRefused) {
			t.Errorf("got %v", err)
		}
	})
}

// TestRefusedLate: the service accepts the request and refuses while it works.
func TestRefusedLate(t *testing.T) {
	t.Run("disabled group", func(t *testing.T) {
		w := newWorld(t)
		w.group("fleet", w.intermediate, func(g *service.EnrollmentGroup) { g.ProvisioningStatus = service.ProvisioningDisabled })
		_, err := w.register("dev-1", issue(t, w.intermediate, pki.IssueRequest{CommonName: "dev-1"}), nil)
		var refusal *device.RegistrationError
		if !errors.Is(err, device.ErrRefused) || !errors.As(err, &refusal) || refusal.Status != device.StatusDisabled || refusal.Result.OperationID == "" ||
			refusal.Result.EnrollmentGroupID != "fleet" || refusal.Individual {
			t.Fatalf("got %v", err)
		}
		if x, ok := dps.Explain(err); !ok || !strings.Contains(x.What, "disabled") {
			t.Errorf("explained as %+v", x)
		}
		if got := err.Error(); !strings.HasPrefix(got, `register device "dev-1": disabled`) {
			t.Errorf("got %s", got)
		}
	})
	t.Run("disabled individual before an enabled group", func(t *testing.T) {
		w := newWorld(t)
		w.group("fleet", w.intermediate)
		b := must[*pki.Bundle](t)(w.intermediate.Issue(pki.IssueRequest{CommonName: "dev-1"}))
		w.individual(service.IndividualEnrollment{RegistrationID: "dev-1", Attestation: service.ClientCertificate(b.Certificate, nil),
			ProvisioningStatus: service.ProvisioningDisabled})
		_, err := w.register("dev-1", must[tls.Certificate](t)(b.TLSCertificate()), nil)
		var refusal *device.RegistrationError
		if !errors.As(err, &refusal) || !refusal.Individual || refusal.Result.EnrollmentGroupID != "" {
			t.Errorf("got %+v, %v", refusal, err)
		}
		must[device.Result](t)(w.register("dev-2", issue(t, w.intermediate, pki.IssueRequest{CommonName: "dev-2"}), nil))
	})
	t.Run("no hub", func(t *testing.T) {
		w := newWorld(t, func(o *emulator.Options) { o.Hubs = []string{} })
		w.group("fleet", w.intermediate)
		_, err := w.register("dev-1", issue(t, w.intermediate, pki.IssueRequest{CommonName: "dev-1"}), nil)
		var refusal *device.RegistrationError
		if !errors.As(err, &refusal) || refusal.Status != device.StatusFailed || refusal.Code != 400208 {
			t.Fatalf("got %v", err)
		}
		if x, ok := dps.Explain(err); !ok || !strings.Contains(x.What, "no IoT hub") {
			t.Errorf("explained as %+v", x)
		}
	})
}

func TestServerIsChecked(t *testing.T) {
	w := newWorld(t)
	cert, _ := selfSigned(t, "dev-1")
	_, err := w.client("dev-1", cert, func(o *device.ClientOptions) { o.RootCAs = nil }).Register(t.Context(), nil)
	wantError(t, err, dps.ErrUntrustedServer, 0)
	if x, ok := dps.Explain(err); !ok || !strings.Contains(x.Fix, "enroll emulator") {
		t.Errorf("explained as %+v", x)
	}
}

func TestPayload(t *testing.T) {
	w := newWorld(t)
	w.group("fleet", w.intermediate)
	cert := issue(t, w.intermediate, pki.IssueRequest{CommonName: "dev-1"})
	for _, payload := range []string{`{"model":"x"}`, `"text"`, `null`, `[1]`} {
		must[device.Result](t)(w.register("dev-1", cert, &device.RegisterOptions{Payload: json.RawMessage(payload)}))
	}
	for name, payload := range map[string]string{"not JSON": `{`, "too large": `"` + strings.Repeat("x", 96<<10) + `"`} {
		if _, err := w.register("dev-1", cert, &device.RegisterOptions{Payload: json.RawMessage(payload)}); !errors.Is(err, dps.ErrBadRequest) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}
