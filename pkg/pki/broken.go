package pki

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Fault is one thing that is wrong with a certificate ON PURPOSE.
//
// Broken certificates exist for one reason: to show that YOUR OWN service, gateway or device refuses them. Nothing
// else should ever hold one. [Authority.IssueBroken] makes them, the workspace marks them in its manifest, and
// package doctor finds every one.
type Fault string

// The faults, each alone: apart from it, the certificate is what [Authority.Issue] makes.
const (
	FaultExpired        Fault = "expired"              // ended 24 hours ago
	FaultNotYetValid    Fault = "not-yet-valid"        // begins in 24 hours
	FaultCATrue         Fault = "ca-true"              // basic constraints CA:TRUE and the key usage of a CA
	FaultWrongEKU       Fault = "wrong-eku"            // extended key usage serverAuth instead of clientAuth; of a server the reverse
	FaultNoEKU          Fault = "no-eku"               // no extended key usage, which X.509 and DPS take for any purpose
	FaultWrongIssuer    Fault = "wrong-issuer"         // signed by a throw-away CA that is not in its chain
	FaultWeakKey        Fault = "weak-key"             // RSA with 1024 bits, or EC on P-224 when an EC key is asked for
	FaultBadSignature   Fault = "bad-signature"        // one bit of the signature is flipped
	FaultReordered      Fault = "reordered-chain"      // the certificate first, then its issuers from the root down
	FaultNoIntermediate Fault = "missing-intermediate" // the nearest issuer is left out of the chain
)

// brokenBy is how far an expired or future certificate is off, far beyond any tolerance for clocks.
const brokenBy = 24 * time.Hour

// wrongIssuerCN is the name of the CA behind [FaultWrongIssuer].
const wrongIssuerCN = "Azure IoT Hub Wrong Issuer Test Only"

// AllFaults returns every fault.
func AllFaults() []Fault {
	return []Fault{
		FaultExpired, FaultNotYetValid, FaultCATrue, FaultWrongEKU, FaultNoEKU, FaultWrongIssuer, FaultWeakKey,
		FaultBadSignature, FaultReordered, FaultNoIntermediate,
	}
}

// ParseFault returns the fault with the given name. The error lists the known names.
func ParseFault(s string) (Fault, error) {
	names := make([]string, 0, len(AllFaults()))
	for _, f := range AllFaults() {
		if s == string(f) {
			return f, nil
		}
		names = append(names, string(f))
	}
	return "", fmt.Errorf("parse fault %q: known faults are %s", clip(s), strings.Join(names, ", "))
}

// InChain reports whether the fault is in the issuers beside the certificate, so that a self-signed certificate
// cannot have it.
func (f Fault) InChain() bool {
	return f == FaultWrongIssuer || f == FaultReordered || f == FaultNoIntermediate
}

// setsDates reports whether the fault decides when the certificate begins and ends.
func (f Fault) setsDates() bool { return f == FaultExpired || f == FaultNotYetValid }

// IssueBroken makes a certificate below a that is wrong in exactly one way, FOR TESTS OF YOUR OWN SERVICES ONLY. The
// issuers of the bundle are what its holder presents, with the fault in them when it is one of the chain.
//
// It refuses a CA profile, a validity with fixed dates when the fault decides them (Days is the lifetime), a key
// given for [FaultWeakKey], and [FaultReordered] and [FaultNoIntermediate] when a is a root, because there is nothing
// to reorder or leave out then. Else it refuses what [Authority.Issue] refuses.
func (a *Authority) IssueBroken(req IssueRequest, fault Fault) (*Bundle, error) {
	return issueBroken(a, req, fault)
}

// SelfSignedBroken is [Authority.IssueBroken] for a certificate that is signed by its own key. Faults of the chain
// are refused.
func SelfSignedBroken(req IssueRequest, fault Fault) (*Bundle, error) {
	return issueBroken(nil, req, fault)
}

func issueBroken(a *Authority, req IssueRequest, fault Fault) (*Bundle, error) {
	if req.Profile == "" {
		req.Profile = ProfileDevice
	}
	b, err := breakOne(a, req, fault)
	if err != nil {
		return nil, fmt.Errorf("issue broken %s certificate %q: %w", req.Profile, clip(req.CommonName), err)
	}
	return b, nil
}

// checkFault refuses what cannot be broken in the way asked for.
func checkFault(a *Authority, req IssueRequest, fault Fault) error {
	if _, err := ParseProfile(string(req.Profile)); err != nil {
		return err
	}
	if _, err := ParseFault(string(fault)); err != nil {
		return err
	}
	given := req.Key != nil || req.PublicKey != nil
	switch {
	case req.Profile.IsCA():
		return fmt.Errorf("a certificate of profile %q cannot be broken on purpose, only one that signs nothing", req.Profile)
	case fault.setsDates() && (!req.Validity.NotBefore.IsZero() || !req.Validity.NotAfter.IsZero()):
		return fmt.Errorf("the fault %q decides when the certificate begins and ends: give its lifetime in days", fault)
	case fault == FaultWeakKey && given:
		return fmt.Errorf("the fault %q makes its own key", fault)
	case a == nil && fault.InChain():
		return fmt.Errorf("the fault %q is in the chain, and a self-signed certificate has none", fault)
	case a == nil && req.Key == nil && req.PublicKey != nil:
		return fmt.Errorf("a public key alone cannot sign")
	case a != nil && len(a.chain) < 2 && (fault == FaultReordered || fault == FaultNoIntermediate):
		return fmt.Errorf("the fault %q needs an intermediate CA: the signing CA %q is a root", fault,
			subjectName(a.chain[0]))
	}
	return nil
}

