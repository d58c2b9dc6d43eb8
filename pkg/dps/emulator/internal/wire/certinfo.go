package wire

import (
	"crypto/sha1" //nolint:gosec // the service reports SHA-1 thumbprints
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/hex"
	"fmt"
	"math/big"
	"strings"
)

// CertificateInfo is X509CertificateInfo.
type CertificateInfo struct {
	SubjectName      string `json:"subjectName"`
	SHA1Thumbprint   string `json:"sha1Thumbprint"`
	SHA256Thumbprint string `json:"sha256Thumbprint"`
	IssuerName       string `json:"issuerName"`
	NotBeforeUTC     Time   `json:"notBeforeUtc"`
	NotAfterUTC      Time   `json:"notAfterUtc"`
	SerialNumber     string `json:"serialNumber"`
	Version          int    `json:"version"`
}

// InfoOf computes what the service reports about cert.
func InfoOf(cert *x509.Certificate) *CertificateInfo {
	return &CertificateInfo{
		SubjectName:      DistinguishedName(cert.RawSubject),
		SHA1Thumbprint:   SHA1(cert),
		SHA256Thumbprint: SHA256(cert),
		IssuerName:       DistinguishedName(cert.RawIssuer),
		NotBeforeUTC:     At(cert.NotBefore),
		NotAfterUTC:      At(cert.NotAfter),
		SerialNumber:     serial(cert.SerialNumber),
		Version:          cert.Version,
	}
}

// SHA1 is the thumbprint that the portal and Azure Resource Manager show:
// upper-case hex without separators.
func SHA1(cert *x509.Certificate) string {
	sum := sha1.Sum(cert.Raw) //nolint:gosec // a name, not a proof
	return strings.ToUpper(hex.EncodeToString(sum[:]))
}

// SHA256 is SHA-256 over the DER form, upper-case hex without separators.
func SHA256(cert *x509.Certificate) string {
	sum := sha256.Sum256(cert.Raw)
	return strings.ToUpper(hex.EncodeToString(sum[:]))
}

// serial writes whole octets in upper-case hex, without a sign octet.
func serial(n *big.Int) string {
	b := n.Bytes()
	if len(b) == 0 {
		b = []byte{0}
	}
	return strings.ToUpper(hex.EncodeToString(b))
}

// attributes are the names that Windows, and so the service, gives to the
// parts of a distinguished name.
var attributes = map[string]string{
	"2.5.4.3": "CN", "2.5.4.4": "SN", "2.5.4.5": "SERIALNUMBER", "2.5.4.6": "C", "2.5.4.7": "L", "2.5.4.8": "S",
	"2.5.4.9": "STREET", "2.5.4.10": "O", "2.5.4.11": "OU", "2.5.4.12": "T", "2.5.4.42": "G", "2.5.4.43": "I",
	"0.9.2342.19200300.100.1.25": "DC", "1.2.840.113549.1.9.1": "E",
}

// DistinguishedName writes a DER name in .NET style: last part of the encoded
// name first, comma and space between parts. A name that does not parse gives
// "".
func DistinguishedName(raw []byte) string {
	var rdns pkix.RDNSequence
	if rest, err := asn1.Unmarshal(raw, &rdns); err != nil || len(rest) > 0 {
		return ""
	}
	parts := make([]string, 0, len(rdns))
	for i := len(rdns) - 1; i >= 0; i-- {
		var set []string
		for _, attr := range rdns[i] {
			name, known := attributes[attr.Type.String()]
			if !known {
				name = "OID." + attr.Type.String()
			}
			set = append(set, name+"="+quote(fmt.Sprint(attr.Value)))
		}
		parts = append(parts, strings.Join(set, " + "))
	}
	return strings.Join(parts, ", ")
}

// quote puts a value with special characters into double quotes.
func quote(v string) string {
	if v != "" && !strings.ContainsAny(v, ",+=\"\n<>#;") && strings.TrimSpace(v) == v {
		return v
	}
	return `"` + strings.ReplaceAll(v, `"`, `""`) + `"`
}

// CommonNames returns every common name in the subject, in encoded order.
func CommonNames(cert *x509.Certificate) []string {
	var names []string
	for _, attr := range cert.Subject.Names {
		if attr.Type.Equal(asn1.ObjectIdentifier{2, 5, 4, 3}) {
			names = append(names, fmt.Sprint(attr.Value))
		}
	}
	return names
}
