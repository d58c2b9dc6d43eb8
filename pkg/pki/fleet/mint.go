package fleet

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha1" //nolint:gosec // key identifiers and the thumbprints of the service are SHA-1
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"fmt"
	"slices"
	"time"

	"go.step.sm/crypto/randutil"

	"github.com/dpskit/dpskit/pkg/pki"
)

// pfxPasswordLength gives 143 bits of randomness in letters and digits, as in the workspace.
const pfxPasswordLength = 24

// verifyEvery is how many ECDSA signatures of a key in memory are made for one that is verified. Verifying costs more
// than signing. Signatures by other keys are all verified: those of RSA take no time, and a signer outside of this
// process may be faulty.
const verifyEvery = 256

// mint makes the certificates of one fleet. What they have in common is encoded once: [pki.Authority.Issue] makes a
// model certificate, and every certificate of the fleet is that one with another serial number, subject, public key
// and key identifier. It is safe for concurrent use.
type mint struct {
	issuer   *pki.Authority
	issuers  []*x509.Certificate
	model    *x509.Certificate
	keyType  pki.KeyType
	pfx      *pki.PFXOptions
	chainPEM []byte // the issuers
	codec    *keyCodec

	// Parts of the model, in DER with their headers.
	version, sigAlg, issuerName, validity []byte

	extensions []byte
	keyIDAt    int // where the key identifier is in extensions
	hash       crypto.Hash
	everySig   bool // verify every signature

	notBefore, notAfter time.Time
}

func newMint(opts *Options) (*mint, error) {
	if opts.Authority == nil {
		return nil, fmt.Errorf("no authority given")
	}
	keyType := opts.KeyType
	if keyType == "" {
		keyType = pki.DefaultKeyType
	}
	codec, err := newKeyCodec(keyType)
	if err != nil {
		return nil, err
	}
	model, err := opts.Authority.Issue(pki.IssueRequest{
		Profile: pki.ProfileDevice, CommonName: modelName, Key: codec.sample, Validity: opts.Validity, Now: opts.Now,
	})
	if err != nil {
		return nil, err
	}
	m := &mint{
		issuer: opts.Authority, issuers: model.Issuers, model: model.Certificate, keyType: keyType, pfx: opts.PFX,
		chainPEM: pki.EncodeCertificatesPEM(model.Issuers...), codec: codec,
		notBefore: model.Certificate.NotBefore, notAfter: model.Certificate.NotAfter,
	}
	if m.pfx != nil { // one PFX shows whether the password can be used at all
		if _, err := model.PFX(*m.pfx); err != nil {
			return nil, err
		}
	}
	_, inMemory := opts.Authority.Key().(*ecdsa.PrivateKey)
	m.everySig = !inMemory
	return m, m.split()
}

// modelName is the registration ID of the model, which nobody gets to see.
const modelName = "fleet-model"

// tbsCertificate is TBSCertificate of RFC 5280 section 4.1, as package pki fills it.
type tbsCertificate struct {
	Version, Serial, SigAlg, Issuer, Validity, Subject, PublicKey, Extensions asn1.RawValue
}

// split takes the model apart.
func (m *mint) split() error {
	var tbs tbsCertificate
	if rest, err := asn1.Unmarshal(m.model.RawTBSCertificate, &tbs); err != nil || len(rest) > 0 {
		return fmt.Errorf("take certificate apart: %v", err)
	}
	m.version, m.sigAlg, m.issuerName = tbs.Version.FullBytes, tbs.SigAlg.FullBytes, tbs.Issuer.FullBytes
	m.validity, m.extensions = tbs.Validity.FullBytes, tbs.Extensions.FullBytes
	m.keyIDAt = bytes.Index(m.extensions, m.model.SubjectKeyId)
	if m.keyIDAt < 0 || bytes.Count(m.extensions, m.model.SubjectKeyId) != 1 {
		return fmt.Errorf("take certificate apart: the key identifier is not there once")
	}
	switch m.model.SignatureAlgorithm {
	case x509.SHA256WithRSA, x509.ECDSAWithSHA256:
		m.hash = crypto.SHA256
	case x509.SHA384WithRSA, x509.ECDSAWithSHA384:
		m.hash = crypto.SHA384
	case x509.SHA512WithRSA, x509.ECDSAWithSHA512:
		m.hash = crypto.SHA512
	default:
		return fmt.Errorf("take certificate apart: signature algorithm %s", m.model.SignatureAlgorithm)
	}
	return nil
}

