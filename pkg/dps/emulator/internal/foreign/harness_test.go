package foreign_test

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/dpskit/dpskit/pkg/dps/emulator"
	"github.com/dpskit/dpskit/pkg/pki"
)

func newCA(t testing.TB) (root, intermediate *pki.Authority) {
	t.Helper()
	root, err := pki.NewRoot(nil)
	if err != nil {
		t.Fatal(err)
	}
	intermediate, err = root.NewIntermediate(nil)
	if err != nil {
		t.Fatal(err)
	}
	return root, intermediate
}

func selfSigned(t testing.TB, id string) *x509.Certificate {
	t.Helper()
	b, err := pki.SelfSigned(pki.IssueRequest{CommonName: id})
	if err != nil {
		t.Fatal(err)
	}
	return b.Certificate
}

// register registers a device of ca by plain net/http and waits for its hub.
func register(t testing.TB, e *emulator.Emulator, ca *pki.Authority, id string) {
	t.Helper()
	b, err := ca.Issue(pki.IssueRequest{CommonName: id})
	if err != nil {
		t.Fatal(err)
	}
	cert, err := b.TLSCertificate()
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: e.CAPool(), Certificates: []tls.Certificate{cert}}}}
	defer client.CloseIdleConnections()
	base := e.Info().HTTPS[0] + "/" + e.Info().IDScope + "/registrations/" + id
	var op struct{ OperationID, Status string }
	send := func(method, path, body string) {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), method, base+path+"?api-version=2021-06-01", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		resp, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		if err := json.NewDecoder(resp.Body).Decode(&op); err != nil || resp.StatusCode >= 300 {
			t.Fatalf("%s %s: %s, %v", method, path, resp.Status, err)
		}
	}
	send(http.MethodPut, "/register", "{}")
	send(http.MethodGet, "/operations/"+op.OperationID, "")
	if op.Status != "assigned" {
		t.Fatalf("%s is %s", id, op.Status)
	}
}
