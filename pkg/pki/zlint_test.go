package pki_test

import (
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"maps"
	"math/big"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	zx509 "github.com/zmap/zcrypto/x509"
	"github.com/zmap/zlint/v3"
	"github.com/zmap/zlint/v3/lint"

	"github.com/dpskit/dpskit/pkg/pki"
)

// zlintRegistry holds the lints of the standards and of good practice. Those of browsers and of public CAs are left
// out: they ask for revocation, policies and names that a private PKI does not have.
func zlintRegistry(t *testing.T) lint.Registry {
	t.Helper()
	var sources lint.SourceList
	for _, source := range lint.GlobalRegistry().Sources() {
		if strings.HasPrefix(string(source), "RFC") || source == lint.Community {
			sources = append(sources, source)
		}
	}
	registry, err := lint.GlobalRegistry().Filter(lint.FilterOptions{IncludeSources: sources})
	if err != nil {
		t.Fatal(err)
	}
	if n := len(registry.Names()); n < 100 {
		t.Fatalf("zlint has %d lints, want at least 100", n)
	}
	return registry
}

// findings returns the lints at warn level or above that a certificate breaks, and how many lints looked at it.
func findings(t *testing.T, registry lint.Registry, der []byte) (found []string, ran int) {
	t.Helper()
	cert, err := zx509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	results := zlint.LintCertificateEx(cert, registry).Results
	for _, name := range slices.Sorted(maps.Keys(results)) {
		result := results[name]
		if result.Status >= lint.Pass {
			ran++
		}
		if result.Status >= lint.Warn {
			found = append(found, fmt.Sprintf("%s: %s: %s", result.Status, name, result.Details))
		}
	}
	return found, ran
}

func TestZlintFindsNothing(t *testing.T) {
	registry := zlintRegistry(t)
	keys := map[pki.KeyType]crypto.Signer{}
	for _, keyType := range pki.AllKeyTypes() {
		key, err := pki.GenerateKey(keyType)
		if err != nil {
			t.Fatal(err)
		}
		keys[keyType] = key
	}
	checkClean := func(name string, b *pki.Bundle) {
		t.Run(name, func(t *testing.T) {
			found, ran := findings(t, registry, b.Certificate.Raw)
			for _, f := range found {
				t.Error(f)
			}
			if ran < 20 {
				t.Errorf("%d lints ran, want at least 20", ran)
			}
		})
	}
	for _, keyType := range pki.AllKeyTypes() {
		limit := 1
		root, err := pki.NewRoot(&pki.CAOptions{Key: keys[keyType], MaxPathLen: &limit})
		if err != nil {
			t.Fatal(err)
		}
		checkClean(fmt.Sprintf("root/%s", keyType), root.Bundle())
		issuer, err := root.NewIntermediate(nil)
		if err != nil {
			t.Fatal(err)
		}
		checkClean(fmt.Sprintf("intermediate below %s", keyType), issuer.Bundle())
		below, err := lintRoot(t).NewIntermediate(&pki.CAOptions{Key: keys[keyType]})
		if err != nil {
			t.Fatal(err)
		}
		checkClean(fmt.Sprintf("intermediate/%s", keyType), below.Bundle())
		for _, profile := range pki.AllProfiles() {
			if profile == pki.ProfileRoot || profile == pki.ProfileIntermediate {
				continue
			}
			for _, req := range zlintRequests(profile, keys[keyType]) {
				b, err := lintRoot(t).Issue(req)
				if err != nil {
					t.Fatal(err)
				}
				checkClean(fmt.Sprintf("%s/%s/%s", profile, keyType, req.CommonName), b)
				if profile.IsCA() {
					continue
				}
				if b, err = pki.SelfSigned(req); err != nil {
					t.Fatal(err)
				}
				checkClean(fmt.Sprintf("self-signed %s/%s/%s", profile, keyType, req.CommonName), b)
			}
		}
	}
}

// zlintRequests returns requests of one profile with the names that users give.
func zlintRequests(profile pki.Profile, key crypto.Signer) []pki.IssueRequest {
	req := pki.IssueRequest{Profile: profile, CommonName: "dev-1", Key: key}
	long, wide := req, req
	long.Validity = pki.Validity{NotAfter: time.Date(2055, 1, 2, 3, 4, 5, 0, time.UTC)}
	switch profile {
	case pki.ProfileServer:
		wide.CommonName, long.CommonName = "gateway.example.org", "127.0.0.1"
		wide.DNSNames = []string{"gateway.example.org", "*.example.org"}
		wide.IPAddresses = []net.IP{net.IPv4(10, 0, 0, 1), net.ParseIP("2001:db8::1")}
	case pki.ProfileVerification:
		wide.CommonName = "0123456789ABCDEF0123456789ABCDEF0123456789ABCDEF"
		long.CommonName = "code"
	default:
		wide.CommonName, long.CommonName = "A:b_c.d-"+strings.Repeat("x", 50), "long"
	}
	return []pki.IssueRequest{req, wide, long}
}

var cachedLintRoot *pki.Authority

// lintRoot returns a root that outlives everything below it.
func lintRoot(t *testing.T) *pki.Authority {
	t.Helper()
	if cachedLintRoot == nil {
		root, err := pki.NewRoot(&pki.CAOptions{Validity: pki.Validity{NotAfter: time.Date(2060, 1, 1, 0, 0, 0, 0, time.UTC)}})
		if err != nil {
			t.Fatal(err)
		}
		cachedLintRoot = root
	}
	return cachedLintRoot
}

// A certificate as a plain template makes it, without what a profile adds, must not pass: else the test above could
// not fail.
func TestZlintFindsAPlainTemplate(t *testing.T) {
	key, err := pki.GenerateKey("")
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: strings.Repeat("x", 65)},
		NotBefore: now, NotAfter: now.AddDate(0, 0, 1), DNSNames: []string{"bad_name..example.org"},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, lintRoot(t).Certificate(), key.Public(), lintRoot(t).Key())
	if err != nil {
		t.Fatal(err)
	}
	if found, _ := findings(t, zlintRegistry(t), der); len(found) < 2 {
		t.Errorf("zlint found %q, want at least two findings", found)
	}
}
