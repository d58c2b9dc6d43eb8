package service

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"reflect"
	"slices"
	"strings"

	"github.com/dpskit/dpskit/pkg/dps"
)

// Differences compares a group that is wanted with one that is stored, and
// returns the names of the members that differ, none if the stored one is what
// putting the wanted one would give. What the service fills in is no
// difference: dates, ETag, generated keys, the default of an absent member; a
// certificate equals its description.
func (g EnrollmentGroup) Differences(stored EnrollmentGroup) []string {
	var d differ
	d.fold("enrollmentGroupId", g.EnrollmentGroupID, stored.EnrollmentGroupID)
	d.attestation(g.Attestation, stored.Attestation)
	d.settings(settings{g.Capabilities, g.IoTHubHostName, g.InitialTwin, g.ProvisioningStatus, g.ReprovisionPolicy,
		g.AllocationPolicy, g.IoTHubs, g.CustomAllocationDefinition, g.Unknown},
		settings{stored.Capabilities, stored.IoTHubHostName, stored.InitialTwin, stored.ProvisioningStatus,
			stored.ReprovisionPolicy, stored.AllocationPolicy, stored.IoTHubs, stored.CustomAllocationDefinition, stored.Unknown})
	return d.names
}

// Differences compares a wanted enrollment with a stored one; see
// [EnrollmentGroup.Differences]. The registration state does not count.
func (e IndividualEnrollment) Differences(stored IndividualEnrollment) []string {
	var d differ
	d.fold("registrationId", e.RegistrationID, stored.RegistrationID)
	d.add("deviceId", orDefault(e.DeviceID, e.RegistrationID) == orDefault(stored.DeviceID, stored.RegistrationID))
	d.add("optionalDeviceInformation", sameJSON(e.OptionalDeviceInformation, stored.OptionalDeviceInformation))
	d.attestation(e.Attestation, stored.Attestation)
	d.settings(settings{e.Capabilities, e.IoTHubHostName, e.InitialTwin, e.ProvisioningStatus, e.ReprovisionPolicy,
		e.AllocationPolicy, e.IoTHubs, e.CustomAllocationDefinition, e.Unknown},
		settings{stored.Capabilities, stored.IoTHubHostName, stored.InitialTwin, stored.ProvisioningStatus,
			stored.ReprovisionPolicy, stored.AllocationPolicy, stored.IoTHubs, stored.CustomAllocationDefinition, stored.Unknown})
	return d.names
}

// settings are the members that both kinds of enrollment have.
type settings struct {
	capabilities *DeviceCapabilities
	hubHostName  string
	initialTwin  *InitialTwin
	status       ProvisioningStatus
	reprovision  *ReprovisionPolicy
	allocation   AllocationPolicy
	hubs         []string
	custom       *CustomAllocationDefinition
	unknown      map[string]json.RawMessage
}

// differ collects the names of members that differ.
type differ struct{ names []string }

func (d *differ) add(name string, same bool) {
	if !same {
		d.names = append(d.names, name)
	}
}

func (d *differ) fold(name, want, stored string) { d.add(name, strings.EqualFold(want, stored)) }

func (d *differ) settings(want, stored settings) {
	edge := func(c *DeviceCapabilities) bool { return c != nil && c.IoTEdge }
	d.add("capabilities", edge(want.capabilities) == edge(stored.capabilities))
	d.fold("iotHubHostName", want.hubHostName, stored.hubHostName)
	d.add("initialTwin", sameModel(want.initialTwin, stored.initialTwin))
	d.add("provisioningStatus", orDefault(want.status, ProvisioningEnabled) == orDefault(stored.status, ProvisioningEnabled))
	reprovision := func(p *ReprovisionPolicy) [2]bool {
		if p == nil {
			return [2]bool{true, true}
		}
		return [2]bool{p.UpdateHubAssignment, p.MigrateDeviceData}
	}
	d.add("reprovisionPolicy", reprovision(want.reprovision) == reprovision(stored.reprovision))
	d.add("allocationPolicy", want.allocation == "" || want.allocation == stored.allocation)
	d.add("iotHubs", slices.Equal(sortedLower(want.hubs), sortedLower(stored.hubs)))
	d.add("customAllocationDefinition", sameModel(want.custom, stored.custom))
	for name, value := range want.unknown {
		d.add(name, sameJSON(value, stored.unknown[name]))
	}
}

