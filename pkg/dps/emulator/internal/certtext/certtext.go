// Package certtext reads certificates in the forms that the service takes in
// JSON: PEM text, base64 of DER, and base64 of PEM text.
package certtext

import (
	"bytes"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
)

// maxText bounds the text of one certificate field. Chains of a few
// certificates are sent by mistake; they fit.
const maxText = 128 << 10

// ErrForm means that the text is none of the accepted forms. It says nothing
// of the text, which may be a private key that was sent by mistake.
var ErrForm = errors.New("not a certificate in PEM, base64 of DER or base64 of PEM")

// Parse returns the first certificate in text.
func Parse(text string) (*x509.Certificate, error) {
	if len(text) > maxText {
		return nil, ErrForm
	}
	if IsPEM([]byte(text)) {
		return fromPEM([]byte(text))
	}
	data, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return nil, ErrForm
	}
	if IsPEM(data) {
		return fromPEM(data)
	}
	cert, err := x509.ParseCertificate(data)
	if err != nil {
		return nil, ErrForm
	}
	return cert, nil
}

// IsPEM reports whether data is PEM as it is, without base64 around it.
func IsPEM(data []byte) bool { return bytes.Contains(data, []byte("-----BEGIN")) }

func fromPEM(data []byte) (*x509.Certificate, error) {
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "CERTIFICATE" {
			continue
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, ErrForm
		}
		return cert, nil
	}
	return nil, ErrForm
}
