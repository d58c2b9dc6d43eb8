package attest

import (
	"crypto/x509"
	"fmt"
	"slices"
	"time"

	"github.com/dpskit/dpskit/pkg/dps/emulator/internal/refuse"
)

// checkLevel applies the rules for one certificate of an anchored path.
func checkLevel(path []*x509.Certificate, i int, now time.Time) *refuse.Refusal {
	cert := path[i]
	if problem, expected := checkKey(cert); problem != "" {
		return invalid(RuleKey, expected, "use another key: "+problem).About(cert, i)
	}
	if rule, expected := checkDates(cert, now); rule != "" {
		return invalid(rule, expected, "issue the certificate again, or set the clock").About(cert, i)
	}
	if len(cert.UnhandledCriticalExtensions) > 0 {
		return invalid(RuleCritical,
			fmt.Sprintf("no critical extension %s", cert.UnhandledCriticalExtensions[0]),
			"issue the certificate without it").About(cert, i)
	}
	if i == 0 {
		return nil
	}
	return checkIssuer(path, i)
}

// checkIssuer applies the rules for the CA at position i. The CA flag may be
// missing, but not be false, on the certificate that ends the path: the service
// takes such CAs in uploads and groups.
func checkIssuer(path []*x509.Certificate, i int) *refuse.Refusal {
	ca, last := path[i], i == len(path)-1
	switch {
	case ca.BasicConstraintsValid && !ca.IsCA, !ca.BasicConstraintsValid && !last:
		return invalid(RuleNotCA, "basicConstraints CA:TRUE",
			"issue the certificate below it with a CA certificate").About(ca, i)
	case ca.KeyUsage != 0 && ca.KeyUsage&x509.KeyUsageCertSign == 0:
		return invalid(RuleKeyUsage, "key usage keyCertSign",
			"issue this CA certificate again with keyCertSign").About(ca, i)
	}
	below := 0
	for _, c := range path[1:i] {
		if !selfIssued(c) {
			below++
		}
	}
	limited := ca.BasicConstraintsValid && (ca.MaxPathLen > 0 || ca.MaxPathLenZero)
	if limited && below > ca.MaxPathLen {
		return invalid(RulePathLength,
			fmt.Sprintf("at most %d intermediate CAs below it, got %d", ca.MaxPathLen, below),
			"issue this CA certificate again with a longer path length").About(ca, i)
	}
	return nil
}

// checkNames lets crypto/x509 judge name constraints, if there are any.
func checkNames(path []*x509.Certificate, now time.Time) *refuse.Refusal {
	if !slices.ContainsFunc(path[1:], constrained) {
		return nil
	}
	opts := x509.VerifyOptions{
		Roots: x509.NewCertPool(), Intermediates: x509.NewCertPool(),
		CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny},
	}
	opts.Roots.AddCert(path[len(path)-1])
	for _, c := range path[1 : len(path)-1] {
		opts.Intermediates.AddCert(c)
	}
	if _, err := path[0].Verify(opts); err != nil {
		return invalid(RuleNameConstraints, fmt.Sprintf("names allowed by the CAs above (%v)", err),
			"issue the device certificate with names that its CAs permit").About(path[0], 0)
	}
	return nil
}

func constrained(c *x509.Certificate) bool {
	return len(c.PermittedDNSDomains)+len(c.ExcludedDNSDomains)+len(c.PermittedIPRanges)+len(c.ExcludedIPRanges)+
		len(c.PermittedEmailAddresses)+len(c.ExcludedEmailAddresses)+
		len(c.PermittedURIDomains)+len(c.ExcludedURIDomains) > 0
}
