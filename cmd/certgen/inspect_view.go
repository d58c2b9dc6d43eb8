package main

import (
	"crypto/x509"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/dpskit/dpskit/pkg/pki"
)

// inspection is one item of inspect's JSON document.
type inspection struct {
	Source       string               `json:"source"` // the argument
	Format       string               `json:"format"` // pem, der, base64, pfx, workspace
	Certificates []certificateDetails `json:"certificates"`
	Chain        *chainInfo           `json:"chain,omitempty"` // where there is more to check than one certificate
	Key          *keyInfo             `json:"privateKey,omitempty"`
	FriendlyName string               `json:"friendlyName,omitempty"` // of the key in a PFX: its alias in Java
	Request      *requestInfo         `json:"request,omitempty"`
	Files        *files               `json:"files,omitempty"`  // of a name in the folder
	Broken       pki.Fault            `json:"broken,omitempty"` // what is wrong on purpose with that name
}

// chainInfo says whether the certificates form a valid chain from the first
// one to a self-signed root, at this moment.
type chainInfo struct {
	Valid   bool   `json:"valid"`
	Problem string `json:"problem,omitempty"`
}

// keyInfo describes a private key without showing it.
type keyInfo struct {
	KeyType   string `json:"keyType,omitempty"` // absent when the key could not be decrypted
	Encrypted bool   `json:"encrypted"`
	// Matches says whether the key belongs to the first certificate; absent when
	// there is no certificate or the key could not be decrypted.
	Matches *bool `json:"matchesCertificate,omitempty"`
}

// requestInfo describes a certificate signing request whose signature is good.
type requestInfo struct {
	Subject     string   `json:"subject"`
	KeyType     string   `json:"keyType"`
	DNSNames    []string `json:"dnsNames"`
	IPAddresses []string `json:"ipAddresses"`
}

func newInspection(source string, c contents, now time.Time) inspection {
	item := inspection{Source: source, Format: c.Format, Certificates: []certificateDetails{}, FriendlyName: c.FriendlyName}
	for _, cert := range c.Certificates {
		item.Certificates = append(item.Certificates, describeDetails(cert))
	}
	item.Chain = checkChain(c.Certificates, now)
	if c.Key != nil {
		item.Key = describeKey(*c.Key, c.Certificates)
	}
	if r := c.Request; r != nil {
		item.Request = &requestInfo{
			Subject:     r.Subject.String(),
			KeyType:     keyTypeName(r.PublicKey, r.PublicKeyAlgorithm.String()),
			DNSNames:    append([]string{}, r.DNSNames...),
			IPAddresses: ipStrings(r.IPAddresses),
		}
	}
	return item
}

// checkChain checks the certificates as a chain. A single one whose issuer is
// elsewhere says nothing about a chain.
func checkChain(certs []*x509.Certificate, now time.Time) *chainInfo {
	if len(certs) == 0 || len(certs) == 1 && string(certs[0].RawIssuer) != string(certs[0].RawSubject) {
		return nil
	}
	if err := pki.Verify(certs[0], certs[1:], now); err != nil {
		return &chainInfo{Problem: err.Error()}
	}
	for i := 1; i < len(certs); i++ {
		if string(certs[i-1].RawIssuer) != string(certs[i].RawSubject) {
			return &chainInfo{Problem: fmt.Sprintf("certificate %d is not the issuer of certificate %d: some devices want the order leaf, intermediates, root", i+1, i)}
		}
	}
	return &chainInfo{Valid: true}
}

func describeKey(key foundKey, certs []*x509.Certificate) *keyInfo {
	info := &keyInfo{Encrypted: key.Encrypted}
	if key.Signer == nil {
		return info
	}
	info.KeyType = keyTypeName(key.Signer.Public(), fmt.Sprintf("%T", key.Signer.Public()))
	if len(certs) > 0 {
		matches := pki.KeyMatches(certs[0], key.Signer)
		info.Matches = &matches
	}
	return info
}

// render writes the item for a person.
func (item inspection) render(p *page, now time.Time) {
	p.linef("%s: %s", item.Source, item.summary())
	for i, cert := range item.Certificates {
		p.linef("  certificate %d", i+1)
		p.fields("    ", cert.fields(now)...)
	}
	if r := item.Request; r != nil {
		p.linef("  certificate request")
		p.fields("    ", "subject", r.Subject, "key", r.KeyType, "names", names(r.DNSNames, r.IPAddresses, nil))
	}
	if k := item.Key; k != nil {
		p.linef("  private key")
		p.fields("    ", "key", k.KeyType, "encrypted", yesNo(k.Encrypted), "belongs to certificate 1", optional(k.Matches),
			"friendly name", item.FriendlyName)
	}
	if c := item.Chain; c != nil {
		verdict := "valid up to " + item.Certificates[len(item.Certificates)-1].Subject
		if !c.Valid {
			verdict = "not valid: " + c.Problem
		}
		p.linef("  chain")
		p.fields("    ", "check", verdict)
	}
	if item.Broken != "" {
		p.linef("  broken on purpose")
		p.fields("    ", "fault", string(item.Broken))
	}
	if item.Files != nil {
		p.linef("  files")
		p.fields("    ", item.Files.pairs()...)
	}
}

func (item inspection) summary() string {
	var parts []string
	switch n := len(item.Certificates); n {
	case 0:
	case 1:
		parts = append(parts, "1 certificate")
	default:
		parts = append(parts, fmt.Sprintf("%d certificates", n))
	}
	if item.Request != nil {
		parts = append(parts, "a certificate request")
	}
	if item.Key != nil {
		parts = append(parts, "a private key")
	}
	return strings.Join(parts, ", ") + " (" + item.Format + ")"
}

// fields are the name and value pairs of a certificate for a person.
func (d certificateDetails) fields(now time.Time) []string {
	state := remaining(d.NotAfter, now)
	if d.NotBefore.After(now) {
		state = "not valid yet"
	}
	return []string{
		"subject", d.Subject,
		"issuer", d.Issuer,
		"serial", d.Serial,
		"valid from", formatTime(d.NotBefore),
		"expires", formatTime(d.NotAfter) + " (" + state + ")",
		"key", d.KeyType,
		"signature", d.SignatureAlgorithm,
		"CA", d.authority(),
		"permits names", strings.Join(d.PermittedNames, ", "),
		"excludes names", strings.Join(d.ExcludedNames, ", "),
		"key usage", strings.Join(d.KeyUsage, ", "),
		"extended key usage", strings.Join(d.ExtKeyUsage, ", "),
		"names", names(d.DNSNames, d.IPAddresses, d.OtherNames),
		"SHA-1", d.SHA1Thumbprint,
		"SHA-256", d.SHA256Thumbprint,
	}
}

func (d certificateDetails) authority() string {
	if !d.IsCA {
		return "no"
	}
	if d.MaxPathLen == nil {
		return "yes, no limit of path length"
	}
	return "yes, path length " + strconv.Itoa(*d.MaxPathLen)
}

func names(dns, ips, other []string) string {
	var all []string
	for _, n := range dns {
		all = append(all, "dns:"+n)
	}
	for _, n := range ips {
		all = append(all, "ip:"+n)
	}
	return strings.Join(append(all, other...), ", ")
}

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

func optional(b *bool) string {
	if b == nil {
		return ""
	}
	return yesNo(*b)
}
