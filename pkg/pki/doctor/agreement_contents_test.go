package doctor_test

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"net"
	"testing"
	"time"

	"github.com/dpskit/dpskit/pkg/pki"
)

// demandPolicy is policyConstraints with requireExplicitPolicy 0 (RFC 5280 section 4.2.1.11), critical.
var demandPolicy = pkix.Extension{
	Id: asn1.ObjectIdentifier{2, 5, 29, 36}, Critical: true, Value: []byte{0x30, 3, 0x80, 1, 0},
}

// present makes a template valid at the time of the emulator, which has a clock of its own.
func present(cn string, ca bool, bends ...bend) *x509.Certificate {
	tmpl := template(cn, ca)
	tmpl.NotBefore, tmpl.NotAfter = time.Now().Add(-time.Hour), time.Now().AddDate(0, 3, 0)
	for _, f := range bends {
		if f != nil {
			f(tmpl)
		}
	}
	return tmpl
}

// What the certificates of a chain say of themselves has the same consequences in the doctor and in the emulator, and
// only as far as the service looks.
func TestAgreesOnContents(t *testing.T) {
	forServers := func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} }
	noUse := func(c *x509.Certificate) { c.ExtKeyUsage, c.UnknownExtKeyUsage = nil, nil }
	unknownUse := func(c *x509.Certificate) { c.UnknownExtKeyUsage = []asn1.ObjectIdentifier{{1, 2, 3}} }
	anyUse := func(c *x509.Certificate) {
		c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageAny}
	}
	expired := func(c *x509.Certificate) { c.NotAfter = c.NotBefore.Add(time.Minute) }
	later := func(c *x509.Certificate) { c.NotBefore = c.NotBefore.Add(24 * time.Hour) }
	shortPath := func(c *x509.Certificate) { c.MaxPathLen, c.MaxPathLenZero = 0, true }
	noFlag := func(c *x509.Certificate) { c.IsCA, c.BasicConstraintsValid, c.MaxPathLen = false, false, 0 }
	noSign := func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageDigitalSignature }
	named := func(c *x509.Certificate) { c.DNSNames = []string{"a"} }
	onlyB := func(c *x509.Certificate) { c.PermittedDNSDomainsCritical, c.PermittedDNSDomains = true, []string{"b"} }
	noIPs := func(c *x509.Certificate) {
		c.ExcludedIPRanges = []*net.IPNet{{IP: net.IPv4zero.To4(), Mask: net.CIDRMask(0, 32)}}
	}
	policy := func(c *x509.Certificate) { c.ExtraExtensions = append(c.ExtraExtensions, demandPolicy) }
	critical := func(c *x509.Certificate) {
		c.ExtraExtensions = append(c.ExtraExtensions, pkix.Extension{Id: asn1.ObjectIdentifier{1, 2, 3, 4}, Critical: true, Value: []byte{5, 0}})
	}
	var situations []situation
	for _, tt := range []struct {
		name            string
		root, sub, leaf bend
	}{
		{name: "device for any purpose", leaf: noUse}, {name: "device for servers", leaf: forServers},
		{name: "CA for servers", sub: forServers}, {name: "root for servers", root: forServers},
		{name: "CA of an unknown use", sub: unknownUse}, {name: "CA for any use", sub: anyUse},
		{name: "root expired", root: expired}, {name: "root not valid yet", root: later}, {name: "CA expired", sub: expired},
		{name: "path length of the root", root: shortPath}, {name: "path length of the CA", sub: shortPath},
		{name: "root without flag", root: noFlag}, {name: "CA without flag", sub: noFlag}, {name: "root may not sign", root: noSign},
		{name: "names, permitted others", sub: onlyB, leaf: named}, {name: "names, the root permits others", root: onlyB, leaf: named},
		{name: "no names, permitted others", sub: onlyB}, {name: "no addresses permitted", root: noIPs, leaf: named},
		{name: "policy demanded", sub: policy}, {name: "policy demanded by the root", root: policy},
		{name: "critical extension of the root", root: critical},
	} {
		root := mint(t, present("Root of "+tt.name, true, tt.root), nil, nil)
		sub := mint(t, present("CA of "+tt.name, true, tt.sub), root, nil)
		leaf := mint(t, present("a", false, tt.leaf), sub, nil)
		device := func(sent ...*x509.Certificate) *pki.Bundle {
			return &pki.Bundle{Certificate: leaf.cert, Key: leaf.key, Issuers: sent}
		}
		list := func(certs ...*x509.Certificate) []*x509.Certificate { return certs }
		situations = append(situations,
			situation{tt.name, device(sub.cert), false, sub.cert, list(root.cert)},
			situation{tt.name + ", root sent", device(sub.cert, root.cert), false, sub.cert, list(root.cert)},
			situation{tt.name + ", group of the root", device(sub.cert), false, root.cert, list(root.cert)},
		)
		if sub.cert.IsCA { // else it cannot be uploaded
			// What is above the verified CA that ends the way does not matter.
			situations = append(situations,
				situation{tt.name + ", CA verified", device(sub.cert), false, sub.cert, list(sub.cert)},
				situation{tt.name + ", CA verified, root sent", device(sub.cert, root.cert), false, sub.cert, list(sub.cert)},
				situation{tt.name + ", both verified", device(sub.cert, root.cert), false, sub.cert, list(sub.cert, root.cert)},
			)
		}
		// A second certificate of the CA, by another root and with nothing wrong, makes another way.
		other := mint(t, present("Other Root of "+tt.name, true), nil, nil)
		twin := present("CA of "+tt.name, true)
		twin.SubjectKeyId = sub.cert.SubjectKeyId
		second := mint(t, twin, other, sub.key)
		situations = append(situations,
			situation{tt.name + ", second way", device(sub.cert, second.cert), false, second.cert, list(root.cert, other.cert)},
			situation{tt.name + ", second way first", device(second.cert, sub.cert), false, sub.cert, list(root.cert, other.cert)},
		)
	}
	agree(t, situations)
}
