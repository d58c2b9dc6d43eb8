package pki

import (
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"
)

// check finds what no CA can be made of.
func (o *CAOptions) check() error {
	if o.MaxPathLen != nil && *o.MaxPathLen < 0 {
		return fmt.Errorf("set path length: %d is negative; leave it out for no limit", *o.MaxPathLen)
	}
	for _, name := range o.PermittedDNSNames {
		if strings.HasPrefix(name, "*") {
			return fmt.Errorf("permit dns name %q: %w: leave the wildcard out, names below are permitted as well", clip(name),
				ErrInvalidID)
		}
		if err := checkDNSName(name); err != nil {
			return fmt.Errorf("permit dns name: %w", err)
		}
	}
	for _, n := range o.PermittedIPRanges {
		if n == nil || len(n.IP.Mask(n.Mask)) == 0 {
			return fmt.Errorf("permit ip range: %w: address and mask do not fit together", ErrInvalidID)
		}
		if _, bits := n.Mask.Size(); bits == 0 {
			return fmt.Errorf("permit ip range: %w: the mask %s is no prefix", ErrInvalidID, n.Mask)
		}
	}
	return nil
}

// limit writes into the template what the CA may not do.
func (o *CAOptions) limit(tmpl *x509.Certificate) {
	if o.MaxPathLen != nil {
		tmpl.MaxPathLen, tmpl.MaxPathLenZero = *o.MaxPathLen, *o.MaxPathLen == 0
	}
	if len(o.PermittedDNSNames)+len(o.PermittedIPRanges) == 0 {
		return
	}
	tmpl.PermittedDNSDomainsCritical = true // the whole extension is
	if tmpl.PermittedDNSDomains = o.PermittedDNSNames; len(o.PermittedDNSNames) == 0 {
		tmpl.ExcludedDNSDomains = []string{""}
	}
	if tmpl.PermittedIPRanges = o.PermittedIPRanges; len(o.PermittedIPRanges) == 0 {
		tmpl.ExcludedIPRanges = []*net.IPNet{
			{IP: net.IPv4zero.To4(), Mask: net.CIDRMask(0, 32)}, {IP: net.IPv6zero, Mask: net.CIDRMask(0, 128)},
		}
	}
}

// checkPermitted reports a name of cert that a CA of the chain above it does not permit.
func checkPermitted(cert *x509.Certificate, chain []*x509.Certificate) error {
	names := len(cert.DNSNames) + len(cert.IPAddresses) + len(cert.EmailAddresses) + len(cert.URIs)
	if names == 0 || len(chain) == 0 {
		return nil
	}
	opts := x509.VerifyOptions{
		Roots: x509.NewCertPool(), Intermediates: x509.NewCertPool(), CurrentTime: latestStart(cert, chain),
		KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny},
	}
	opts.Roots.AddCert(chain[len(chain)-1])
	constrained := false
	for _, ca := range chain {
		opts.Intermediates.AddCert(ca)
		constrained = constrained || constrains(ca)
	}
	if !constrained {
		return nil
	}
	_, err := cert.Verify(opts)
	var invalid x509.CertificateInvalidError
	if errors.As(err, &invalid) && invalid.Reason == x509.CANotAuthorizedForThisName {
		return fmt.Errorf("%w: a ca above does not permit it: %s", ErrInvalidID, clip(invalid.Detail))
	}
	return nil // everything else has a check of its own
}

// latestStart is a time when neither cert nor a CA above it is still to begin.
func latestStart(cert *x509.Certificate, chain []*x509.Certificate) time.Time {
	start := cert.NotBefore
	for _, ca := range chain {
		if ca.NotBefore.After(start) {
			start = ca.NotBefore
		}
	}
	return start
}

// constrains reports whether a CA limits the names below it.
func constrains(ca *x509.Certificate) bool {
	return len(ca.PermittedDNSDomains)+len(ca.ExcludedDNSDomains)+len(ca.PermittedIPRanges)+len(ca.ExcludedIPRanges)+
		len(ca.PermittedEmailAddresses)+len(ca.ExcludedEmailAddresses)+len(ca.PermittedURIDomains)+
		len(ca.ExcludedURIDomains) > 0
}
