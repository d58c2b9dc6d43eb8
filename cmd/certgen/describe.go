package main

import (
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/dpskit/dpskit/pkg/pki"
)

// certificateInfo is the part of a certificate that every JSON document of
// certgen shows in the same words. Times are RFC 3339 in UTC, thumbprints are
// upper-case hex without separators, as the portal and the service write them.
type certificateInfo struct {
	Subject          string    `json:"subject"`
	Issuer           string    `json:"issuer"`
	Serial           string    `json:"serial"`
	NotBefore        time.Time `json:"notBefore"`
	NotAfter         time.Time `json:"notAfter"`
	KeyType          string    `json:"keyType"`
	SHA1Thumbprint   string    `json:"sha1Thumbprint"`
	SHA256Thumbprint string    `json:"sha256Thumbprint"`
}

func describe(cert *x509.Certificate) certificateInfo {
	return certificateInfo{
		Subject:          cert.Subject.String(),
		Issuer:           cert.Issuer.String(),
		Serial:           fmt.Sprintf("%X", cert.SerialNumber),
		NotBefore:        cert.NotBefore.UTC(),
		NotAfter:         cert.NotAfter.UTC(),
		KeyType:          keyTypeName(cert.PublicKey, cert.PublicKeyAlgorithm.String()),
		SHA1Thumbprint:   pki.SHA1Thumbprint(cert),
		SHA256Thumbprint: pki.SHA256Thumbprint(cert),
	}
}

// keyTypeName names the type of a public key; a type that certgen does not
// make keeps the name of its algorithm.
func keyTypeName(pub any, algorithm string) string {
	if t, err := pki.KeyTypeOf(pub); err == nil {
		return string(t)
	}
	return algorithm
}

// certificateDetails is what inspect shows beyond certificateInfo.
type certificateDetails struct {
	certificateInfo
	IsCA               bool     `json:"isCa"`
	MaxPathLen         *int     `json:"maxPathLen,omitempty"`     // absent: no limit
	PermittedNames     []string `json:"permittedNames,omitempty"` // name constraints: dns:… and ip:…; absent: no limit
	ExcludedNames      []string `json:"excludedNames,omitempty"`  // likewise
	KeyUsage           []string `json:"keyUsage"`
	ExtKeyUsage        []string `json:"extKeyUsage"`
	DNSNames           []string `json:"dnsNames"`
	IPAddresses        []string `json:"ipAddresses"`
	OtherNames         []string `json:"otherNames,omitempty"` // email:… and uri:…
	SubjectKeyID       string   `json:"subjectKeyId,omitempty"`
	AuthorityKeyID     string   `json:"authorityKeyId,omitempty"`
	SignatureAlgorithm string   `json:"signatureAlgorithm"`
	Version            int      `json:"version"`
}

func describeDetails(cert *x509.Certificate) certificateDetails {
	d := certificateDetails{
		certificateInfo:    describe(cert),
		IsCA:               cert.BasicConstraintsValid && cert.IsCA,
		KeyUsage:           keyUsageNames(cert.KeyUsage),
		ExtKeyUsage:        extKeyUsageNames(cert),
		DNSNames:           append([]string{}, cert.DNSNames...),
		IPAddresses:        ipStrings(cert.IPAddresses),
		SubjectKeyID:       strings.ToUpper(hex.EncodeToString(cert.SubjectKeyId)),
		AuthorityKeyID:     strings.ToUpper(hex.EncodeToString(cert.AuthorityKeyId)),
		SignatureAlgorithm: cert.SignatureAlgorithm.String(),
		Version:            cert.Version,
	}
	if d.IsCA && (cert.MaxPathLen > 0 || cert.MaxPathLenZero) {
		d.MaxPathLen = &cert.MaxPathLen
	}
	d.PermittedNames = constraintNames(cert.PermittedDNSDomains, cert.PermittedIPRanges)
	d.ExcludedNames = constraintNames(cert.ExcludedDNSDomains, cert.ExcludedIPRanges)
	for _, mail := range cert.EmailAddresses {
		d.OtherNames = append(d.OtherNames, "email:"+mail)
	}
	for _, uri := range cert.URIs {
		d.OtherNames = append(d.OtherNames, "uri:"+uri.String())
	}
	return d
}

// constraintNames are the names of a name constraint; an empty DNS name stands
// for all of them.
func constraintNames(dns []string, ips []*net.IPNet) []string {
	var out []string
	for _, name := range dns {
		if name == "" {
			name = "*"
		}
		out = append(out, "dns:"+name)
	}
	for _, n := range ips {
		out = append(out, "ip:"+n.String())
	}
	return out
}

func ipStrings(ips []net.IP) []string {
	out := []string{}
	for _, ip := range ips {
		out = append(out, ip.String())
	}
	return out
}

// The names are those of RFC 5280, sections 4.2.1.3 and 4.2.1.12.
var keyUsages = []struct {
	bit  x509.KeyUsage
	name string
}{
	{x509.KeyUsageDigitalSignature, "digitalSignature"},
	{x509.KeyUsageContentCommitment, "nonRepudiation"},
	{x509.KeyUsageKeyEncipherment, "keyEncipherment"},
	{x509.KeyUsageDataEncipherment, "dataEncipherment"},
	{x509.KeyUsageKeyAgreement, "keyAgreement"},
	{x509.KeyUsageCertSign, "keyCertSign"},
	{x509.KeyUsageCRLSign, "cRLSign"},
	{x509.KeyUsageEncipherOnly, "encipherOnly"},
	{x509.KeyUsageDecipherOnly, "decipherOnly"},
}

func keyUsageNames(usage x509.KeyUsage) []string {
	names := []string{}
	for _, u := range keyUsages {
		if usage&u.bit != 0 {
			names = append(names, u.name)
		}
	}
	return names
}

var extKeyUsages = map[x509.ExtKeyUsage]string{
	x509.ExtKeyUsageAny:             "anyExtendedKeyUsage",
	x509.ExtKeyUsageServerAuth:      "serverAuth",
	x509.ExtKeyUsageClientAuth:      "clientAuth",
	x509.ExtKeyUsageCodeSigning:     "codeSigning",
	x509.ExtKeyUsageEmailProtection: "emailProtection",
	x509.ExtKeyUsageTimeStamping:    "timeStamping",
	x509.ExtKeyUsageOCSPSigning:     "OCSPSigning",
}

func extKeyUsageNames(cert *x509.Certificate) []string {
	names := []string{}
	for _, u := range cert.ExtKeyUsage {
		if name, ok := extKeyUsages[u]; ok {
			names = append(names, name)
		} else {
			names = append(names, fmt.Sprintf("extKeyUsage%d", u))
		}
	}
	for _, oid := range cert.UnknownExtKeyUsage {
		names = append(names, oid.String())
	}
	return names
}
