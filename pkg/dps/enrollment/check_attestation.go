package enrollment

import (
	"crypto/x509"
	"encoding/base64"

	"github.com/dpskit/dpskit/pkg/dps"
	"github.com/dpskit/dpskit/pkg/dps/service"
	"github.com/dpskit/dpskit/pkg/pki"
)

// Sizes of symmetric keys in bytes
// (https://learn.microsoft.com/azure/iot-dps/concepts-symmetric-key-attestation).
const (
	minKey = 16
	maxKey = 64
)

func (c *checker) attestation() {
	a := c.Attestation
	switch a.Type {
	case service.AttestationX509:
		c.x509(a.X509)
	case service.AttestationSymmetricKey:
		c.symmetricKey(a.SymmetricKey)
	case service.AttestationTPM:
		c.tpm(a.TPM)
	case "":
		c.add("attestation", "give a certificate, keys or an endorsement key", "it is missing")
	default:
		c.add("attestation.type", "", "%.40q: want x509, symmetricKey or tpm", a.Type)
	}
}

func (c *checker) tpm(a *service.TPMAttestation) {
	switch {
	case !c.Individual:
		c.add("attestation.type", "make an individual enrollment for each device", "a group cannot attest by TPM: an endorsement key belongs to one device")
	case a == nil || a.EndorsementKey == "":
		c.add("attestation.tpm.endorsementKey", "", "it is missing")
	default:
		c.base64("attestation.tpm.endorsementKey", a.EndorsementKey)
		c.base64("attestation.tpm.storageRootKey", a.StorageRootKey)
	}
}

func (c *checker) base64(member, text string) {
	if _, err := base64.StdEncoding.DecodeString(text); err != nil {
		c.add(member, "", "not base64")
	}
}

func (c *checker) symmetricKey(a *service.SymmetricKeyAttestation) {
	if a == nil {
		return
	}
	c.key("attestation.symmetricKey.primaryKey", a.PrimaryKey)
	c.key("attestation.symmetricKey.secondaryKey", a.SecondaryKey)
}

func (c *checker) key(member string, key dps.Secret) {
	if key == "" {
		return
	}
	raw, err := base64.StdEncoding.DecodeString(key.Reveal())
	switch {
	case key.Reveal() == dps.Secret("").String():
		c.add(member, "the key was hidden when this was printed; read it with the keys command", "it is the word that hides a key")
	case err != nil:
		c.add(member, "", "not base64")
	case len(raw) < minKey || len(raw) > maxKey:
		c.add(member, "", "a key has %d to %d bytes, this one %d", minKey, maxKey, len(raw))
	}
}

func (c *checker) x509(a *service.X509Attestation) {
	if a == nil {
		a = &service.X509Attestation{}
	}
	given := 0
	for _, present := range []bool{a.ClientCertificates != nil, a.SigningCertificates != nil, a.CAReferences != nil} {
		if present {
			given++
		}
	}
	const member = "attestation.x509"
	switch {
	case given != 1:
		c.add(member, "", "it needs exactly one of clientCertificates, signingCertificates and caReferences, and has %d", given)
	case a.CAReferences != nil:
		if a.CAReferences.Primary == "" && a.CAReferences.Secondary == "" {
			c.add(member+".caReferences", "", "it names no CA")
		}
	case a.ClientCertificates != nil && !c.Individual:
		c.add(member+".clientCertificates", "give the CA that signs the devices as signingCertificates", "a group admits devices by the CA that signed them, not by their own certificates")
	case a.SigningCertificates != nil && c.Individual:
		c.add(member+".signingCertificates", "give the device's own certificate as clientCertificates, or make a group", "an individual enrollment holds the certificate of its device, not of a CA")
	case a.ClientCertificates != nil:
		c.certificates(member+".clientCertificates", a.ClientCertificates)
	default:
		c.certificates(member+".signingCertificates", a.SigningCertificates)
	}
}

func (c *checker) certificates(member string, pair *service.X509Certificates) {
	if empty(pair.Primary) && empty(pair.Secondary) {
		c.add(member, "", "it holds no certificate")
		return
	}
	c.certificate(member+".primary", pair.Primary)
	c.certificate(member+".secondary", pair.Secondary)
}

// empty reports a slot without a certificate and without the description of a
// stored one.
func empty(slot *service.X509CertificateWithInfo) bool {
	return slot == nil || slot.Certificate == "" && slot.Info == nil
}

func (c *checker) certificate(member string, slot *service.X509CertificateWithInfo) {
	if slot == nil || slot.Certificate == "" {
		return
	}
	certs, err := pki.ParseCertificates([]byte(slot.Certificate))
	if err != nil {
		c.add(member, "", "%v", err)
		return
	}
	if len(certs) > 1 {
		c.add(member, "", "it holds %d certificates: give one", len(certs))
		return
	}
	c.role(member, certs[0])
}

// role refuses a CA where a device belongs, and the other way round. A
// certificate without basicConstraints passes as either: the service takes it.
func (c *checker) role(member string, cert *x509.Certificate) {
	switch {
	case c.Individual && cert.BasicConstraintsValid && cert.IsCA:
		c.add(member, "give the device's own certificate; for all devices of a CA make a group",
			"it is a CA certificate (subject %q): an individual enrollment holds the certificate of its device", cert.Subject)
	case !c.Individual && cert.BasicConstraintsValid && !cert.IsCA:
		c.add(member, "give the intermediate or root that signed the devices; for one device make an individual enrollment",
			"it is not a CA certificate: basicConstraints say CA:FALSE (subject %q)", cert.Subject)
	}
}
