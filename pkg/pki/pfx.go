package pki

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"strings"

	"software.sslmate.com/src/go-pkcs12"
)

// PFXProfile names the algorithms of a PKCS#12 file.
type PFXProfile string

const (
	// PFXModern is AES-256-CBC with PBKDF2 and an HMAC-SHA-256 MAC: OpenSSL 1.1.1, Windows Server 2019, Java 12 and
	// later. The default.
	PFXModern PFXProfile = "modern"
	// PFXLegacy is 3DES with a SHA-1 MAC, for older Windows, macOS and devices. It is weak; OpenSSL 3 reads it.
	PFXLegacy PFXProfile = "legacy"
)

// AllPFXProfiles returns every profile, the default first.
func AllPFXProfiles() []PFXProfile { return []PFXProfile{PFXModern, PFXLegacy} }

// ParsePFXProfile returns the profile with the given name. The error lists the known names.
func ParsePFXProfile(s string) (PFXProfile, error) {
	names := make([]string, 0, len(AllPFXProfiles()))
	for _, p := range AllPFXProfiles() {
		if s == string(p) {
			return p, nil
		}
		names = append(names, string(p))
	}
	return "", fmt.Errorf("parse pfx profile %q: known profiles are %s", clip(s), strings.Join(names, ", "))
}

// PFXOptions describes a PKCS#12 file. The zero value is modern with an empty password.
type PFXOptions struct {
	Profile  PFXProfile
	Password string // any characters of the basic multilingual plane
	// FriendlyName is what programs call the entry: the alias in Java, which ignores case, and the name that Windows
	// lists. Up to 255 printable characters of the basic multilingual plane. Empty means the common name of the
	// certificate; one that cannot be a friendly name is left out.
	FriendlyName string
}

// Check refuses an unknown profile, and a password or friendly name that PKCS#12 cannot hold, before any key is made.
func (o PFXOptions) Check() error {
	if o.Profile != "" {
		if _, err := ParsePFXProfile(string(o.Profile)); err != nil {
			return err
		}
	}
	if err := checkFriendlyName(o.FriendlyName); err != nil {
		return err
	}
	return checkPFXPassword(o.Password)
}

// PFX returns the bundle as a PKCS#12 file: the key, its certificate, and every issuer up to the root, which is what
// the device SDKs need to present the whole chain. The key and its certificate have the friendly name. The file is
// read back and compared before it is returned.
func (b *Bundle) PFX(opts PFXOptions) ([]byte, error) {
	var encoder *pkcs12.Encoder
	switch opts.Profile {
	case "", PFXModern:
		encoder = pkcs12.Modern2023
	case PFXLegacy:
		encoder = pkcs12.LegacyDES
	default:
		_, err := ParsePFXProfile(string(opts.Profile))
		return nil, fmt.Errorf("encode pfx: %w", err)
	}
	if b.Certificate == nil {
		return nil, fmt.Errorf("encode pfx: the bundle has no certificate")
	}
	name := subjectName(b.Certificate)
	if !KeyMatches(b.Certificate, b.Key) {
		return nil, fmt.Errorf("encode pfx of %q: %w", name, ErrKeyMismatch)
	}
	switch b.Key.(type) {
	case *rsa.PrivateKey, *ecdsa.PrivateKey:
	default:
		return nil, fmt.Errorf("encode pfx of %q: %w: type %T", name, ErrUnsupportedKey, b.Key)
	}
	if err := opts.Check(); err != nil {
		return nil, fmt.Errorf("encode pfx of %q: %w", name, err)
	}
	if slices.Contains(b.Issuers, nil) {
		return nil, fmt.Errorf("encode pfx of %q: an issuer is missing", name)
	}
	data, err := encoder.Encode(b.Key, b.Certificate, b.Issuers, opts.Password)
	if err != nil {
		return nil, fmt.Errorf("encode pfx of %q: %v", name, err)
	}
	friendly := b.friendlyName(opts)
	if friendly != "" {
		if data, err = namePFX(data, friendly, opts.Password); err != nil {
			return nil, fmt.Errorf("encode pfx of %q: set friendly name: %v", name, err)
		}
	}
	if err := b.checkPFX(data, opts.Password, friendly); err != nil {
		return nil, fmt.Errorf("encode pfx of %q: read it back: %w", name, err)
	}
	return data, nil
}