func breakOne(a *Authority, req IssueRequest, fault Fault) (*Bundle, error) {
	if err := checkFault(a, req, fault); err != nil {
		return nil, err
	}
	now := clock(req.Now)
	var issuers []*x509.Certificate
	if a != nil {
		if err := a.ready(now, false); err != nil {
			return nil, err
		}
		issuers = a.Chain()
	}
	tmpl, err := req.template(now, issuers)
	if err != nil {
		return nil, err
	}
	key, pub, err := fault.keys(req)
	if err != nil {
		return nil, err
	}
	if err := fillKey(tmpl, req.Profile, pub); err != nil {
		return nil, err
	}
	fault.alter(tmpl, req.Validity, now, issuers)
	cert, err := fault.sign(a, tmpl, pub, key, now)
	if err != nil {
		return nil, err
	}
	return &Bundle{Profile: req.Profile, Certificate: cert, Key: key, Issuers: fault.present(issuers)}, nil
}

// keys returns the key pair of the certificate; the private one is nil when only a public one was given.
func (f Fault) keys(req IssueRequest) (crypto.Signer, crypto.PublicKey, error) {
	if f != FaultWeakKey {
		return req.keys()
	}
	var key crypto.Signer
	var err error
	switch {
	case strings.HasPrefix(string(req.KeyType), "ec-"):
		key, err = ecdsa.GenerateKey(elliptic.P224(), rand.Reader)
	default:
		key, err = rsa.GenerateKey(rand.Reader, 1024) //nolint:gosec // weak on purpose
	}
	if err != nil {
		return nil, nil, fmt.Errorf("generate weak key: %v", err)
	}
	return key, key.Public(), nil
}

// alter puts the faults of the contents into the template.
func (f Fault) alter(tmpl *x509.Certificate, v Validity, now time.Time, issuers []*x509.Certificate) {
	days := v.Days
	if days == 0 {
		days = DefaultDays
	}
	now = now.UTC().Truncate(time.Second)
	switch f {
	case FaultExpired:
		tmpl.NotAfter = now.Add(-brokenBy)
		tmpl.NotBefore = tmpl.NotAfter.AddDate(0, 0, -days)
	case FaultNotYetValid:
		tmpl.NotBefore = now.Add(brokenBy)
		tmpl.NotAfter = tmpl.NotBefore.AddDate(0, 0, days)
		if len(issuers) > 0 && issuers[0].NotAfter.After(tmpl.NotBefore) && issuers[0].NotAfter.Before(tmpl.NotAfter) {
			tmpl.NotAfter = issuers[0].NotAfter
		}
	case FaultCATrue:
		tmpl.IsCA, tmpl.MaxPathLen = true, -1
		tmpl.KeyUsage |= x509.KeyUsageCertSign | x509.KeyUsageCRLSign
	case FaultWrongEKU:
		wrong := x509.ExtKeyUsageServerAuth
		if !hasUsage(tmpl, x509.ExtKeyUsageClientAuth) {
			wrong = x509.ExtKeyUsageClientAuth
		}
		tmpl.ExtKeyUsage = []x509.ExtKeyUsage{wrong}
	case FaultNoEKU:
		tmpl.ExtKeyUsage = nil
	}
}

// sign signs the template, by another CA or badly when that is the fault.
func (f Fault) sign(a *Authority, tmpl *x509.Certificate, pub crypto.PublicKey, key crypto.Signer, now time.Time) (
	*x509.Certificate, error,
) {
	if f == FaultWrongIssuer {
		stranger, err := NewRoot(&CAOptions{CommonName: wrongIssuerCN, Now: func() time.Time { return now }})
		if err != nil {
			return nil, err
		}
		a = stranger
	}
	cert, err := signCertificate(a, tmpl, pub, key)
	if err != nil || f != FaultBadSignature {
		return cert, err
	}
	der := slices.Clone(cert.Raw)
	der[len(der)-1] ^= 1 // the signature stands last
	if cert, err = x509.ParseCertificate(der); err != nil {
		return nil, fmt.Errorf("read back certificate: %v", err)
	}
	return cert, nil
}

// present returns the issuers that the holder of the certificate shows.
func (f Fault) present(issuers []*x509.Certificate) []*x509.Certificate {
	switch f {
	case FaultReordered:
		slices.Reverse(issuers)
	case FaultNoIntermediate:
		return issuers[1:]
	}
	return issuers
}
