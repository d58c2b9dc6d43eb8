package attest

import (
	"crypto/x509"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/dpskit/dpskit/pkg/dps/emulator/internal/refuse"
	"github.com/dpskit/dpskit/pkg/dps/emulator/internal/state"
	"github.com/dpskit/dpskit/pkg/dps/emulator/internal/wire"
)

// Leaf judges a device whose individual enrollment has the certificates in
// enrolled. The device's certificate must be one of them, valid now, and carry
// the registration ID as its common name. Whoever issued it does not matter.
func Leaf(sent []*x509.Certificate, registrationID string, enrolled []*x509.Certificate, now time.Time) *refuse.Refusal {
	if len(sent) == 0 {
		return missing()
	}
	leaf := sent[0]
	if !contains(enrolled, leaf) {
		var prints []string
		for _, c := range enrolled {
			prints = append(prints, wire.SHA1(c))
		}
		return invalid(RuleNotEnrolled,
			fmt.Sprintf("a certificate of enrollment %q: %s", registrationID, strings.Join(prints, " or ")),
			"update the enrollment with this certificate, or present the enrolled one").About(leaf, 0)
	}
	if problem, expected := checkKey(leaf); problem != "" {
		return invalid(RuleKey, expected, "use another key: "+problem).About(leaf, 0)
	}
	if rule, expected := checkDates(leaf, now); rule != "" {
		return invalid(rule, expected, "issue the certificate again and update the enrollment").About(leaf, 0)
	}
	if r := checkExtKeyUsage(leaf, x509.ExtKeyUsageClientAuth); r != nil {
		return r
	}
	return checkCommonName(leaf, registrationID)
}

// checkCommonName compares the leaf's common name with the registration ID,
// without case. Two common names, or none, prove nothing.
func checkCommonName(leaf *x509.Certificate, registrationID string) *refuse.Refusal {
	names := wire.CommonNames(leaf)
	if len(names) == 1 && names[0] != "" && state.Fold(names[0]) == state.Fold(registrationID) {
		return nil
	}
	return invalid(RuleCommonName,
		fmt.Sprintf("exactly one common name, equal to the registration id %q; got %q", registrationID, names),
		"register with the common name, or issue a certificate with CN = registration id").About(leaf, 0)
}

// checkDeviceLeaf refuses a CA, and a certificate for other purposes, as the
// certificate of a device in a group.
func checkDeviceLeaf(leaf *x509.Certificate, usage x509.ExtKeyUsage) *refuse.Refusal {
	if leaf.BasicConstraintsValid && leaf.IsCA {
		return invalid(RuleLeafIsCA, "a device certificate, basicConstraints CA:FALSE",
			"issue a device certificate with this CA and present that").About(leaf, 0)
	}
	return checkExtKeyUsage(leaf, usage)
}

// checkExtKeyUsage takes a leaf without the extension, or with usage or
// anyExtendedKeyUsage in it.
func checkExtKeyUsage(leaf *x509.Certificate, usage x509.ExtKeyUsage) *refuse.Refusal {
	if allows(leaf, usage) {
		return nil
	}
	return invalid(RuleExtKeyUsage, "extended key usage clientAuth, or no such extension",
		"issue the certificate with clientAuth").About(leaf, 0)
}

func allows(c *x509.Certificate, usage x509.ExtKeyUsage) bool {
	return len(c.ExtKeyUsage) == 0 && len(c.UnknownExtKeyUsage) == 0 ||
		slices.Contains(c.ExtKeyUsage, usage) || slices.Contains(c.ExtKeyUsage, x509.ExtKeyUsageAny)
}
