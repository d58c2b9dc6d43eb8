package main

import (
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/dpskit/dpskit/cmd/internal/cliapp"
	"github.com/dpskit/dpskit/pkg/dps"
	"github.com/dpskit/dpskit/pkg/dps/enrollment"
	"github.com/dpskit/dpskit/pkg/dps/service"
)

// attestationChanges is what the command line says about the attestation.
type attestationChanges struct {
	// Cert and SecondaryCert are the signing certificates of a group or the
	// client certificates of a device.
	Cert, SecondaryCert     *x509.Certificate
	CAReference, SecondRef  string
	SymmetricKey            bool
	PrimaryKey, SecondKey   dps.Secret
	EndorsementKey, RootKey string
}

// attestationFrom reads the flags and the files that they name.
func attestationFrom(c *cli.Context, env *cliapp.Env, individual bool) (a attestationChanges, err error) {
	certFlag := flagSigningCert
	if individual {
		certFlag = flagCert
	}
	if a.Cert, err = certFromFlag(env, c, certFlag); err != nil {
		return a, err
	}
	if a.SecondaryCert, err = certFromFlag(env, c, flagSecondaryCert); err != nil {
		return a, err
	}
	if a.PrimaryKey, err = keyFromFlag(env, c, flagPrimaryKeyFile); err != nil {
		return a, err
	}
	if a.SecondKey, err = keyFromFlag(env, c, flagSecondaryKeyFile); err != nil {
		return a, err
	}
	a.SymmetricKey = c.Bool(flagSymmetricKey)
	if !individual {
		a.CAReference, a.SecondRef = c.String(flagCAReference), c.String(flagSecondaryRef)
		return a, nil
	}
	if a.EndorsementKey, err = textOrFile(flagEndorsementKey, c.String(flagEndorsementKey)); err != nil {
		return a, err
	}
	a.RootKey, err = textOrFile(flagStorageRootKey, c.String(flagStorageRootKey))
	return a, err
}

// certFromFlag reads the first certificate of a file; nil if the flag was not
// given. A chain file holds the one that is meant first.
func certFromFlag(env *cliapp.Env, c *cli.Context, flag string) (*x509.Certificate, error) {
	if !c.IsSet(flag) {
		return nil, nil
	}
	certs, err := readCertificates(flag, c.String(flag))
	if err != nil {
		return nil, err
	}
	if len(certs) > 1 {
		env.Notef("--%s: %q holds %d certificates; the first is taken, %q", flag, c.String(flag), len(certs), certs[0].Subject.CommonName)
	}
	return certs[0], nil
}

// keyFromFlag reads a symmetric key; "" if the flag was not given.
func keyFromFlag(env *cliapp.Env, c *cli.Context, flag string) (dps.Secret, error) {
	if !c.IsSet(flag) {
		return "", nil
	}
	secret, err := env.Secret(cliapp.SecretSource{File: c.String(flag)})
	if err != nil {
		return "", fmt.Errorf("read --%s: %w", flag, err)
	}
	text := strings.TrimSpace(string(secret))
	if text == "" {
		return "", cliapp.Usagef("--%s: the file %q is empty", flag, c.String(flag))
	}
	return dps.Secret(text), nil
}

// types lists the kinds of attestation that the flags speak of.
func (a attestationChanges) types() (types []service.AttestationType) {
	if a.Cert != nil || a.SecondaryCert != nil || a.CAReference != "" || a.SecondRef != "" {
		types = append(types, service.AttestationX509)
	}
	if a.SymmetricKey || a.PrimaryKey != "" || a.SecondKey != "" {
		types = append(types, service.AttestationSymmetricKey)
	}
	if a.EndorsementKey != "" || a.RootKey != "" {
		types = append(types, service.AttestationTPM)
	}
	return types
}

// build returns the attestation of a new enrollment: exactly one kind.
func (a attestationChanges) build(individual bool) (service.Attestation, error) {
	types := a.types()
	switch {
	case len(types) != 1 || a.hasCerts() && a.hasReferences():
		if individual {
			return service.Attestation{}, cliapp.Usagef("give one of --%s, --%s and --%s", flagCert, flagSymmetricKey, flagEndorsementKey)
		}
		return service.Attestation{}, cliapp.Usagef("give one of --%s, --%s and --%s", flagSigningCert, flagCAReference, flagSymmetricKey)
	case a.hasReferences():
		if a.CAReference == "" {
			return service.Attestation{}, cliapp.Usagef("--%s goes with --%s", flagSecondaryRef, flagCAReference)
		}
		return service.CAReference(a.CAReference, a.SecondRef), nil
	case types[0] == service.AttestationSymmetricKey:
		if a.SecondKey != "" && a.PrimaryKey == "" {
			return service.Attestation{}, cliapp.Usagef("--%s goes with --%s", flagSecondaryKeyFile, flagPrimaryKeyFile)
		}
		return service.SymmetricKeys(a.PrimaryKey, a.SecondKey), nil
	case types[0] == service.AttestationTPM:
		if a.EndorsementKey == "" {
			return service.Attestation{}, cliapp.Usagef("--%s goes with --%s", flagStorageRootKey, flagEndorsementKey)
		}
		return service.EndorsementKey(a.EndorsementKey, a.RootKey), nil
	case a.Cert == nil:
		return service.Attestation{}, cliapp.Usagef("--%s goes with --%s", flagSecondaryCert, certFlagOf(individual))
	case individual:
		return service.ClientCertificate(a.Cert, a.SecondaryCert), nil
	}
	return service.SigningCertificate(a.Cert, a.SecondaryCert), nil
}

