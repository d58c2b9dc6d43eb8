package attest

import (
	"crypto/x509"
	"fmt"
	"time"

	"github.com/dpskit/dpskit/pkg/dps/emulator/internal/refuse"
)

// checkCertificate applies the rules that hold for a certificate at any
// position i of a path.
func checkCertificate(cert *x509.Certificate, i int, now time.Time) *refuse.Refusal {
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
	return nil
}

// checkIssuer applies the rules for the last certificate of the path, a CA. The
// CA flag may be missing, but not be false, on the anchor that ends the path:
// the service takes such CAs in uploads and groups.
func (s *search) checkIssuer(anchor bool) *refuse.Refusal {
	i := len(s.path) - 1
	ca := s.path[i].cert
	if r := checkCertificate(ca, i, s.now); r != nil {
		return r
	}
	switch {
	case ca.BasicConstraintsValid && !ca.IsCA, !ca.BasicConstraintsValid && !anchor:
		return invalid(RuleNotCA, "basicConstraints CA:TRUE",
			"issue the certificate below it with a CA certificate").About(ca, i)
	case ca.KeyUsage != 0 && ca.KeyUsage&x509.KeyUsageCertSign == 0:
		return invalid(RuleKeyUsage, "key usage keyCertSign",
			"issue this CA certificate again with keyCertSign").About(ca, i)
	case !allows(ca, s.usage):
		return invalid(RuleExtKeyUsage, "extended key usage clientAuth, or no such extension: a CA passes on only the purposes that it has",
			"issue this CA certificate again with clientAuth or without the extension").About(ca, i)
	}
	below := 0
	for _, n := range s.path[1:i] {
		if !selfIssued(n.cert) {
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
