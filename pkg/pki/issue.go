package pki

import (
	"crypto"
	"crypto/rand"
	"crypto/sha1" //nolint:gosec // RFC 5280 section 4.2.1.2 defines key identifiers with SHA-1
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"math/big"
	"net"
	"time"

	"go.step.sm/crypto/randutil"
)

// IssueRequest asks for one certificate.
type IssueRequest struct {
	// Profile is the role; empty means device.
	Profile Profile
	// CommonName is the name from the user: the registration ID of a device, the verification code of a proof, the
	// name of an Edge CA without ".ca".
	CommonName string
	// DNSNames and IPAddresses are subject alternative names. A server without any gets its common name. The DNS
	// names of a device must equal its common name.
	DNSNames    []string
	IPAddresses []net.IP
	// KeyType is the type of the new key.
	KeyType KeyType
	// Key is used instead of a new one, as when a certificate is renewed.
	Key crypto.Signer
	// PublicKey is certified without a private key, as when a signing request is answered.
	PublicKey crypto.PublicKey
	Validity  Validity
	// Now is the clock; nil means [time.Now].
	Now func() time.Time
}

// Issue makes a certificate below a. It refuses when a or one of its issuers is outside of its lifetime
// ([ErrExpired], [ErrNotYetValid]), when a path length forbids an Edge CA ([ErrPathLen]), and names that the profile
// or the name constraints of a CA do not allow ([ErrInvalidID]). CAs are made by [NewRoot] and [Authority.NewIntermediate].
func (a *Authority) Issue(req IssueRequest) (*Bundle, error) {
	return issueLeaf(a, req)
}

// SelfSigned makes a certificate that is signed by its own key, as an individual enrollment takes it. A request
// with only a PublicKey is refused, because there is nothing to sign with.
func SelfSigned(req IssueRequest) (*Bundle, error) {
	if req.Key == nil && req.PublicKey != nil {
		return nil, fmt.Errorf("issue self-signed certificate %q: a public key alone cannot sign", clip(req.CommonName))
	}
	return issueLeaf(nil, req)
}

func issueLeaf(a *Authority, req IssueRequest) (*Bundle, error) {
	if req.Profile == "" {
		req.Profile = ProfileDevice
	}
	if _, err := ParseProfile(string(req.Profile)); err != nil {
		return nil, fmt.Errorf("issue certificate %q: %w", clip(req.CommonName), err)
	}
	if req.Profile == ProfileRoot || req.Profile == ProfileIntermediate {
		return nil, fmt.Errorf("issue certificate %q: profile %q is for NewRoot and NewIntermediate",
			clip(req.CommonName), req.Profile)
	}
	b, err := issue(a, req, nil)
	if err != nil {
		return nil, fmt.Errorf("issue %s certificate %q: %w", req.Profile, clip(req.CommonName), err)
	}
	return b, nil
}

// issue makes any certificate; a nil authority means self-signed. The limits of ca are for a CA.
func issue(a *Authority, req IssueRequest, ca *CAOptions) (*Bundle, error) {
	now := clock(req.Now)
	var issuers []*x509.Certificate
	if a != nil {
		if err := a.ready(now, req.Profile.IsCA()); err != nil {
			return nil, err
		}
		issuers = a.Chain()
	}
	if ca != nil {
		if err := ca.checkRoom(issuers); err != nil {
			return nil, err
		}
	}
	tmpl, err := req.template(now, issuers)
	if err != nil {
		return nil, err
	}
	key, pub, err := req.keys()
	if err != nil {
		return nil, err
	}
	if err := fillKey(tmpl, req.Profile, pub); err != nil {
		return nil, err
	}
	if ca != nil {
		ca.limit(tmpl)
	}
	cert, err := signCertificate(a, tmpl, pub, key)
	if err != nil {
		return nil, err
	}
	if err := checkPermitted(cert, issuers); err != nil {
		return nil, err
	}
	return &Bundle{Profile: req.Profile, Certificate: cert, Key: key, Issuers: issuers}, nil
}

