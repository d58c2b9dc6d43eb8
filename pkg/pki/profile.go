package pki

import (
	"crypto"
	"crypto/rsa"
	"crypto/x509"
	"fmt"
	"net"
	"slices"
	"strings"
)

// Profile is the role of a certificate. It decides the extensions.
type Profile string

// The profiles. All of them carry critical basic constraints, critical key usage, and subject and authority key
// identifiers.
const (
	ProfileRoot         Profile = "root"          // self-signed CA; made by NewRoot
	ProfileIntermediate Profile = "intermediate"  // CA below another; made by NewIntermediate
	ProfileDevice       Profile = "device"        // TLS client; the common name is the registration ID
	ProfileEdgeCA       Profile = "edge-ca"       // CA of an IoT Edge gateway; ".ca" is added to the common name
	ProfileEdgeIdentity Profile = "edge-identity" // IoT Edge device identity: TLS client and server
	ProfileServer       Profile = "server"        // TLS server
	ProfileVerification Profile = "verification"  // proof of possession; the common name is the verification code
)

// edgeCASuffix keeps the name of an Edge CA apart from the host name of its gateway: a server certificate below a
// CA of the same name looks self-signed and breaks TLS (https://github.com/Azure/azure-iot-sdk-c/pull/563).
const edgeCASuffix = ".ca"

// AllProfiles returns every profile, CAs first.
func AllProfiles() []Profile {
	return []Profile{
		ProfileRoot, ProfileIntermediate, ProfileDevice, ProfileEdgeCA, ProfileEdgeIdentity, ProfileServer,
		ProfileVerification,
	}
}

// ParseProfile returns the profile with the given name. The error lists the known names.
func ParseProfile(s string) (Profile, error) {
	names := make([]string, 0, len(AllProfiles()))
	for _, p := range AllProfiles() {
		if s == string(p) {
			return p, nil
		}
		names = append(names, string(p))
	}
	return "", fmt.Errorf("parse profile %q: known profiles are %s", clip(s), strings.Join(names, ", "))
}

// IsCA reports whether certificates of the profile may sign others.
func (p Profile) IsCA() bool {
	return p == ProfileRoot || p == ProfileIntermediate || p == ProfileEdgeCA
}

// CommonName returns the common name that a certificate of the profile gets for a name from a user, or an error
// that wraps [ErrInvalidID].
func (p Profile) CommonName(name string) (string, error) {
	switch p {
	case ProfileDevice, ProfileEdgeIdentity:
		return name, CheckRegistrationID(name)
	case ProfileVerification:
		return NormalizeVerificationCode(name)
	case ProfileEdgeCA:
		if name == "" {
			return "", checkCommonName(name)
		}
		return name + edgeCASuffix, checkCommonName(name + edgeCASuffix)
	default:
		return name, checkCommonName(name)
	}
}

// extKeyUsage returns the purposes of the profile; none means any.
func (p Profile) extKeyUsage() []x509.ExtKeyUsage {
	switch p {
	case ProfileDevice, ProfileVerification:
		return []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	case ProfileEdgeIdentity:
		return []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth}
	case ProfileServer:
		return []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	default:
		return nil
	}
}

// keyUsage returns the key usage of the profile. Only RSA keys can encipher another key, and only a TLS server is sent
// one: for clientAuth alone RFC 5280 section 4.2.1.12 allows digitalSignature and keyAgreement.
func (p Profile) keyUsage(pub crypto.PublicKey) x509.KeyUsage {
	usage := x509.KeyUsageDigitalSignature
	if p.IsCA() {
		return usage | x509.KeyUsageCertSign | x509.KeyUsageCRLSign
	}
	if _, ok := pub.(*rsa.PublicKey); ok && slices.Contains(p.extKeyUsage(), x509.ExtKeyUsageServerAuth) {
		usage |= x509.KeyUsageKeyEncipherment
	}
	return usage
}

// checkSAN checks the alternative names for the profile and adds the host name of a server without any.
func (p Profile) checkSAN(cn string, dns []string, ips []net.IP) ([]string, []net.IP, error) {
	for _, name := range dns {
		if err := checkDNSName(name); err != nil {
			return nil, nil, err
		}
	}
	for _, ip := range ips {
		if ip.To16() == nil {
			return nil, nil, fmt.Errorf("check ip address: %w: it has %d bytes", ErrInvalidID, len(ip))
		}
	}
	switch p {
	case ProfileServer:
		if len(dns)+len(ips) == 0 {
			dns, ips = hostSAN(cn)
		}
		if len(dns)+len(ips) == 0 {
			return nil, nil, fmt.Errorf("check server name %q: %w: it is no host name or address, so at least one "+
				"alternative name is needed", cn, ErrInvalidID)
		}
	case ProfileDevice, ProfileEdgeIdentity, ProfileVerification:
		// The C# SDK takes the registration ID from the first DNS name, not from the common name.
		for _, name := range dns {
			if name != cn {
				return nil, nil, fmt.Errorf("check dns name %q: %w: in a %s certificate it must equal the common "+
					"name %q, because some device SDKs read the registration id from it", name, ErrInvalidID, p, cn)
			}
		}
	}
	return dns, ips, nil
}

// GuessProfile returns the profile that a certificate from outside looks like. A proof of possession looks like a
// device, and a CA with a ".ca" name like an Edge CA.
func GuessProfile(cert *x509.Certificate) Profile {
	switch {
	case cert == nil:
		return ""
	case cert.IsCA && isSelfSigned(cert):
		return ProfileRoot
	case cert.IsCA && strings.HasSuffix(cert.Subject.CommonName, edgeCASuffix):
		return ProfileEdgeCA
	case cert.IsCA:
		return ProfileIntermediate
	}
	client, server := hasUsage(cert, x509.ExtKeyUsageClientAuth), hasUsage(cert, x509.ExtKeyUsageServerAuth)
	switch {
	case client && server:
		return ProfileEdgeIdentity
	case server:
		return ProfileServer
	default:
		return ProfileDevice
	}
}

func hasUsage(cert *x509.Certificate, usage x509.ExtKeyUsage) bool {
	for _, u := range cert.ExtKeyUsage {
		if u == usage {
			return true
		}
	}
	return false
}
