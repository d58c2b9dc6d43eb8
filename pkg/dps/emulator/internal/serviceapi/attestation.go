package serviceapi

import (
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"net/http"
	"strings"

	"github.com/dpskit/dpskit/pkg/dps/emulator/internal/certtext"
	"github.com/dpskit/dpskit/pkg/dps/emulator/internal/refuse"
	"github.com/dpskit/dpskit/pkg/dps/emulator/internal/state"
	"github.com/dpskit/dpskit/pkg/dps/emulator/internal/web"
	"github.com/dpskit/dpskit/pkg/dps/emulator/internal/wire"
)

// Sizes of symmetric keys in bytes.
const (
	minKey       = 16
	maxKey       = 64
	generatedKey = 64
)

// attestation checks the attestation mechanism and replaces certificate text
// by what the service reports about it.
func (d *draft) attestation() (state.Certificates, error) {
	in := d.in.Attestation
	if in == nil {
		return state.Certificates{}, web.BadBody("attestation is required.")
	}
	switch {
	case strings.EqualFold(in.Type, wire.TypeX509):
		*in = wire.Attestation{Type: wire.TypeX509, X509: in.X509}
		return d.x509()
	case strings.EqualFold(in.Type, wire.TypeSymmetricKey):
		*in = wire.Attestation{Type: wire.TypeSymmetricKey, SymmetricKey: in.SymmetricKey}
		return state.Certificates{}, d.symmetricKey()
	case strings.EqualFold(in.Type, wire.TypeTPM) && d.individual:
		*in = wire.Attestation{Type: wire.TypeTPM, TPM: in.TPM}
		return state.Certificates{}, d.tpm()
	case strings.EqualFold(in.Type, wire.TypeTPM):
		return state.Certificates{}, web.BadBody("An enrollment group cannot use tpm attestation.")
	default:
		return state.Certificates{}, web.BadBody("Invalid attestation type '%s'.", in.Type)
	}
}

func (d *draft) tpm() error {
	in := d.in.Attestation.TPM
	if in == nil || in.EndorsementKey == "" {
		return web.BadBody("tpm.endorsementKey is required.")
	}
	for _, key := range []string{in.EndorsementKey, in.StorageRootKey} {
		if _, err := base64.StdEncoding.DecodeString(key); err != nil {
			return web.BadBody("A tpm key is not base64.")
		}
	}
	return nil
}

// symmetricKey keeps the stored keys if none are sent and makes missing ones.
func (d *draft) symmetricKey() error {
	if d.in.Attestation.SymmetricKey == nil {
		d.in.Attestation.SymmetricKey = &wire.SymmetricKey{}
	}
	keys := d.in.Attestation.SymmetricKey
	var stored wire.SymmetricKey
	if d.old != nil && d.old.Attestation != nil && d.old.Attestation.SymmetricKey != nil {
		stored = *d.old.Attestation.SymmetricKey
	}
	if err := completeKey(&keys.PrimaryKey, stored.PrimaryKey); err != nil {
		return err
	}
	return completeKey(&keys.SecondaryKey, stored.SecondaryKey)
}

func completeKey(key *string, stored string) error {
	if *key == "" {
		*key = stored
	}
	if *key == "" {
		var random [generatedKey]byte
		_, _ = rand.Read(random[:]) // never fails
		*key = base64.StdEncoding.EncodeToString(random[:])
	}
	raw, err := base64.StdEncoding.DecodeString(*key)
	if err != nil || len(raw) < minKey || len(raw) > maxKey {
		return web.BadBody("A symmetric key must be base64 of %d to %d bytes.", minKey, maxKey)
	}
	return nil
}