func (a attestationChanges) hasCerts() bool      { return a.Cert != nil || a.SecondaryCert != nil }
func (a attestationChanges) hasReferences() bool { return a.CAReference != "" || a.SecondRef != "" }

func certFlagOf(individual bool) string {
	if individual {
		return flagCert
	}
	return flagSigningCert
}

// change makes the changes to a stored attestation, whose keys must have been
// read if the changes are about keys. The kind stays: neither the portal nor
// the official command line changes it either.
func (a attestationChanges) change(f enrollment.Fields, cleared []string) error {
	stored, types := f.Attestation, a.types()
	switch {
	case len(types) > 1 || a.hasCerts() && a.hasReferences():
		return cliapp.Usagef("the flags speak of more than one kind of attestation")
	case len(types) == 1 && types[0] != stored.Type:
		return cliapp.WithHint(cliapp.WithCode(fmt.Errorf("%q attests by %s, the flags speak of %s: %w", *f.ID, stored.Type, types[0], errKindStays), cliapp.ExitConflict),
			"delete the enrollment and create it again")
	}
	switch stored.Type {
	case service.AttestationX509:
		return a.changeX509(f, cleared)
	case service.AttestationSymmetricKey:
		if a.PrimaryKey != "" || a.SecondKey != "" {
			keys := service.SymmetricKeyAttestation{}
			if stored.SymmetricKey != nil {
				keys = *stored.SymmetricKey
			}
			setIf(&keys.PrimaryKey, a.PrimaryKey)
			setIf(&keys.SecondaryKey, a.SecondKey)
			stored.SymmetricKey = &keys
		}
	case service.AttestationTPM:
		if len(types) == 1 {
			tpm := service.TPMAttestation{}
			if stored.TPM != nil {
				tpm = *stored.TPM
			}
			setIf(&tpm.EndorsementKey, a.EndorsementKey)
			setIf(&tpm.StorageRootKey, a.RootKey)
			stored.TPM = &tpm
		}
	}
	return nil
}

var errKindStays = errors.New("an update does not change the kind of attestation")

func setIf[S ~string](target *S, value S) {
	if value != "" {
		*target = value
	}
}

// changeX509 replaces and removes certificates and CA references, each in its
// place. Giving certificates to a group that names CAs replaces the names, and
// the other way round.
func (a attestationChanges) changeX509(f enrollment.Fields, cleared []string) error {
	x := service.X509Attestation{}
	if f.Attestation.X509 != nil {
		x = *f.Attestation.X509
	}
	pair, refs := &x.SigningCertificates, &x.CAReferences
	if f.Individual {
		pair = &x.ClientCertificates
	}
	certs, names := service.X509Certificates{}, service.X509CAReferences{}
	if *pair != nil {
		certs = **pair
	}
	if *refs != nil {
		names = **refs
	}
	for _, name := range cleared {
		switch name {
		case flagCert, flagSigningCert:
			certs.Primary = nil
		case flagSecondaryCert:
			certs.Secondary = nil
		case flagCAReference:
			names.Primary = ""
		case flagSecondaryRef:
			names.Secondary = ""
		}
	}
	setCertificate(&certs.Primary, a.Cert)
	setCertificate(&certs.Secondary, a.SecondaryCert)
	setIf(&names.Primary, a.CAReference)
	setIf(&names.Secondary, a.SecondRef)
	switch {
	case a.hasCerts() || *refs == nil && !a.hasReferences():
		*pair, *refs = &certs, nil
	default:
		*pair, *refs = nil, &names
	}
	f.Attestation.X509 = &x
	return nil
}

func setCertificate(slot **service.X509CertificateWithInfo, cert *x509.Certificate) {
	if cert != nil {
		block := &pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw}
		*slot = &service.X509CertificateWithInfo{Certificate: string(pem.EncodeToMemory(block))}
	}
}
