package bulk

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/dpskit/dpskit/pkg/dps"
	"github.com/dpskit/dpskit/pkg/dps/enrollment"
	"github.com/dpskit/dpskit/pkg/dps/service"
	"github.com/dpskit/dpskit/pkg/pki"
)

// Column is a column that a CSV file may have.
type Column struct {
	// Name as it stands in the header. Case, spaces, '-' and '_' do not matter.
	Name string
	// Help says what the cells hold.
	Help string

	aliases []string
	member  string // that of the model, for the places of problems
	set     func(r *csvRow, cell string) error
}

// Columns lists the columns of a CSV file. Only registrationId must be there.
func Columns() []Column { return append([]Column(nil), columns...) }

var columns = []Column{
	{Name: "registrationId", Help: "registration id, required", aliases: []string{"id"}, member: "registrationId",
		set: func(r *csvRow, cell string) error { r.e.RegistrationID = cell; return nil }},
	{Name: "attestation", Help: "x509, symmetricKey or tpm; may be left out where the other columns tell", aliases: []string{"attestationType"},
		member: "attestation.type", set: setAttestation},
	{Name: "certificate", Help: "the device's certificate: a file name, or the PEM text", aliases: []string{"cert", "certificateFile", "primaryCertificate"},
		member: "attestation.x509.clientCertificates.primary", set: func(r *csvRow, cell string) error { return r.setCertificate(&r.certs.Primary, cell) }},
	{Name: "secondaryCertificate", Help: "a second one, for a rollover", aliases: []string{"secondaryCert", "secondaryCertificateFile"},
		member: "attestation.x509.clientCertificates.secondary", set: func(r *csvRow, cell string) error { return r.setCertificate(&r.certs.Secondary, cell) }},
	{Name: "primaryKey", Help: "symmetric key, base64; made by the service if left out", member: "attestation.symmetricKey.primaryKey",
		set: func(r *csvRow, cell string) error { r.keys.PrimaryKey = dps.Secret(cell); return nil }},
	{Name: "secondaryKey", Help: "the second symmetric key", member: "attestation.symmetricKey.secondaryKey",
		set: func(r *csvRow, cell string) error { r.keys.SecondaryKey = dps.Secret(cell); return nil }},
	{Name: "endorsementKey", Help: "endorsement key of the TPM, base64", member: "attestation.tpm.endorsementKey",
		set: func(r *csvRow, cell string) error { r.tpm.EndorsementKey = cell; return nil }},
	{Name: "storageRootKey", Help: "storage root key of the TPM, base64, optional", member: "attestation.tpm.storageRootKey",
		set: func(r *csvRow, cell string) error { r.tpm.StorageRootKey = cell; return nil }},
	{Name: "deviceId", Help: "device id in the IoT hub", member: "deviceId",
		set: func(r *csvRow, cell string) error { r.e.DeviceID = cell; return nil }},
	{Name: "provisioningStatus", Help: "enabled or disabled", aliases: []string{"status"}, member: "provisioningStatus",
		set: func(r *csvRow, cell string) error {
			r.e.ProvisioningStatus = service.ProvisioningStatus(strings.ToLower(cell))
			return nil
		}},
	{Name: "edge", Help: "true for an IoT Edge device", aliases: []string{"iotEdge", "edgeEnabled"}, member: "capabilities", set: setEdge},
	{Name: "allocationPolicy", Help: "hashed, geoLatency, static or custom", member: "allocationPolicy",
		set: func(r *csvRow, cell string) error {
			r.e.AllocationPolicy = service.AllocationPolicy(cell)
			return nil
		}},
	{Name: "iotHubs", Help: "host names of IoT hubs, separated by spaces", aliases: []string{"iotHub", "hubs"}, member: "iotHubs",
		set: func(r *csvRow, cell string) error { r.e.IoTHubs = strings.Fields(cell); return nil }},
	{Name: "webhookUrl", Help: "webhook of the policy custom", member: "customAllocationDefinition.webhookUrl",
		set: func(r *csvRow, cell string) error { r.webhook.WebhookURL = cell; return nil }},
	{Name: "webhookApiVersion", Help: "API version of the request to the webhook", member: "customAllocationDefinition.apiVersion",
		set: func(r *csvRow, cell string) error { r.webhook.APIVersion = cell; return nil }},
	{Name: "reprovisionPolicy", Help: "migrate, reset or never", member: "reprovisionPolicy", set: setReprovision},
	{Name: "initialTwinTags", Help: "tags of the initial twin, a JSON object", aliases: []string{"tags"}, member: "initialTwin.tags",
		set: func(r *csvRow, cell string) error {
			return setObject(cell, enrollment.Of(&r.e).SetTags)
		}},
	{Name: "initialTwinProperties", Help: "desired properties of the initial twin, a JSON object", aliases: []string{"properties", "desired", "desiredProperties"},
		member: "initialTwin.properties.desired", set: func(r *csvRow, cell string) error {
			return setObject(cell, enrollment.Of(&r.e).SetDesired)
		}},
	{Name: "deviceInformation", Help: "information about the device, a JSON object", aliases: []string{"optionalDeviceInformation"},
		member: "optionalDeviceInformation", set: func(r *csvRow, cell string) error {
			return setObject(cell, func(o json.RawMessage) { r.e.OptionalDeviceInformation = o })
		}},
}

