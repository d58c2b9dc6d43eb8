package desired

import (
	"crypto/x509"
	"fmt"
	"regexp"

	"github.com/dpskit/dpskit/pkg/dps/internal/tree"
	"github.com/dpskit/dpskit/pkg/pki"
)

// certificateName is the rule of package arm, which is not asked for a name
// before there is a connection.
var certificateName = regexp.MustCompile(`^[A-Za-z0-9._-]{1,64}$`)

const certificateHelp = "the members are name, certificate or certificateFile, isVerified, keyFile"

// certificate reads an entry of the section certificates.
func (p *parser) certificate(n *tree.Node) string {
	if n.Kind != tree.Object {
		p.add(n.Errorf("certificates: want an object, found %s", n.Kind), certificateHelp)
		return ""
	}
	var c Certificate
	before := len(p.problems)
	for _, m := range n.Members {
		if m.Value.Kind != tree.Null {
			p.certificateMember(&c, m)
		}
	}
	p.doc.Certificates = append(p.doc.Certificates, c)
	if len(p.problems) > before {
		return c.Name
	}
	switch {
	case !certificateName.MatchString(c.Name):
		p.add(n.Find("name").Errorf("name: %.80q: want 1 to 64 letters, digits, '-', '.', '_'", c.Name), "")
	case c.Certificate == nil:
		p.add(n.Errorf("certificate %q: it is missing", c.Name), "give certificateFile")
	case c.Certificate.BasicConstraintsValid && !c.Certificate.IsCA:
		p.add(n.Errorf("certificate %q: not a CA certificate: basicConstraints say CA:FALSE (subject %q)", c.Name, c.Certificate.Subject),
			"a device certificate belongs in an enrollment")
	case c.Key != nil && !pki.KeyMatches(c.Certificate, c.Key):
		p.add(n.Find("keyFile").Errorf("certificate %q: the key is not the certificate's", c.Name), "give the key of exactly this certificate")
	}
	return c.Name
}

func (p *parser) certificateMember(c *Certificate, m tree.Member) {
	switch m.Name {
	case "name":
		c.Name = p.text(m)
	case "isVerified":
		if m.Value.Kind != tree.Bool {
			p.add(m.Value.Errorf("isVerified: want true or false, found %s", m.Value.Kind), "")
			return
		}
		c.Verified = c.Verified || m.Value.Text == "true"
	case "certificate":
		p.setCertificate(c, m, []byte(p.text(m)))
	case "certificateFile":
		if content, ok := p.file(m); ok {
			p.setCertificate(c, m, content)
		}
	case "keyFile":
		p.setKey(c, m)
	case "thumbprint", "subject", "expiry", "updated", "etag", "verificationCode":
		// What ca show prints; the service sets it.
	default:
		p.add(m.Errorf("certificates: %s: there is no such member", m.Name), certificateHelp)
	}
}

func (p *parser) text(m tree.Member) string {
	if m.Value.Kind != tree.String {
		p.add(m.Value.Errorf("%s: want text, found %s", m.Name, m.Value.Kind), "put it in double quotes")
		return ""
	}
	return m.Value.Text
}

// file reads the file that a member names.
func (p *parser) file(m tree.Member) ([]byte, bool) {
	name := p.text(m)
	if name == "" {
		if m.Value.Kind == tree.String {
			p.add(m.Value.Errorf("%s: want the name of a file", m.Name), "")
		}
		return nil, false
	}
	if p.opts.Files == nil {
		p.add(m.Value.Errorf("%s: files cannot be read here", m.Name), "")
		return nil, false
	}
	content, err := p.opts.Files(name)
	if err != nil {
		p.add(m.Value.Errorf("%s: %v", m.Name, err), "")
		return nil, false
	}
	return content, true
}

func (p *parser) setCertificate(c *Certificate, m tree.Member, content []byte) {
	if m.Value.Kind != tree.String {
		return
	}
	certs, err := pki.ParseCertificates(content)
	if err != nil {
		p.add(m.Value.Errorf("%s: %v", m.Name, err), "")
		return
	}
	if c.Certificate != nil {
		p.add(m.Errorf("certificate and certificateFile: give one of them"), "")
	}
	c.Certificate = certs[0]
}

func (p *parser) setKey(c *Certificate, m tree.Member) {
	content, ok := p.file(m)
	if !ok {
		return
	}
	read := p.opts.Key
	if read == nil {
		read = parseKey
	}
	key, err := read(m.Value.Text, content)
	if err != nil {
		p.add(m.Value.Errorf("keyFile: %q: %v", m.Value.Text, err), "")
		return
	}
	c.Key, c.Verified = key, true
}

// describe names a certificate for a person.
func describe(cert *x509.Certificate) string {
	return fmt.Sprintf("%q (SHA-1 %s)", cert.Subject.CommonName, pki.SHA1Thumbprint(cert))
}
