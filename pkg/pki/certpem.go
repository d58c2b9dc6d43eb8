package pki

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"slices"
	"strings"

	"go.step.sm/crypto/pemutil"
)

const certificateType = "CERTIFICATE"

// ParseCertificates reads every certificate in data, in file order and never none: PEM (with a byte order mark,
// Windows line ends, UTF-16, line ends spelled "\n", text around it), DER, or bare base64 of either. At most 1 MiB
// and 100 certificates are read. Private keys and other blocks beside the certificates are passed over; data with
// only a key is refused, and so is data with a block that is damaged.
func ParseCertificates(data []byte) ([]*x509.Certificate, error) {
	certs, err := parseCertificates(data)
	switch {
	case err != nil:
		return nil, fmt.Errorf("parse certificates: %w", err)
	case len(certs) > maxCertificates:
		return nil, fmt.Errorf("parse certificates: %d certificates are more than the limit of %d", len(certs),
			maxCertificates)
	}
	return certs, nil
}

func parseCertificates(data []byte) ([]*x509.Certificate, error) {
	if len(data) > maxInput {
		return nil, fmt.Errorf("%d bytes are more than the limit of %d", len(data), maxInput)
	}
	text := plainText(data)
	if bytes.Contains(text, beginMarker) {
		return certificatesFromPEM(text)
	}
	if der, ok := bareBase64(text); ok {
		if bytes.Contains(der, beginMarker) {
			return certificatesFromPEM(der)
		}
		return certificatesFromDER(der)
	}
	if len(bytes.TrimSpace(text)) == 0 {
		return nil, fmt.Errorf("the input is empty")
	}
	return certificatesFromDER(data)
}

func certificatesFromPEM(text []byte) ([]*x509.Certificate, error) {
	blocks, err := pemBlocks(text)
	if err != nil {
		return nil, err
	}
	var certs []*x509.Certificate
	for _, block := range blocks {
		switch block.Type {
		case certificateType, "X509 CERTIFICATE":
			cert, err := x509.ParseCertificate(block.Bytes)
			if err != nil {
				return nil, fmt.Errorf("certificate %d: %w", len(certs)+1, explainParse(err, block.Bytes))
			}
			certs = append(certs, cert)
		}
	}
	if len(certs) == 0 {
		if slices.ContainsFunc(blocks, func(b *pem.Block) bool { return b.Type == "PKCS7" }) {
			return nil, ErrPKCS7
		}
		return nil, fmt.Errorf("%s", describeBlocks(blocks))
	}
	return certs, nil
}

func certificatesFromDER(der []byte) ([]*x509.Certificate, error) {
	certs, err := x509.ParseCertificates(der)
	if err == nil && len(certs) > 0 {
		return certs, nil
	}
	if _, keyErr := pemutil.ParseDER(der); keyErr == nil {
		return nil, fmt.Errorf("the input is a key, not a certificate")
	}
	if isPKCS7(der) {
		return nil, ErrPKCS7
	}
	return nil, fmt.Errorf("the input is neither PEM nor DER nor base64 of a certificate: %w", explainParse(err, der))
}

// isPKCS7 reports whether der begins like PKCS#7: a SEQUENCE whose first element is the type signedData (RFC 2315
// section 14).
func isPKCS7(der []byte) bool {
	at := bytes.Index(der[:min(len(der), 24)], oidSignedData)
	return at >= 2 && at <= 6 && der[0] == 0x30
}

// describeBlocks says what a PEM file without certificates holds instead.
func describeBlocks(blocks []*pem.Block) string {
	for _, block := range blocks {
		switch {
		case strings.HasSuffix(block.Type, "PRIVATE KEY"):
			return "the input holds a private key and no certificate; give the .cert.pem file"
		case strings.HasSuffix(block.Type, "CERTIFICATE REQUEST"):
			return "the input is a certificate request, not a certificate"
		case block.Type == "TRUSTED CERTIFICATE":
			return "the input is in the trusted format of openssl; write it with openssl x509 without -trustout"
		}
	}
	if len(blocks) > 0 {
		return fmt.Sprintf("the input holds %q and no certificate", clip(blocks[0].Type))
	}
	return "the input holds no PEM block"
}

// oidSignedData is the type of PKCS#7 files with certificates, in DER.
var oidSignedData = []byte{0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x07, 0x02}

// oidSecp256k1 is the curve that the "ecc" mode of the original PowerShell script uses.
var oidSecp256k1 = []byte{0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x0a}

// explainParse turns an error of crypto/x509 into one line of ours.
func explainParse(err error, der []byte) error {
	if bytes.Contains(der, oidSecp256k1) {
		return fmt.Errorf("%w: EC on secp256k1, which the service and most TLS libraries refuse; make it again on P-256",
			ErrUnsupportedKey)
	}
	if err == nil {
		return fmt.Errorf("no certificate found")
	}
	return fmt.Errorf("%s", clip(err.Error()))
}

// EncodeCertificatesPEM returns the certificates as PEM in the given order. Nil ones are left out.
func EncodeCertificatesPEM(certs ...*x509.Certificate) []byte {
	var out bytes.Buffer
	for _, cert := range certs {
		if cert != nil {
			_ = pem.Encode(&out, &pem.Block{Type: certificateType, Bytes: cert.Raw}) // a Buffer takes every write
		}
	}
	return out.Bytes()
}

// ParseCertificateRequest reads one certificate signing request, PEM, DER or bare base64, at most 1 MiB, and checks
// that it is signed by its own key. A key that the service does not take gives [ErrUnsupportedKey].
func ParseCertificateRequest(data []byte) (*x509.CertificateRequest, error) {
	csr, err := parseCertificateRequest(data)
	if err != nil {
		return nil, fmt.Errorf("parse certificate request: %w", err)
	}
	return csr, nil
}

func parseCertificateRequest(data []byte) (*x509.CertificateRequest, error) {
	if len(data) > maxInput {
		return nil, fmt.Errorf("%d bytes are more than the limit of %d", len(data), maxInput)
	}
	der := data
	text := plainText(data)
	if len(bytes.TrimSpace(text)) == 0 {
		return nil, fmt.Errorf("the input is empty")
	}
	if bytes.Contains(text, beginMarker) {
		blocks, err := pemBlocks(text)
		if err != nil {
			return nil, err
		}
		i := slices.IndexFunc(blocks, func(b *pem.Block) bool { return strings.HasSuffix(b.Type, "CERTIFICATE REQUEST") })
		if i < 0 {
			return nil, fmt.Errorf("the input holds no certificate request")
		}
		der = blocks[i].Bytes
	} else if raw, ok := bareBase64(text); ok {
		der = raw
	}
	csr, err := x509.ParseCertificateRequest(der)
	if err != nil {
		return nil, explainParse(err, der)
	}
	if err := checkPublicKey(csr.PublicKey); err != nil {
		return nil, err
	}
	if err := csr.CheckSignature(); err != nil {
		return nil, fmt.Errorf("%w: the request is not signed by its own key", ErrBadSignature)
	}
	return csr, nil
}
