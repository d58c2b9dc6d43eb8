package enrollment

import (
	"fmt"
	"strings"
	"time"

	"github.com/dpskit/dpskit/pkg/dps/service"
	"github.com/dpskit/dpskit/pkg/pki"
)

// showAttestation renders one member of an attestation for a person.
func showAttestation(name string, a service.Attestation) string {
	x509 := service.X509Attestation{}
	if a.X509 != nil {
		x509 = *a.X509
	}
	switch {
	case name == "attestation.type":
		return string(a.Type)
	case strings.HasSuffix(name, "Key"):
		return "(hidden)"
	case name == "attestation.tpm":
		return showTPM(a.TPM)
	case name == "attestation.x509.caReferences":
		return showReferences(x509.CAReferences)
	case strings.HasPrefix(name, "attestation.x509.clientCertificates"):
		return showSlot(name, x509.ClientCertificates)
	case strings.HasPrefix(name, "attestation.x509.signingCertificates"):
		return showSlot(name, x509.SigningCertificates)
	}
	return ""
}

func showTPM(a *service.TPMAttestation) string {
	if a == nil || a.EndorsementKey == "" {
		return ""
	}
	if len(a.EndorsementKey) <= 16 {
		return "endorsement key " + a.EndorsementKey
	}
	return fmt.Sprintf("endorsement key %.12s…", a.EndorsementKey)
}

func showReferences(r *service.X509CAReferences) string {
	switch {
	case r == nil:
		return ""
	case r.Secondary == "":
		return r.Primary
	}
	return strings.TrimSpace(r.Primary + " and " + r.Secondary)
}

func showSlot(name string, pair *service.X509Certificates) string {
	if pair == nil {
		return ""
	}
	slot := pair.Primary
	if strings.HasSuffix(name, ".secondary") {
		slot = pair.Secondary
	}
	switch {
	case slot == nil:
		return ""
	case slot.Certificate != "":
		certs, err := pki.ParseCertificates([]byte(slot.Certificate))
		if err != nil {
			return "an unreadable certificate"
		}
		return showCertificate(certs[0].Subject.CommonName, pki.SHA256Thumbprint(certs[0]), certs[0].NotAfter)
	case slot.Info != nil:
		return showCertificate(commonName(slot.Info.SubjectName), slot.Info.SHA256Thumbprint, slot.Info.NotAfterUTC)
	}
	return ""
}

// showCertificate names a certificate by what tells two of the same subject
// apart.
func showCertificate(name, sha256 string, expiry time.Time) string {
	return fmt.Sprintf("%q (SHA-256 %.16s…, expires %s)", name, sha256, expiry.UTC().Format(time.DateOnly))
}

// commonName takes the CN out of a subject as the service writes it.
func commonName(subject string) string {
	for part := range strings.SplitSeq(subject, ",") {
		if cn, ok := strings.CutPrefix(strings.TrimSpace(part), "CN="); ok {
			return cn
		}
	}
	return subject
}