// make makes the key, the certificate and the files of a device. nth is how many certificates this caller has made.
func (m *mint) make(d *Device, nth int) error {
	if err := pki.CheckRegistrationID(d.ID); err != nil {
		return err
	}
	key, err := pki.GenerateKey(m.keyType)
	if err != nil {
		return err
	}
	s := &d.scratch
	if err := m.sign(s, d.ID, key, nth); err != nil {
		return fmt.Errorf("issue %q: %w", d.ID, err)
	}
	s.keyPEM, err = m.codec.appendKeyPEM(s.keyPEM[:0], s, key)
	if err != nil {
		return fmt.Errorf("issue %q: %w", d.ID, err)
	}
	m.encode(d)
	if m.pfx == nil {
		return nil
	}
	cert, err := x509.ParseCertificate(s.der)
	if err != nil {
		return fmt.Errorf("issue %q: read back certificate: %v", d.ID, err)
	}
	return m.makePFX(d, cert, key, "")
}

// sign leaves the certificate in s.der.
func (m *mint) sign(s *scratch, id string, key crypto.Signer, nth int) error {
	var err error
	if s.spki, err = m.codec.appendPublic(s.spki[:0], s, key); err != nil {
		return err
	}
	s.subject = appendCommonName(s.subject[:0], id)
	if bytes.Equal(s.subject, m.issuerName) {
		return fmt.Errorf("%w: %q is also the name of the issuer, which makes the certificate look self-signed",
			pki.ErrInvalidID, id)
	}
	s.serial[0], s.serial[1] = 0x02, serialSize
	if _, err := rand.Read(s.serial[2:]); err != nil {
		return fmt.Errorf("make serial number: %v", err)
	}
	s.serial[2] = s.serial[2]&0x7f | 0x40 // positive, and always 16 bytes long
	size := len(m.version) + len(s.serial) + len(m.sigAlg) + len(m.issuerName) + len(m.validity) + len(s.subject) +
		len(s.spki) + len(m.extensions)
	tbs := appendHeader(s.tbs[:0], 0x30, size)
	tbs = append(tbs, m.version...)
	tbs = append(tbs, s.serial[:]...)
	tbs = append(tbs, m.sigAlg...)
	tbs = append(tbs, m.issuerName...)
	tbs = append(tbs, m.validity...)
	tbs = append(tbs, s.subject...)
	tbs = append(tbs, s.spki...)
	keyIDAt := len(tbs) + m.keyIDAt
	tbs = append(tbs, m.extensions...)
	keyID := sha1.Sum(m.codec.publicBits(s.spki)) //nolint:gosec // RFC 5280 section 4.2.1.2, method 1
	copy(tbs[keyIDAt:], keyID[:])
	s.tbs = tbs
	signature, err := m.issuer.Key().Sign(rand.Reader, m.digest(s), m.hash)
	if err != nil {
		return fmt.Errorf("sign certificate: %v", err)
	}
	s.der = appendHeader(s.der[:0], 0x30, len(tbs)+len(m.sigAlg)+headerSize(len(signature)+1)+len(signature)+1)
	s.der = append(s.der, tbs...)
	s.der = append(s.der, m.sigAlg...)
	s.der = appendHeader(s.der, 0x03, len(signature)+1)
	s.der = append(s.der, 0) // no unused bits
	s.der = append(s.der, signature...)
	return m.verify(s, id, signature, nth)
}

