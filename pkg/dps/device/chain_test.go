package device_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"math/big"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dpskit/dpskit/pkg/dps"
	"github.com/dpskit/dpskit/pkg/dps/device"
	"github.com/dpskit/dpskit/pkg/pki"
)

// TestDetailOfAChain: a refusal tells what the device sent, and what is plainly
// wrong with it.
func TestDetailOfAChain(t *testing.T) {
	w := newWorld(t)
	second := must[*pki.Authority](t)(w.intermediate.NewIntermediate(&pki.CAOptions{CommonName: "second"}))
	good := issue(t, second, pki.IssueRequest{CommonName: "dev-1"})
	chain := func(certificates ...[]byte) tls.Certificate {
		c := good
		c.Certificate = certificates
		return c
	}
	leaf, near, far := good.Certificate[0], good.Certificate[1], good.Certificate[2]
	for name, tt := range map[string]struct {
		cert tls.Certificate
		want string
	}{
		"wrong order":      {chain(leaf, far, near), `the chain is out of order: "dev-1" is issued by "second", but "Azure IoT Hub Intermediate Cert Test Only" follows`},
		"unrelated":        {chain(leaf, must[*pki.Authority](t)(pki.NewRoot(&pki.CAOptions{CommonName: "other"})).Certificate().Raw), `"other" follows`},
		"two common names": {twoNames(t, "dev-1", "other"), `the certificate has 2 common names ("dev-1", "other"), and may have one`},
		"garbage":          {chain(leaf, []byte("x")), "the chain holds a certificate that cannot be parsed"},
		"the root in place of the intermediates": {chain(leaf, w.root.Certificate().Raw),
			`the device sent "dev-1", "Azure IoT Hub CA Cert Test Only"`},
	} {
		_, err := w.register("dev-1", tt.cert, nil)
		if name == "garbage" && err != nil && !strings.Contains(err.Error(), "401") {
			continue // a TLS server may refuse such bytes before the service sees them
		}
		refusal := wantError(t, err, dps.ErrUnauthorized, 0)
		if refusal == nil || !strings.Contains(refusal.Detail, tt.want) {
			t.Errorf("%s: got %+v", name, refusal)
		}
		if strings.Contains(err.Error(), "the device sent") {
			t.Errorf("%s: the detail is in the error: %v", name, err)
		}
	}
}

// twoNames is a self-signed certificate, which only a bad tool makes.
func twoNames(t *testing.T, names ...string) tls.Certificate {
	t.Helper()
	key := must[*ecdsa.PrivateKey](t)(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(5), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	for _, name := range names {
		tmpl.Subject.ExtraNames = append(tmpl.Subject.ExtraNames, pkix.AttributeTypeAndValue{Type: asn1.ObjectIdentifier{2, 5, 4, 3}, Value: name})
	}
	return tls.Certificate{Certificate: [][]byte{must[[]byte](t)(x509.CreateCertificate(rand.Reader, tmpl, tmpl, key.Public(), key))}, PrivateKey: key}
}

func TestVersionAndHost(t *testing.T) {
	w := newWorld(t)
	w.group("fleet", w.intermediate)
	cert := issue(t, w.intermediate, pki.IssueRequest{CommonName: "dev-1"})
	for _, version := range []string{"2019-03-31", "2021-06-01", "2021-10-01"} {
		c := w.client("dev-1", cert, func(o *device.ClientOptions) { o.APIVersion = version })
		must[device.Result](t)(c.Register(t.Context(), nil))
	}
	// The same server by another of its names, and by one that it does not have.
	port := w.e.Info().HostName[strings.LastIndex(w.e.Info().HostName, ":"):]
	c := w.client("dev-1", cert, func(o *device.ClientOptions) { o.Host = "127.0.0.1" + port })
	must[device.Result](t)(c.Register(t.Context(), nil))
	c = w.client("dev-1", cert, func(o *device.ClientOptions) { o.Host = "127.0.0.2" + port })
	if _, err := c.Register(t.Context(), nil); err == nil {
		t.Error("registered with a server of another name")
	}
}

// TestMixedCase: registration ids are compared without regard to case.
func TestMixedCase(t *testing.T) {
	w := newWorld(t)
	w.group("fleet", w.intermediate)
	_, err := w.register("dev-a", issue(t, w.intermediate, pki.IssueRequest{CommonName: "DEV-A"}), nil)
	if err != nil {
		t.Error(err)
	}
}

func TestManyDevices(t *testing.T) {
	w := newWorld(t)
	w.group("fleet", w.intermediate)
	ids := []string{"dev-1", "dev-2", "dev-3", "dev-4", "dev-5", "dev-6"}
	hubs := make([]string, len(ids))
	var group sync.WaitGroup
	for i, id := range ids {
		c := w.client(id, issue(t, w.intermediate, pki.IssueRequest{CommonName: id}))
		group.Go(func() {
			got, err := c.Register(t.Context(), nil)
			if err != nil || got.DeviceID != id {
				t.Errorf("%s: %+v, %v", id, got, err)
			}
			hubs[i] = got.AssignedHub
		})
	}
	group.Wait()
	var records []string
	for s, err := range w.service.Registrations(t.Context(), "fleet", nil) {
		if err != nil {
			t.Fatal(err)
		}
		records = append(records, s.RegistrationID)
	}
	slices.Sort(records)
	if !slices.Equal(records, ids) || slices.Contains(hubs, "") {
		t.Errorf("records %v, hubs %v", records, hubs)
	}
}