// checkPFX reads a file back and compares everything in it with the bundle and the friendly name.
func (b *Bundle) checkPFX(data []byte, password, friendly string) error {
	//lint:ignore SA1019 its PEM labels are wrong; of the readers of go-pkcs12 it alone tells the names
	blocks, err := pkcs12.ToPEM(data, password)
	if err != nil {
		return pfxError(err)
	}
	var certs []*pem.Block
	var keys int
	for _, block := range blocks {
		switch {
		case block.Type == "CERTIFICATE":
			certs = append(certs, block)
		case !sameKey(block.Bytes, b.Key):
			return ErrKeyMismatch
		case block.Headers["friendlyName"] != friendly:
			return fmt.Errorf("the key has the friendly name %q", clip(block.Headers["friendlyName"]))
		default:
			keys++
		}
	}
	same := func(block *pem.Block, cert *x509.Certificate) bool { return bytes.Equal(block.Bytes, cert.Raw) }
	switch {
	case keys != 1:
		return fmt.Errorf("it has %d keys, want 1", keys)
	case len(certs) == 0 || !same(certs[0], b.Certificate):
		return fmt.Errorf("it has another certificate")
	case !slices.EqualFunc(certs[1:], b.Issuers, same):
		return fmt.Errorf("it has %d other issuers, want %d", len(certs)-1, len(b.Issuers))
	case certs[0].Headers["friendlyName"] != friendly:
		return fmt.Errorf("the certificate has the friendly name %q", clip(certs[0].Headers["friendlyName"]))
	}
	return nil
}

// sameKey reports whether der, in the format of its algorithm alone (PKCS#1 or SEC 1), is the key.
func sameKey(der []byte, key crypto.Signer) bool {
	switch key := key.(type) {
	case *rsa.PrivateKey:
		got, err := x509.ParsePKCS1PrivateKey(der)
		return err == nil && got.Equal(key)
	case *ecdsa.PrivateKey:
		got, err := x509.ParseECPrivateKey(der)
		return err == nil && got.Equal(key)
	}
	return false
}

// checkPFXPassword refuses what the UCS-2 passwords of PKCS#12 cannot hold.
func checkPFXPassword(password string) error {
	for _, r := range password {
		if r > 0xffff || r == 0xfffd || r == 0 {
			return ErrPFXPassword
		}
	}
	return nil
}

// DecodePFX reads a PKCS#12 file with one private key, its certificate and any issuers in any order. At most 1 MiB
// and 100 certificates are read, and the rounds of all key derivations are added up and checked before the first one
// runs, because a file of a kilobyte can ask for years of work. The wrong password gives [ErrWrongPassphrase], a file
// without a key [ErrNoPrivateKey]; [DecodePFXCertificates] reads that.
func DecodePFX(data []byte, password string) (*Bundle, error) {
	b, err := decodePFX(data, password)
	if err != nil {
		return nil, fmt.Errorf("decode pfx: %w", err)
	}
	return b, nil
}

func decodePFX(data []byte, password string) (*Bundle, error) {
	key, certs, err := openPFX(data, password)
	if err != nil {
		return nil, err
	}
	if key == nil {
		return nil, ErrNoPrivateKey
	}
	signer, ok := key.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("%w: type %T", ErrUnsupportedKey, key)
	}
	if err := checkPublicKey(signer.Public()); err != nil {
		return nil, err
	}
	return bundleFrom(certs, signer)
}

// bundleFrom sorts certificates into the one of the key and its issuers. Windows writes the root first.
func bundleFrom(certs []*x509.Certificate, key crypto.Signer) (*Bundle, error) {
	i := slices.IndexFunc(certs, func(c *x509.Certificate) bool { return KeyMatches(c, key) })
	if i < 0 {
		return nil, fmt.Errorf("%w: none of the %d certificates has the public key", ErrKeyMismatch, len(certs))
	}
	chain, _ := orderChain(certs[i], slices.Delete(slices.Clone(certs), i, i+1))
	return &Bundle{Profile: GuessProfile(certs[i]), Certificate: certs[i], Key: key, Issuers: chain[1:]}, nil
}

func pfxError(err error) error {
	if errors.Is(err, pkcs12.ErrIncorrectPassword) {
		return ErrWrongPassphrase
	}
	return fmt.Errorf("%s", clip(strings.TrimPrefix(err.Error(), "pkcs12: ")))
}