func setAttestation(r *csvRow, cell string) error {
	for _, t := range []service.AttestationType{service.AttestationX509, service.AttestationSymmetricKey, service.AttestationTPM} {
		if strings.EqualFold(string(t), cell) {
			r.e.Attestation.Type = t
			return nil
		}
	}
	return fmt.Errorf("%.40q: want x509, symmetricKey or tpm", cell)
}

func setEdge(r *csvRow, cell string) error {
	edge, err := strconv.ParseBool(strings.ToLower(cell))
	if err != nil {
		return fmt.Errorf("%.40q: want true or false", cell)
	}
	r.e.Capabilities = &service.DeviceCapabilities{IoTEdge: edge}
	return nil
}

func setReprovision(r *csvRow, cell string) error {
	policy, ok := map[string]service.ReprovisionPolicy{
		"migrate": {UpdateHubAssignment: true, MigrateDeviceData: true}, "reset": {UpdateHubAssignment: true}, "never": {},
	}[strings.ToLower(cell)]
	if !ok {
		return fmt.Errorf("%.40q: want migrate, reset or never", cell)
	}
	r.e.ReprovisionPolicy = &policy
	return nil
}

func setObject(cell string, set func(json.RawMessage)) error {
	object, err := enrollment.ParseObject([]byte(cell))
	if err == nil {
		set(object)
	}
	return err
}

// setCertificate takes PEM text, or the name of a file whose first certificate
// is meant.
func (r *csvRow) setCertificate(slot **service.X509CertificateWithInfo, cell string) error {
	data := []byte(cell)
	if !strings.Contains(cell, "-----BEGIN") {
		if r.files == nil {
			return errors.New("files cannot be read here: give the PEM text")
		}
		var err error
		if data, err = r.files(cell); err != nil {
			return err
		}
	}
	certs, err := pki.ParseCertificates(data)
	if err != nil {
		return err
	}
	*slot = &service.X509CertificateWithInfo{Certificate: string(pki.EncodeCertificatesPEM(certs[0]))}
	return nil
}

// foldName makes spellings of a column name equal.
func foldName(name string) string {
	return strings.ToLower(strings.NewReplacer("-", "", "_", "", " ", "").Replace(strings.TrimSpace(name)))
}

// findColumn returns the column that a header cell names, or nil.
func findColumn(name string) *Column {
	folded := foldName(name)
	for i := range columns {
		if foldName(columns[i].Name) == folded {
			return &columns[i]
		}
		for _, alias := range columns[i].aliases {
			if foldName(alias) == folded {
				return &columns[i]
			}
		}
	}
	return nil
}
