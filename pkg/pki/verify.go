package pki

import (
	"bytes"
	"crypto/x509"
	"fmt"
	"slices"
	"time"
)

// Verify checks the chain from leaf to a self-signed root among issuers, at the given time, and explains the first
// failure that it meets on the way up: dates ([ErrExpired], [ErrNotYetValid]), a missing issuer
// ([ErrIncompleteChain]), an issuer that may not sign ([ErrNotCA]), a wrong signature ([ErrBadSignature]). What is
// left (name constraints, unknown critical extensions) is checked by [x509.Certificate.Verify].
//
// The order of issuers does not matter and unrelated certificates are passed over. The root is trusted because the
// caller gave it. A self-signed leaf needs no issuers. Purposes (extended key usage) are not checked.
func Verify(leaf *x509.Certificate, issuers []*x509.Certificate, now time.Time) error {
	if leaf == nil {
		return fmt.Errorf("verify chain: no certificate given")
	}
	if len(issuers) > maxCertificates {
		return fmt.Errorf("verify chain of %q: %d issuers are more than the limit of %d", subjectName(leaf),
			len(issuers), maxCertificates)
	}
	chain, rest := orderChain(leaf, issuers)
	for i, cert := range chain {
		if err := verifyLink(chain, i, rest, now); err != nil {
			return fmt.Errorf("verify chain of %q: %w", subjectName(leaf), err)
		}
		if err := checkPublicKey(cert.PublicKey); err != nil {
			return fmt.Errorf("verify chain of %q: certificate %q: %w", subjectName(leaf), subjectName(cert), err)
		}
	}
	if err := checkPathLen(chain[1:], -1); err != nil {
		return fmt.Errorf("verify chain of %q: %w", subjectName(leaf), err)
	}
	return verifyX509(chain, now)
}

// verifyLink checks chain[i] and its signature by chain[i+1], or that it is a root when it is the last one.
func verifyLink(chain []*x509.Certificate, i int, rest []*x509.Certificate, now time.Time) error {
	cert := chain[i]
	if err := checkDates(cert, now); err != nil {
		return err
	}
	if i > 0 {
		if err := checkCA(cert); err != nil {
			return fmt.Errorf("%w, but it issued %q", err, subjectName(chain[i-1]))
		}
	}
	switch {
	case i+1 < len(chain):
		return checkSignature(cert, chain[i+1])
	case sameName(cert.RawIssuer, cert.RawSubject):
		if err := checkPublicKey(cert.PublicKey); err != nil {
			return fmt.Errorf("certificate %q: %w", subjectName(cert), err)
		}
		return checkSignature(cert, cert)
	}
	// The chain ends early. An issuer of the right name that did not sign it is the more useful thing to report.
	for _, other := range rest {
		if sameName(cert.RawIssuer, other.RawSubject) {
			if err := checkPublicKey(other.PublicKey); err != nil {
				return fmt.Errorf("certificate %q: %w", subjectName(other), err)
			}
			return checkSignature(cert, other)
		}
	}
	return fmt.Errorf("%w: certificate %q was issued by %q, which is not among the %d certificates given",
		ErrIncompleteChain, subjectName(cert), cert.Issuer.String(), len(chain)+len(rest))
}

// checkSignature checks that issuer signed cert.
func checkSignature(cert, issuer *x509.Certificate) error {
	if err := issuer.CheckSignature(cert.SignatureAlgorithm, cert.RawTBSCertificate, cert.Signature); err != nil {
		return fmt.Errorf("certificate %q: %w %q: %v", subjectName(cert), ErrBadSignature, subjectName(issuer), err)
	}
	return nil
}

func verifyX509(chain []*x509.Certificate, now time.Time) error {
	roots, intermediates := x509.NewCertPool(), x509.NewCertPool()
	roots.AddCert(chain[len(chain)-1])
	for _, cert := range chain[1:] {
		intermediates.AddCert(cert)
	}
	_, err := chain[0].Verify(x509.VerifyOptions{
		Roots: roots, Intermediates: intermediates, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny},
	})
	if err != nil {
		return fmt.Errorf("verify chain of %q: %v", subjectName(chain[0]), err)
	}
	return nil
}

// orderChain walks from leaf to its root through pool and returns the way and the certificates off it. An issuer is
// the certificate of the right name whose key signed; every certificate is used once, so a cycle ends.
func orderChain(leaf *x509.Certificate, pool []*x509.Certificate) (chain, rest []*x509.Certificate) {
	chain = []*x509.Certificate{leaf}
	for _, cert := range pool {
		if cert != nil && !cert.Equal(leaf) && !slices.ContainsFunc(rest, cert.Equal) {
			rest = append(rest, cert)
		}
	}
	for cert := leaf; !isSelfSigned(cert); {
		i := slices.IndexFunc(rest, func(c *x509.Certificate) bool { return signedBy(cert, c) })
		if i < 0 {
			break
		}
		cert = rest[i]
		chain = append(chain, cert)
		rest = slices.Delete(rest, i, i+1)
	}
	return chain, rest
}

// signedBy reports whether issuer has the right name and signed cert. Keys of absurd sizes are not even tried.
func signedBy(cert, issuer *x509.Certificate) bool {
	return sameName(cert.RawIssuer, issuer.RawSubject) && checkPublicKey(issuer.PublicKey) == nil &&
		checkSignature(cert, issuer) == nil
}

func sameName(a, b []byte) bool { return bytes.Equal(a, b) }

// isSelfSigned reports whether cert is signed by its own key, as a root is.
func isSelfSigned(cert *x509.Certificate) bool {
	return signedBy(cert, cert)
}

// subjectName is how errors call a certificate: its common name, or the whole subject when it has none.
func subjectName(cert *x509.Certificate) string {
	switch {
	case cert == nil:
		return ""
	case cert.Subject.CommonName != "":
		return clip(cert.Subject.CommonName)
	default:
		return clip(cert.Subject.String())
	}
}
