package main

import (
	"strconv"
	"strings"

	"github.com/dpskit/dpskit/cmd/internal/cliapp"
	"github.com/dpskit/dpskit/pkg/dps/enrollment"
	"github.com/dpskit/dpskit/pkg/dps/service"
)

var groupColumns = []string{"id", "attestation", "signing certificate", "expiry", "status", "etag"}

func groupRow(g service.EnrollmentGroup) []string {
	signer, expiry := signerOf(g.Attestation)
	return []string{g.EnrollmentGroupID, string(g.Attestation.Type), signer, expiry, string(g.ProvisioningStatus), g.ETag}
}

var individualColumns = []string{"id", "attestation", "certificate", "expiry", "status", "device ID", "etag"}

func individualRow(e service.IndividualEnrollment) []string {
	signer, expiry := signerOf(e.Attestation)
	return []string{e.RegistrationID, string(e.Attestation.Type), signer, expiry, string(e.ProvisioningStatus), e.DeviceID, e.ETag}
}

// signerOf names what lets devices in: the subject of the certificate and its
// expiry, or the CA reference.
func signerOf(a service.Attestation) (signer, expiry string) {
	if a.X509 == nil {
		return "", ""
	}
	if r := a.X509.CAReferences; r != nil {
		for _, name := range []string{r.Primary, r.Secondary} {
			if name != "" {
				return "CA reference " + name, ""
			}
		}
		return "", ""
	}
	for _, pair := range []*service.X509Certificates{a.X509.SigningCertificates, a.X509.ClientCertificates} {
		if pair == nil {
			continue
		}
		for _, slot := range []*service.X509CertificateWithInfo{pair.Primary, pair.Secondary} {
			if slot != nil && slot.Info != nil {
				return slot.Info.SubjectName, day(slot.Info.NotAfterUTC)
			}
		}
	}
	return "", ""
}

// settingColumns are the settings that both kinds have, as the view of one
// object shows them; those without a value are left out on a terminal.
var settingColumns = []string{"secondary", "edge", "allocation policy", "IoT hubs", "webhook", "reprovision policy",
	"initial twin tags", "initial twin properties", "device information", "created", "last updated"}

func settingCells[T enrollment.Object](object T) []string {
	f := enrollment.Of(&object)
	cells := []string{secondaryOf(*f.Attestation), edgeOf(*f.Capabilities), string(*f.AllocationPolicy),
		strings.Join(append(splitNonEmpty(*f.IoTHubHostName), *f.IoTHubs...), " "), "", reprovisionName(*f.ReprovisionPolicy), "", "", "", "", ""}
	if w := *f.CustomAllocationDefinition; w != nil {
		cells[4] = strings.TrimSpace(w.WebhookURL + " " + w.APIVersion)
	}
	if twin := *f.InitialTwin; twin != nil {
		cells[6] = string(twin.Tags)
		if twin.Properties != nil {
			cells[7] = string(twin.Properties.Desired)
		}
	}
	if f.Individual {
		cells[8] = string(*f.OptionalDeviceInformation)
	}
	switch o := any(object).(type) {
	case service.EnrollmentGroup:
		cells[9], cells[10] = instant(o.CreatedDateTimeUTC), instant(o.LastUpdatedDateTimeUTC)
	case service.IndividualEnrollment:
		cells[9], cells[10] = instant(o.CreatedDateTimeUTC), instant(o.LastUpdatedDateTimeUTC)
	}
	return cells
}

func splitNonEmpty(s string) []string {
	if s == "" {
		return nil
	}
	return []string{s}
}

// secondaryOf names the second certificate or CA reference.
func secondaryOf(a service.Attestation) string {
	switch {
	case a.X509 == nil:
	case a.X509.CAReferences != nil:
		return a.X509.CAReferences.Secondary
	default:
		for _, pair := range []*service.X509Certificates{a.X509.SigningCertificates, a.X509.ClientCertificates} {
			if pair != nil && pair.Secondary != nil && pair.Secondary.Info != nil {
				return pair.Secondary.Info.SubjectName + " until " + day(pair.Secondary.Info.NotAfterUTC)
			}
		}
	}
	return ""
}

func edgeOf(c *service.DeviceCapabilities) string {
	if c == nil {
		return ""
	}
	return strconv.FormatBool(c.IoTEdge)
}

var registrationStateColumns = []string{"registration", "assigned hub", "registration error"}

func registrationStateCells(e service.IndividualEnrollment) []string {
	if e.RegistrationState == nil {
		return []string{"", "", ""}
	}
	return []string{e.RegistrationState.Status, e.RegistrationState.AssignedHub, e.RegistrationState.ErrorMessage}
}

// printObject shows one enrollment, without its secrets.
func printObject[T enrollment.Object](env *cliapp.Env, k kind[T], format cliapp.Format, object T) error {
	return printWhole(env, k, format, withoutSecrets(object))
}

// printWhole shows one enrollment as it is.
func printWhole[T enrollment.Object](env *cliapp.Env, k kind[T], format cliapp.Format, object T) error {
	return env.Print(format, cliapp.View{
		Value: object, Columns: append(append([]string{}, k.columns...), k.detailColumns...),
		Rows: [][]string{append(k.row(object), k.detail(object)...)}, Single: true,
	})
}

// withoutSecrets drops symmetric keys, which the service sends back after a put,
// and the key in the URL of a webhook: they belong in no terminal and no log.
func withoutSecrets[T enrollment.Object](object T) T {
	f := enrollment.Of(&object)
	f.Attestation.SymmetricKey = nil
	if w := *f.CustomAllocationDefinition; w != nil {
		shown := *w // the object may be used further
		shown.WebhookURL = enrollment.HideQuery(w.WebhookURL)
		*f.CustomAllocationDefinition = &shown
	}
	return object
}
