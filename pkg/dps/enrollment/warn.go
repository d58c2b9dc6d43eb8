package enrollment

import (
	"time"

	"github.com/dpskit/dpskit/pkg/dps/service"
	"github.com/dpskit/dpskit/pkg/pki"
)

// Warnings returns what the service accepts and what will disappoint later: a
// certificate that is expired or named unlike the registration id, an initial
// twin that the IoT hub will refuse. now is the time to measure dates against.
func Warnings[T Object](object T, now time.Time) []Problem {
	c := checker{Fields: Of(&object)}
	if a := c.Attestation.X509; a != nil {
		c.warnPair("attestation.x509.clientCertificates", a.ClientCertificates, now)
		c.warnPair("attestation.x509.signingCertificates", a.SigningCertificates, now)
	}
	c.warnTwin()
	return c.problems
}

func (c *checker) warnPair(member string, pair *service.X509Certificates, now time.Time) {
	if pair == nil {
		return
	}
	primary := c.warnCertificate(member+".primary", pair.Primary, now)
	secondary := c.warnCertificate(member+".secondary", pair.Secondary, now)
	if primary != "" && primary == secondary {
		c.add(member+".secondary", "a secondary is for a rollover: give the new certificate there", "it is the primary certificate once more")
	}
}

// warnCertificate returns the thumbprint; "" if there is no certificate.
func (c *checker) warnCertificate(member string, slot *service.X509CertificateWithInfo, now time.Time) string {
	switch {
	case slot == nil:
		return ""
	case slot.Certificate == "" && slot.Info != nil:
		return slot.Info.SHA256Thumbprint // stored already, and warned of then
	}
	certs, err := pki.ParseCertificates([]byte(slot.Certificate))
	if err != nil {
		return ""
	}
	cert := certs[0]
	switch {
	case now.After(cert.NotAfter):
		c.add(member, "devices with it are refused; issue a new one", "it expired on %s", cert.NotAfter.UTC().Format(time.DateOnly))
	case now.Before(cert.NotBefore):
		c.add(member, "devices with it are refused until then", "it is not valid before %s", cert.NotBefore.UTC().Format(time.RFC3339))
	}
	if c.Individual && cert.Subject.CommonName != *c.ID {
		c.add(member, "the device is refused unless both are the same", "its common name %q is not the registration id %q", cert.Subject.CommonName, *c.ID)
	}
	return pki.SHA256Thumbprint(cert)
}
