package doctor

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"

	"github.com/dpskit/dpskit/pkg/pki"
)

// maxInput bounds one file. A chain of ten RSA-4096 certificates with its key is about 25 KiB.
const maxInput = 1 << 20

// Format is the form of a source.
type Format string

// The forms that [Read] tells apart.
const (
	FormatPEM    Format = "pem"
	FormatDER    Format = "der"
	FormatBase64 Format = "base64"
	FormatPFX    Format = "pfx" // the order of the certificates in it means nothing
)

// Source is what one file holds. [Read] makes it; a program that has certificates in memory may fill it in itself.
type Source struct {
	// Name is how findings call it, such as the path of the file.
	Name   string
	Format Format
	// Certificates are in the order of the file.
	Certificates []*x509.Certificate
	// Key is the private key in the file, nil when there is none or it could not be opened.
	Key crypto.Signer
	// KeyLocked says that there is a private key and nobody had its pass phrase.
	KeyLocked bool
	// Err says why the file cannot be used. [Check] turns it into a finding.
	Err error

	keyErr error // the key is there but of no use; the certificates may be
}

// ReadOptions tell [Read] where passwords are. The functions are called at most once, and only when the file needs
// them. A nil function means that there is no password.
type ReadOptions struct {
	PFXPassword   func() ([]byte, error)
	KeyPassphrase func() ([]byte, error)
}

// Read finds out what data is: PEM with any mix of certificates and a key (with a byte order mark, Windows line ends,
// text around it), one of these in DER, bare or in base64, or a PFX. At most 1 MiB is looked at, and a file that asks
// for an absurd amount of work to open is refused before any is done.
//
// Content that cannot be used is no error but goes into [Source.Err], because it is a finding. The error is about
// passwords: [pki.ErrPassphraseRequired] when a PFX needs one and there is none, [pki.ErrWrongPassphrase], and
// whatever the functions of opts return.
func Read(name string, data []byte, opts *ReadOptions) (Source, error) {
	var o ReadOptions
	if opts != nil {
		o = *opts
	}
	s := Source{Name: name, Format: FormatDER}
	if len(data) > maxInput {
		s.Err = fmt.Errorf("%d bytes are more than the limit of %d", len(data), maxInput)
		return s, nil
	}
	der := data
	switch {
	case mentions(data, "-----BEGIN "):
		s.Format = FormatPEM
	default:
		if raw, ok := decodeBase64(data); ok {
			der, s.Format = raw, FormatBase64
		}
	}
	var err error
	if s.Format != FormatPEM && isPFX(der) {
		s.Format = FormatPFX
		err = s.readPFX(der, o.PFXPassword)
	} else {
		err = s.readPlain(data, o.KeyPassphrase)
	}
	if err != nil {
		return Source{}, fmt.Errorf("read %s: %w", quote(name), err)
	}
	return s, nil
}

func (s *Source) readPFX(der []byte, password func() ([]byte, error)) error {
	var secret []byte
	if password != nil {
		var err error
		if secret, err = password(); err != nil {
			return err
		}
	}
	bundle, err := pki.DecodePFX(der, string(secret))
	switch {
	case errors.Is(err, pki.ErrNoPrivateKey):
		s.Certificates, s.Err = pki.DecodePFXCertificates(der, string(secret))
		return nil
	case errors.Is(err, pki.ErrWrongPassphrase) && password == nil:
		return fmt.Errorf("the pfx needs a password: %w", pki.ErrPassphraseRequired)
	case errors.Is(err, pki.ErrWrongPassphrase):
		return err
	case err != nil:
		s.Err = err
		return nil
	}
	s.Certificates = append([]*x509.Certificate{bundle.Certificate}, bundle.Issuers...)
	s.Key = bundle.Key
	return nil
}

func (s *Source) readPlain(data []byte, passphrase func() ([]byte, error)) error {
	var certErr error
	s.Certificates, certErr = pki.ParseCertificates(data)
	found, err := s.readKey(data, passphrase)
	if err != nil {
		return err
	}
	if certErr != nil && (!found || mentions(data, " CERTIFICATE-----") || errors.Is(certErr, pki.ErrUnsupportedKey)) {
		s.Err = certErr
	}
	return nil
}

// readKey looks for a private key and reports whether there is one, of whatever use.
func (s *Source) readKey(data []byte, passphrase func() ([]byte, error)) (found bool, err error) {
	key, err := pki.ParseKey(data, nil)
	if errors.Is(err, pki.ErrPassphraseRequired) {
		if passphrase == nil {
			s.KeyLocked = true
			return true, nil
		}
		var secret []byte
		if secret, err = passphrase(); err != nil {
			return false, err
		}
		if key, err = pki.ParseKey(data, secret); errors.Is(err, pki.ErrWrongPassphrase) {
			return false, err
		}
	}
	switch {
	case err == nil:
		s.Key = key
		return true, nil
	case errors.Is(err, pki.ErrUnsupportedKey) && len(s.Certificates) == 0, mentions(data, "PRIVATE KEY-----"):
		s.keyErr = err
		return true, nil
	}
	return false, nil
}

// mentions reports whether data contains a word in ASCII or UTF-16.
func mentions(data []byte, word string) bool {
	if bytes.Contains(data, []byte(word)) {
		return true
	}
	return bytes.IndexByte(data, 0) >= 0 && bytes.Contains(bytes.ReplaceAll(data, []byte{0}, nil), []byte(word))
}

// decodeBase64 decodes data that is nothing but base64 with white space.
func decodeBase64(data []byte) ([]byte, bool) {
	compact := bytes.Join(bytes.Fields(bytes.TrimPrefix(data, []byte("\ufeff"))), nil)
	if len(compact) < 16 {
		return nil, false
	}
	der, err := base64.StdEncoding.AppendDecode(nil, compact)
	return der, err == nil
}

// isPFX reports whether der begins like a PFX: a SEQUENCE whose first element is the INTEGER 3 (RFC 7292 section 4).
// Keys begin with 0 or 1, certificates with another SEQUENCE.
func isPFX(der []byte) bool {
	if len(der) < 8 || der[0] != 0x30 {
		return false
	}
	header := 2
	if der[1]&0x80 != 0 { // a long length, or the indefinite one that some exporters write
		header += int(der[1] & 0x7f)
	}
	return len(der) >= header+3 && bytes.Equal(der[header:header+3], []byte{2, 1, 3})
}
