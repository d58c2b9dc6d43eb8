package attest

import (
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/dpskit/dpskit/pkg/dps/emulator/internal/refuse"
)

// checkNames lets crypto/x509 judge name constraints and the demand for a
// certificate policy, if there are any on the path.
func checkNames(path []*x509.Certificate, now time.Time, w *work) *refuse.Refusal {
	if !slices.ContainsFunc(path, demanding) {
		return nil
	}
	if !w.compare(comparisons(path)) || !w.signatures(len(path)-1) {
		return invalid(RuleTooComplex, "fewer names and fewer name constraints",
			"issue the device certificate with the names it needs, or by a CA with simpler constraints").About(path[0], 0)
	}
	opts := x509.VerifyOptions{
		Roots: x509.NewCertPool(), Intermediates: x509.NewCertPool(),
		CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny},
	}
	opts.Roots.AddCert(path[len(path)-1])
	for _, c := range path[1 : len(path)-1] {
		opts.Intermediates.AddCert(c)
	}
	_, err := path[0].Verify(opts)
	if err == nil {
		return nil
	}
	var reason x509.CertificateInvalidError
	if errors.As(err, &reason) && reason.Reason == x509.NoValidChains {
		return invalid(RulePolicy, fmt.Sprintf("a certificate policy that the CAs above permit (%v)", err),
			"issue the device certificate with a policy of its CA, or the CA without requireExplicitPolicy").About(path[0], 0)
	}
	return invalid(RuleNameConstraints, fmt.Sprintf("names allowed by the CAs above (%v)", err),
		"issue the device certificate with names that its CAs permit").About(path[0], 0)
}

// demanding reports whether c asks something of the certificates below it.
func demanding(c *x509.Certificate) bool {
	return constraints(c) > 0 || c.RequireExplicitPolicy > 0 || c.RequireExplicitPolicyZero
}

func constraints(c *x509.Certificate) int {
	return len(c.PermittedDNSDomains) + len(c.ExcludedDNSDomains) + len(c.PermittedIPRanges) + len(c.ExcludedIPRanges) +
		len(c.PermittedEmailAddresses) + len(c.ExcludedEmailAddresses) +
		len(c.PermittedURIDomains) + len(c.ExcludedURIDomains)
}

// comparisons is how many pairs of name and constraint a path has.
func comparisons(path []*x509.Certificate) int {
	n, names := 0, 0
	for i, c := range path {
		if i > 0 {
			n += names * constraints(c)
		}
		names += len(c.DNSNames) + len(c.IPAddresses) + len(c.EmailAddresses) + len(c.URIs)
	}
	return n
}