// x509 wants exactly one source of trust.
func (d *draft) x509() (state.Certificates, error) {
	in := d.in.Attestation.X509
	if in == nil {
		in = &wire.X509{}
	}
	given := 0
	for _, present := range []bool{in.ClientCertificates != nil, in.SigningCertificates != nil, in.CAReferences != nil} {
		if present {
			given++
		}
	}
	switch {
	case given != 1:
		return state.Certificates{}, web.BadBody(
			"x509 needs exactly one of clientCertificates, signingCertificates and caReferences.")
	case in.CAReferences != nil:
		return state.Certificates{}, d.references(in.CAReferences)
	case in.ClientCertificates != nil && !d.individual:
		return state.Certificates{}, web.BadBody("An enrollment group cannot use clientCertificates.")
	case in.SigningCertificates != nil && d.individual:
		return state.Certificates{}, web.BadBody("An individual enrollment cannot use signingCertificates.")
	case in.ClientCertificates != nil:
		return d.pair(in.ClientCertificates)
	default:
		return d.pair(in.SigningCertificates)
	}
}

// references wants names of verified certificates of this service.
func (d *draft) references(in *wire.CAReferences) error {
	if in.Primary == "" && in.Secondary == "" {
		return web.BadBody("caReferences is empty.")
	}
	for _, name := range []string{in.Primary, in.Secondary} {
		if name == "" {
			continue
		}
		ca, found, err := state.GetCA(d.tx, name)
		switch {
		case err != nil:
			return err
		case !found:
			r := refusal(http.StatusBadRequest, 400000, ruleReference, fmt.Sprintf("CA certificate '%s' not found.", name))
			r.Fix = "upload the CA certificate under this name first"
			return r
		case !ca.Verified:
			r := refusal(http.StatusBadRequest, 400000, ruleReference, fmt.Sprintf("CA certificate '%s' is not verified.", name))
			r.Fix = "prove possession of the CA's key first"
			return r
		}
		if owner, ok := state.GroupByReference(d.tx, name); ok && !d.individual && owner != d.owner {
			return inUse("CA certificate", owner)
		}
	}
	return nil
}

// pair reads the two certificates. One that is sent without its text, as it
// was read, keeps the stored one in its place.
func (d *draft) pair(in *wire.CertificatePair) (certs state.Certificates, err error) {
	if certs.Primary, err = d.slot(&in.Primary, d.oldCerts.Primary); err != nil {
		return certs, err
	}
	if certs.Secondary, err = d.slot(&in.Secondary, d.oldCerts.Secondary); err != nil {
		return certs, err
	}
	if certs.Primary == nil && certs.Secondary == nil {
		return certs, web.BadBody("At least one certificate is required.")
	}
	for _, raw := range [][]byte{certs.Primary, certs.Secondary} {
		if raw == nil {
			continue
		}
		print := state.Thumbprint(raw)
		owner, used := state.EnrollmentOf(d.tx, print)
		if !used || (d.individual && owner == d.owner) {
			owner, used = state.GroupBySigning(d.tx, print)
			used = used && (d.individual || owner != d.owner)
		}
		if used {
			cert, err := x509.ParseCertificate(raw)
			if err != nil {
				return certs, err
			}
			return certs, inUse("Certificate", owner).About(cert, -1)
		}
	}
	return certs, nil
}

func (d *draft) slot(in **wire.Certificate, stored []byte) ([]byte, error) {
	if *in == nil {
		return nil, nil
	}
	cert, err := d.read(*in, stored)
	if err != nil {
		r := refusal(http.StatusBadRequest, 400000, ruleCertificate, "The certificate could not be read.")
		r.Expected = "PEM, base64 of DER, or base64 of PEM; or no certificate to keep the stored one"
		return nil, r
	}
	*in = &wire.Certificate{Info: wire.InfoOf(cert)}
	return cert.Raw, nil
}

func (d *draft) read(in *wire.Certificate, stored []byte) (*x509.Certificate, error) {
	if in.Certificate == "" {
		return x509.ParseCertificate(stored)
	}
	return certtext.Parse(in.Certificate)
}

func inUse(what, owner string) *refuse.Refusal {
	r := refusal(http.StatusConflict, 409000, ruleInUse, what+" is already used by another enrollment.")
	r.Expected = "a certificate in one enrollment entry only"
	r.Fix = fmt.Sprintf("change or delete %q first", owner)
	return r
}

// withoutKeys returns a copy of in that shows no symmetric keys.
func withoutKeys(in *wire.Attestation) *wire.Attestation {
	if in == nil || in.SymmetricKey == nil {
		return in
	}
	return &wire.Attestation{Type: in.Type}
}
