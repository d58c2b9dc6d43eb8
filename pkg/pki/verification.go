package pki

import (
	"crypto"
	"crypto/x509"
	"errors"
	"fmt"
	"time"
)

// SignVerification makes the certificate that proves possession of the key of a CA to DPS or IoT Hub, with the
// verification code as its common name.
//
// It takes every CA that [LoadAuthority] takes, and one kind more, because the service takes proofs of it: a
// self-signed certificate that does not say what it is for, such as a root of X.509 version 1. The package signs
// nothing else with one. Dates are checked ([ErrExpired], [ErrNotYetValid]); nil for now means [time.Now].
func SignVerification(ca *x509.Certificate, key crypto.Signer, code string, now func() time.Time) (*Bundle, error) {
	a, err := LoadAuthority([]*x509.Certificate{ca}, key)
	if errors.Is(err, ErrNotCA) && saysNothing(ca) {
		a, err = &Authority{chain: []*x509.Certificate{ca}, key: key}, nil
		if !KeyMatches(ca, key) {
			err = ErrKeyMismatch
		}
	}
	if err != nil {
		return nil, fmt.Errorf("sign verification certificate: %w", err)
	}
	return a.Issue(IssueRequest{Profile: ProfileVerification, CommonName: code, Now: now})
}

// saysNothing reports whether a certificate is signed by its own key and has no extension about its purpose.
func saysNothing(cert *x509.Certificate) bool {
	return cert != nil && isSelfSigned(cert) && !cert.BasicConstraintsValid && cert.KeyUsage == 0 &&
		len(cert.ExtKeyUsage)+len(cert.UnknownExtKeyUsage) == 0
}
