package pki_test

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"slices"
	"strings"
	"testing"

	"github.com/dpskit/dpskit/pkg/pki"
	"github.com/dpskit/dpskit/pkg/pki/pkitest"
)

func TestBundlePEM(t *testing.T) {
	b := pkitest.Device(t, "pem")
	alone, err := pki.ParseCertificates(b.CertificatePEM())
	if err != nil || len(alone) != 1 || !alone[0].Equal(b.Certificate) {
		t.Errorf("CertificatePEM holds %d certificates, %v", len(alone), err)
	}
	full, err := pki.ParseCertificates(b.FullChainPEM())
	if err != nil {
		t.Fatal(err)
	}
	want := append([]*x509.Certificate{b.Certificate}, b.Issuers...)
	if !slices.EqualFunc(full, want, (*x509.Certificate).Equal) {
		t.Errorf("FullChainPEM holds %d certificates in another order", len(full))
	}
	data, err := b.KeyPEM()
	if err != nil {
		t.Fatal(err)
	}
	key, err := pki.ParseKey(data, nil)
	if err != nil || !pki.KeyMatches(b.Certificate, key) {
		t.Errorf("KeyPEM does not give the key back: %v", err)
	}
	empty := &pki.Bundle{}
	if len(empty.CertificatePEM()) != 0 || len(empty.FullChainPEM()) != 0 {
		t.Error("an empty bundle has PEM")
	}
}

func TestTLSCertificate(t *testing.T) {
	deep, err := pkitest.Intermediate(t).NewIntermediate(nil)
	if err != nil {
		t.Fatal(err)
	}
	b := pkitest.Issue(t, deep, pki.IssueRequest{CommonName: "tls"})
	cert, err := b.TLSCertificate()
	if err != nil {
		t.Fatal(err)
	}
	want := [][]byte{b.Certificate.Raw, b.Issuers[0].Raw, b.Issuers[1].Raw}
	if !slices.EqualFunc(cert.Certificate, want, bytes.Equal) {
		t.Errorf("got %d certificates, want the leaf and two intermediates", len(cert.Certificate))
	}

	alone, err := pki.SelfSigned(pki.IssueRequest{CommonName: "alone"})
	if err != nil {
		t.Fatal(err)
	}
	if cert, err := alone.TLSCertificate(); err != nil || len(cert.Certificate) != 1 {
		t.Errorf("self-signed: got %d certificates, %v", len(cert.Certificate), err)
	}

	b.Key = alone.Key
	if _, err := b.TLSCertificate(); !errors.Is(err, pki.ErrKeyMismatch) {
		t.Errorf("foreign key: got %v, want ErrKeyMismatch", err)
	}
	if _, err := (&pki.Bundle{}).TLSCertificate(); err == nil {
		t.Error("an empty bundle became a TLS certificate")
	}
}

// The profiles work together in a real handshake: the server checks a client chain that stops below the root.
func TestHandshake(t *testing.T) {
	server := pkitest.Issue(t, pkitest.Root(t), pki.IssueRequest{Profile: pki.ProfileServer, CommonName: "localhost"})
	roots := x509.NewCertPool()
	roots.AddCert(pkitest.Root(t).Certificate())
	tests := []struct {
		name   string
		bundle *pki.Bundle
		want   string // text of the server's error
	}{
		{"device", pkitest.Device(t, "handshake"), ""},
		{"chain not presented", &pki.Bundle{
			Certificate: pkitest.Device(t, "x").Certificate, Key: pkitest.Intermediate(t).Key(),
		}, "does not belong"},
		{"server certificate as client", pkitest.Issue(t, pkitest.Root(t), pki.IssueRequest{
			Profile: pki.ProfileServer, CommonName: "s",
		}), "incompatible key usage"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := handshake(server, tt.bundle, roots)
			if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
}

// handshake returns what the server says.
func handshake(server, client *pki.Bundle, roots *x509.CertPool) error {
	serverCert, err := server.TLSCertificate()
	if err != nil {
		return err
	}
	clientCert, err := client.TLSCertificate()
	if err != nil {
		return err
	}
	a, b := net.Pipe()
	defer a.Close()
	defer b.Close()
	done := make(chan struct{})
	go func() {
		defer close(done)
		conn := tls.Client(b, &tls.Config{
			RootCAs: roots, ServerName: "localhost", Certificates: []tls.Certificate{clientCert},
		})
		_ = conn.Handshake()
		_, _ = conn.Read(make([]byte, 1))
	}()
	err = tls.Server(a, &tls.Config{
		Certificates: []tls.Certificate{serverCert}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: roots,
	}).Handshake()
	a.Close()
	<-done
	return err
}

func TestThumbprints(t *testing.T) {
	cert := fixtureCert(t)
	// Both by openssl x509 -fingerprint.
	const (
		sha1   = "D627FA0327FD60599A94E8A9B3ED15A35EDA849E"
		sha256 = "5677DB1EFF9317C4673F7EBB6030DB5399783C4408DAA3B8F40CED4F20EE9C23"
	)
	if got := pki.SHA1Thumbprint(cert); got != sha1 {
		t.Errorf("SHA-1: got %s, want %s", got, sha1)
	}
	if got := pki.SHA256Thumbprint(cert); got != sha256 {
		t.Errorf("SHA-256: got %s, want %s", got, sha256)
	}
	if pki.SHA1Thumbprint(nil) != "" || pki.SHA256Thumbprint(nil) != "" {
		t.Error("no certificate has a thumbprint")
	}
}