// signCertificate signs the template with the key of a, or with its own key when a is nil.
func signCertificate(a *Authority, tmpl *x509.Certificate, pub crypto.PublicKey, key crypto.Signer) (
	*x509.Certificate, error,
) {
	parent, signer := tmpl, key
	if a != nil {
		parent, signer = a.Certificate(), a.key
		tmpl.AuthorityKeyId = authorityKeyID(parent)
	} else {
		tmpl.AuthorityKeyId = tmpl.SubjectKeyId
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, parent, pub, signer)
	if err != nil {
		return nil, fmt.Errorf("sign certificate: %v", err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("read back certificate: %v", err)
	}
	return cert, nil
}

// template returns the part of the certificate that does not depend on the key.
func (req IssueRequest) template(now time.Time, issuers []*x509.Certificate) (*x509.Certificate, error) {
	cn, err := req.Profile.CommonName(req.CommonName)
	if err != nil {
		return nil, err
	}
	dns, ips, err := req.Profile.checkSAN(cn, req.DNSNames, req.IPAddresses)
	if err != nil {
		return nil, err
	}
	var issuer *x509.Certificate
	if len(issuers) > 0 {
		issuer = issuers[0]
		if subject := (pkix.Name{CommonName: cn}); issuer.Subject.String() == subject.String() {
			return nil, fmt.Errorf("%w: %q is also the name of the issuer, which makes the certificate look self-signed",
				ErrInvalidID, cn)
		}
	}
	notBefore, notAfter, err := req.Validity.resolve(now, issuer)
	if err != nil {
		return nil, err
	}
	serial, err := newSerial()
	if err != nil {
		return nil, err
	}
	return &x509.Certificate{
		SerialNumber:          serial,
		Subject:               pkix.Name{CommonName: cn},
		NotBefore:             notBefore,
		NotAfter:              notAfter,
		BasicConstraintsValid: true,
		IsCA:                  req.Profile.IsCA(),
		ExtKeyUsage:           req.Profile.extKeyUsage(),
		DNSNames:              dns,
		IPAddresses:           ips,
	}, nil
}

// keys returns the key pair of the request; the private one is nil when only a public one was given.
func (req IssueRequest) keys() (crypto.Signer, crypto.PublicKey, error) {
	key, pub := req.Key, req.PublicKey
	switch {
	case key != nil && pub != nil:
		return nil, nil, fmt.Errorf("give a key or a public key, not both")
	case key != nil:
		pub = key.Public()
	case pub == nil:
		var err error
		if key, err = GenerateKey(req.KeyType); err != nil {
			return nil, nil, err
		}
		return key, key.Public(), nil
	}
	return key, pub, checkPublicKey(pub)
}

// fillKey sets the extensions that depend on the key.
func fillKey(tmpl *x509.Certificate, profile Profile, pub crypto.PublicKey) error {
	id, err := keyID(pub)
	if err != nil {
		return err
	}
	tmpl.SubjectKeyId = id
	tmpl.KeyUsage = profile.keyUsage(pub)
	tmpl.MaxPathLen = -1
	return nil
}

// keyID is method 1 of RFC 5280 section 4.2.1.2: the SHA-1 hash of the public key bits.
func keyID(pub crypto.PublicKey) ([]byte, error) {
	der, err := x509.MarshalPKIXPublicKey(pub)
	if err != nil {
		return nil, fmt.Errorf("encode public key: %w: %s", ErrUnsupportedKey, describeKey(pub))
	}
	var spki struct {
		Algorithm pkix.AlgorithmIdentifier
		PublicKey asn1.BitString
	}
	if _, err := asn1.Unmarshal(der, &spki); err != nil {
		return nil, fmt.Errorf("read public key: %v", err)
	}
	sum := sha1.Sum(spki.PublicKey.Bytes) //nolint:gosec // an identifier, not a signature
	return sum[:], nil
}

// authorityKeyID is the key identifier of the issuer, computed when its certificate has none.
func authorityKeyID(issuer *x509.Certificate) []byte {
	if len(issuer.SubjectKeyId) > 0 {
		return issuer.SubjectKeyId
	}
	id, err := keyID(issuer.PublicKey)
	if err != nil {
		return nil
	}
	return id
}

// newSerial returns a positive number of exactly 16 bytes with 126 random bits (RFC 5280 section 4.1.2.2).
func newSerial() (*big.Int, error) {
	b, err := randutil.Bytes(16)
	if err != nil {
		return nil, fmt.Errorf("make serial number: %v", err)
	}
	b[0] = b[0]&0x7f | 0x40
	return new(big.Int).SetBytes(b), nil
}
