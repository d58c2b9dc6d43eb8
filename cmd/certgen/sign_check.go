package main

import (
	"bytes"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"strings"

	"github.com/dpskit/dpskit/cmd/internal/cliapp"
	"github.com/dpskit/dpskit/pkg/pki"
)

// maxRequestNames bounds the alternative names of a request: a certificate with
// thousands does not fit into a TLS handshake.
const maxRequestNames = 100

var (
	oidCommonName       = asn1.ObjectIdentifier{2, 5, 4, 3}
	oidSubjectKeyID     = asn1.ObjectIdentifier{2, 5, 29, 14}
	oidKeyUsage         = asn1.ObjectIdentifier{2, 5, 29, 15}
	oidSAN              = asn1.ObjectIdentifier{2, 5, 29, 17}
	oidBasicConstraints = asn1.ObjectIdentifier{2, 5, 29, 19}
	oidExtKeyUsage      = asn1.ObjectIdentifier{2, 5, 29, 37}
)

// checkOneRequest refuses a file with more requests than the one that would be
// signed.
func checkOneRequest(data []byte) error {
	data = bytes.ReplaceAll(data, []byte{0}, nil) // of a text in UTF-16
	n := bytes.Count(data, []byte("-----BEGIN CERTIFICATE REQUEST-----")) +
		bytes.Count(data, []byte("-----BEGIN NEW CERTIFICATE REQUEST-----"))
	if n > 1 {
		return cliapp.WithHint(cliapp.WithCode(fmt.Errorf("it holds %d requests", n), cliapp.ExitUsage),
			"sign them one by one: put each into a file of its own")
	}
	return nil
}

// checkRequest refuses what the profile does not grant and what cannot be left
// out without changing the meaning of the request.
func checkRequest(csr *x509.CertificateRequest, profile pki.Profile) error {
	var names []string
	for _, attribute := range csr.Subject.Names {
		if attribute.Type.Equal(oidCommonName) {
			names = append(names, fmt.Sprintf("%q", attribute.Value))
		}
	}
	switch {
	case csr.Subject.CommonName == "":
		return fmt.Errorf("%w: the request has no common name", pki.ErrInvalidID)
	case len(names) > 1:
		return fmt.Errorf("%w: the request has %d common names, %s, and a certificate gets one", pki.ErrInvalidID,
			len(names), strings.Join(names, ", "))
	case len(csr.DNSNames)+len(csr.IPAddresses) > maxRequestNames:
		return fmt.Errorf("%w: the request asks for %d alternative names, more than the limit of %d", pki.ErrInvalidID,
			len(csr.DNSNames)+len(csr.IPAddresses), maxRequestNames)
	case len(csr.IPAddresses) > 0 && profile != pki.ProfileServer:
		return cliapp.WithHint(fmt.Errorf("%w: the request asks for the address %s as an alternative name, which the profile %q does not grant",
			pki.ErrInvalidID, csr.IPAddresses[0], string(profile)), "--%s %s grants addresses", flagProfile, pki.ProfileServer)
	}
	return checkExtensions(csr.Extensions)
}

// checkExtensions refuses alternative names that no profile grants, and
// extensions that whoever made the request insists on.
func checkExtensions(extensions []pkix.Extension) error {
	for _, ext := range extensions {
		switch {
		case ext.Id.Equal(oidSAN):
			if err := checkSAN(ext.Value); err != nil {
				return err
			}
		case ext.Id.Equal(oidBasicConstraints), ext.Id.Equal(oidKeyUsage), ext.Id.Equal(oidExtKeyUsage), ext.Id.Equal(oidSubjectKeyID):
			// The profile decides, and noteIgnored says so.
		case ext.Critical:
			return fmt.Errorf("%w: the request insists on the extension %s (it is critical), which certgen does not grant", pki.ErrInvalidID, ext.Id)
		}
	}
	return nil
}

// sanKinds are the kinds of GeneralName by their tags (RFC 5280 section 4.2.1.6).
// The standard library skips most of them.
var sanKinds = []string{
	"otherName", "a mail address", "a host name", "x400Address", "a directory name", "ediPartyName", "a URI", "an address", "a registered ID",
}

// checkSAN refuses alternative names other than host names and addresses.
func checkSAN(der []byte) error {
	var names []asn1.RawValue
	if rest, err := asn1.Unmarshal(der, &names); err != nil || len(rest) > 0 {
		return fmt.Errorf("%w: the alternative names of the request cannot be read", pki.ErrInvalidID)
	}
	for _, name := range names {
		if name.Class == asn1.ClassContextSpecific && (name.Tag == 2 || name.Tag == 7) {
			continue
		}
		kind := "an unknown kind of name"
		if name.Class == asn1.ClassContextSpecific && name.Tag < len(sanKinds) {
			kind = sanKinds[name.Tag]
		}
		return fmt.Errorf("%w: the request asks for %s as an alternative name; only host names and addresses are granted", pki.ErrInvalidID, kind)
	}
	return nil
}

// noteIgnored says what the request asks for and does not get.
func noteIgnored(env *cliapp.Env, opts signOptions, csr *x509.CertificateRequest) {
	if len(csr.Subject.Names) > 1 {
		notef(env, opts.commonOptions, "of the subject %q only the common name is used", csr.Subject.String())
	}
	var unused []string
	for _, ext := range csr.Extensions {
		switch {
		case ext.Id.Equal(oidBasicConstraints):
			if asksCA(ext.Value) {
				notef(env, opts.commonOptions, "the request asks to be a CA: that is not granted")
			}
		case !ext.Id.Equal(oidSAN) && !ext.Id.Equal(oidSubjectKeyID): // which every certificate gets
			unused = append(unused, extensionName(ext.Id))
		}
	}
	if len(unused) > 0 {
		notef(env, opts.commonOptions, "not used of the request: %s; the profile %q decides", strings.Join(unused, ", "), string(opts.Profile))
	}
}

func extensionName(id asn1.ObjectIdentifier) string {
	switch {
	case id.Equal(oidKeyUsage):
		return "key usage"
	case id.Equal(oidExtKeyUsage):
		return "extended key usage"
	}
	return "extension " + id.String()
}

// asksCA reports whether basic constraints ask for CA:TRUE. What cannot be read
// might.
func asksCA(der []byte) bool {
	var constraints struct {
		IsCA bool `asn1:"optional"`
		Path int  `asn1:"optional,default:-1"`
	}
	_, err := asn1.Unmarshal(der, &constraints)
	return err != nil || constraints.IsCA
}