func (m *mint) digest(s *scratch) []byte {
	if m.hash == crypto.SHA256 {
		sum := sha256.Sum256(s.tbs)
		return append(s.digest[:0], sum[:]...)
	}
	h := m.hash.New()
	h.Write(s.tbs)
	return h.Sum(s.digest[:0])
}

// verify checks the whole of the first certificate of a caller, and signatures as often as [verifyEvery] says.
func (m *mint) verify(s *scratch, id string, signature []byte, nth int) error {
	if !m.everySig && nth%verifyEvery != 0 {
		return nil
	}
	if err := m.issuer.Certificate().CheckSignature(m.model.SignatureAlgorithm, s.tbs, signature); err != nil {
		return fmt.Errorf("verify signature of the ca: %v", err)
	}
	if nth != 0 {
		return nil
	}
	cert, err := x509.ParseCertificate(s.der)
	if err != nil {
		return fmt.Errorf("read back certificate: %v", err)
	}
	if cert.Subject.CommonName != id || !m.sameProfile(cert) {
		return fmt.Errorf("read back certificate: it is not like one that is made alone")
	}
	return nil
}

// sameProfile reports whether a certificate has what all of the fleet have in common, dates aside.
func (m *mint) sameProfile(cert *x509.Certificate) bool {
	a, b := cert, m.model
	return a.Version == b.Version && a.IsCA == b.IsCA && a.BasicConstraintsValid == b.BasicConstraintsValid &&
		a.KeyUsage == b.KeyUsage && slices.Equal(a.ExtKeyUsage, b.ExtKeyUsage) &&
		bytes.Equal(a.AuthorityKeyId, b.AuthorityKeyId) && bytes.Equal(a.RawIssuer, b.RawIssuer) &&
		len(a.SubjectKeyId) == len(b.SubjectKeyId) && len(a.Extensions) == len(b.Extensions)
}

// encode fills in what is known of the certificate in d.scratch.der, and its files.
func (m *mint) encode(d *Device) {
	s := &d.scratch
	s.certPEM = appendPEM(s.certPEM[:0], "CERTIFICATE", s.der)
	s.chainPEM = append(append(s.chainPEM[:0], s.certPEM...), m.chainPEM...)
	d.Serial = upperHex(s.serial[2:])
	d.NotBefore, d.NotAfter = m.notBefore, m.notAfter
	d.setThumbprints(s.der)
	d.Files = Files{
		Certificate: File{Name: d.names.certificate(), Data: s.certPEM},
		FullChain:   File{Name: d.names.fullChain(), Data: s.chainPEM},
		Key:         File{Name: d.names.key(), Data: s.keyPEM, Private: true},
	}
}

// makePFX adds the PKCS#12 file and, when its password is made up here, the password. have is a password that was
// made up before.
func (m *mint) makePFX(d *Device, cert *x509.Certificate, key crypto.Signer, have string) error {
	opts := *m.pfx
	if opts.Password == "" {
		opts.Password = have
		if have == "" {
			password, err := randutil.Alphanumeric(pfxPasswordLength)
			if err != nil {
				return fmt.Errorf("make pfx password of %q: %v", d.ID, err)
			}
			opts.Password = password
		}
		d.Files.PFXPassword = File{Name: d.names.pfxPassword(), Data: []byte(opts.Password + "\n"), Private: true}
	}
	b := pki.Bundle{Profile: pki.ProfileDevice, Certificate: cert, Key: key, Issuers: m.issuers}
	data, err := b.PFX(opts)
	if err != nil {
		return err
	}
	d.Files.PFX = File{Name: d.names.pfx(), Data: data, Private: true}
	return nil
}

func upperHex(b []byte) string {
	const digits = "0123456789ABCDEF"
	var buf [2 * sha256.Size]byte
	out := buf[:0]
	for _, c := range b {
		out = append(out, digits[c>>4], digits[c&15])
	}
	return string(out)
}