func (d *differ) attestation(want, stored Attestation) {
	if want.Type != stored.Type {
		d.add("attestation.type", false)
		return
	}
	switch want.Type {
	case AttestationTPM:
		d.add("attestation.tpm", sameModel(want.TPM, stored.TPM))
	case AttestationSymmetricKey:
		if !want.lacksKeys() && !stored.lacksKeys() {
			d.key("primaryKey", want.SymmetricKey.PrimaryKey, stored.SymmetricKey.PrimaryKey)
			d.key("secondaryKey", want.SymmetricKey.SecondaryKey, stored.SymmetricKey.SecondaryKey)
		}
	case AttestationX509:
		a, b := orZero(want.X509), orZero(stored.X509)
		d.certificates("attestation.x509.clientCertificates", a.ClientCertificates, b.ClientCertificates)
		d.certificates("attestation.x509.signingCertificates", a.SigningCertificates, b.SigningCertificates)
		p, q := orZero(a.CAReferences), orZero(b.CAReferences)
		d.add("attestation.x509.caReferences", p.Primary == q.Primary && p.Secondary == q.Secondary)
	}
}

// key compares two keys; an empty wanted one is made by the service.
func (d *differ) key(name string, want, stored dps.Secret) {
	d.add("attestation.symmetricKey."+name, want == "" || want == stored)
}

func (d *differ) certificates(name string, want, stored *X509Certificates) {
	a, b := orZero(want), orZero(stored)
	d.add(name+".primary", a.Primary.thumbprint() == b.Primary.thumbprint())
	d.add(name+".secondary", a.Secondary.thumbprint() == b.Secondary.thumbprint())
}

// thumbprint returns the SHA-256 of the certificate in upper-case hex, from its
// text or its description; "" for none, the text itself if it is unreadable.
func (c *X509CertificateWithInfo) thumbprint() string {
	switch {
	case c == nil:
		return ""
	case c.Certificate == "" && c.Info == nil:
		return ""
	case c.Certificate == "":
		return strings.ToUpper(c.Info.SHA256Thumbprint)
	}
	der := []byte(nil)
	if block, _ := pem.Decode([]byte(c.Certificate)); block != nil {
		der = block.Bytes
	} else if raw, err := base64.StdEncoding.DecodeString(strings.TrimSpace(c.Certificate)); err == nil {
		der = raw
		if block, _ := pem.Decode(raw); block != nil {
			der = block.Bytes
		}
	}
	if _, err := x509.ParseCertificate(der); err != nil {
		return c.Certificate
	}
	sum := sha256.Sum256(der)
	return strings.ToUpper(hex.EncodeToString(sum[:]))
}

// sameModel compares two models by their JSON values; nil equals empty.
func sameModel[T any](a, b *T) bool {
	one, errA := encodeModel(orZero(a), formRequest)
	two, errB := encodeModel(orZero(b), formRequest)
	return errA == nil && errB == nil && sameJSON(one, two)
}

// sameJSON compares values, not spelling; numbers are compared as written.
func sameJSON(a, b json.RawMessage) bool {
	parse := func(raw json.RawMessage) (value any, ok bool) {
		if len(raw) == 0 {
			return nil, true
		}
		dec := json.NewDecoder(bytes.NewReader(raw))
		dec.UseNumber()
		err := dec.Decode(&value)
		return value, err == nil
	}
	x, okX := parse(a)
	y, okY := parse(b)
	return okX && okY && reflect.DeepEqual(x, y)
}

func orZero[T any](p *T) T {
	if p == nil {
		return *new(T)
	}
	return *p
}

func orDefault[T ~string](value, otherwise T) T {
	if value == "" {
		return otherwise
	}
	return value
}

func sortedLower(list []string) []string {
	lower := make([]string, len(list))
	for i, s := range list {
		lower[i] = strings.ToLower(s)
	}
	slices.Sort(lower)
	return lower
}
