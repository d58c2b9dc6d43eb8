package doctor

import (
	"crypto/x509"
	"fmt"
	"strings"
	"time"
)

// Role is what the certificate in question is meant for.
type Role string

const (
	// RoleAuto lets the certificates decide: a CA is for a group, a self-signed certificate for an individual
	// enrollment, anything else is a device of a group.
	RoleAuto Role = ""
	// RoleDevice is a device that registers through an enrollment group: it presents its certificate and the
	// intermediates above it.
	RoleDevice Role = "device"
	// RoleGroup is a CA certificate that an enrollment group holds.
	RoleGroup Role = "group"
	// RoleIndividual is the certificate of one device, which an individual enrollment holds.
	RoleIndividual Role = "individual"
	// RoleVerification is a proof of possession: it is signed by the CA that it proves, and its common name is the
	// code.
	RoleVerification Role = "verification"
	// RoleOther is a certificate that the service never sees, such as that of a TLS server or an IoT Edge CA: only its
	// key, its chain and its dates are checked.
	RoleOther Role = "other"
)

// AllRoles returns every role but [RoleAuto].
func AllRoles() []Role {
	return []Role{RoleDevice, RoleGroup, RoleIndividual, RoleVerification, RoleOther}
}

// ParseRole returns the role with the given name; the empty one is [RoleAuto]. The error lists the known names.
func ParseRole(s string) (Role, error) {
	names := make([]string, 0, len(AllRoles()))
	for _, r := range AllRoles() {
		if s == string(r) {
			return r, nil
		}
		names = append(names, string(r))
	}
	if s == "" {
		return RoleAuto, nil
	}
	return "", fmt.Errorf("parse role %s: known roles are %s", quote(s), strings.Join(names, ", "))
}

// Options tell [Check] what the certificates themselves do not say. Nil and zero fields mean "not known".
type Options struct {
	Role Role
	// RegistrationID is what the device registers as.
	RegistrationID string
	// Code is the verification code that a proof of possession must carry. It turns [RoleAuto] into [RoleVerification].
	Code string
	// Enrolled is the certificate that the enrollment holds: the signing certificate of a group, or the client
	// certificate of an individual enrollment.
	Enrolled *x509.Certificate
	// CAs are the CA certificates in the list of the service, verified ones. Nil means that the list is not known, an
	// empty slice that it is empty.
	CAs []*x509.Certificate
	// Known are certificates that exist but are not presented, such as the CAs of a workspace. They help to name what
	// is missing.
	Known []Source
	// Now is the clock; nil means [time.Now].
	Now func() time.Time
}
