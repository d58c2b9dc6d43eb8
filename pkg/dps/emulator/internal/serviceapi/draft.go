package serviceapi

import (
	"bytes"
	"encoding/json"
	"net/http"
	"regexp"
	"strings"
	"time"

	"github.com/dpskit/dpskit/pkg/dps/emulator/internal/state"
	"github.com/dpskit/dpskit/pkg/dps/emulator/internal/store"
	"github.com/dpskit/dpskit/pkg/dps/emulator/internal/web"
	"github.com/dpskit/dpskit/pkg/dps/emulator/internal/wire"
)

// draft is what a client wants to write, on its way to become a record.
type draft struct {
	tx  store.Tx
	now time.Time
	// version is the api-version of the request.
	version string
	// owner is the folded identifier; individual tells the kinds apart.
	owner      string
	individual bool
	// in is changed in place; old and oldCerts are the stored record, nil and
	// empty when there is none.
	in       *wire.Common
	old      *wire.Common
	oldCerts state.Certificates
}

// finish checks and completes d.in and returns its certificates.
func (d *draft) finish() (state.Certificates, error) {
	if strings.Contains(d.in.ETag, `"`) {
		r := web.BadBody("ETag is invalid")
		r.Rule, r.Expected = ruleETag, "the etag as it was read, without quotes around it"
		return state.Certificates{}, r
	}
	for _, check := range []func() error{d.status, d.allocation, d.twin} {
		if err := check(); err != nil {
			return state.Certificates{}, err
		}
	}
	certs, err := d.attestation()
	if err != nil {
		return state.Certificates{}, err
	}
	d.policies()
	d.stamp()
	return certs, nil
}

func (d *draft) status() error {
	s := &d.in.ProvisioningStatus
	switch {
	case s.Null:
	case s.Value == "", strings.EqualFold(s.Value, wire.StatusEnabled):
		s.Value = wire.StatusEnabled
	case strings.EqualFold(s.Value, wire.StatusDisabled):
		s.Value = wire.StatusDisabled
	default:
		return web.BadBody("Invalid provisioningStatus '%s'.", s.Value)
	}
	return nil
}

// allocation checks policy, hubs and webhook.
func (d *draft) allocation() error {
	if d.in.AllocationPolicy != "" {
		known := ""
		for _, p := range []string{wire.AllocateHashed, wire.AllocateGeoLatency, wire.AllocateStatic, wire.AllocateCustom} {
			if strings.EqualFold(p, d.in.AllocationPolicy) {
				known = p
			}
		}
		if known == "" {
			return web.BadBody("Invalid allocationPolicy '%s'.", d.in.AllocationPolicy)
		}
		d.in.AllocationPolicy = known
	}
	c := d.in.CustomAllocationDefinition
	if d.in.AllocationPolicy == wire.AllocateCustom && (c == nil || c.WebhookURL == "" || c.APIVersion == "") {
		return web.BadBody("customAllocationDefinition needs webhookUrl and apiVersion.")
	}
	for _, hub := range append([]string{d.in.IotHubHostName}, d.in.IotHubs...) {
		if hub != "" && !hostForm.MatchString(hub) {
			return web.BadBody("Invalid IoT hub host name.")
		}
	}
	if len(d.in.IotHubs) > 0 && d.in.AllocationPolicy == "" {
		r := web.BadBody("allocationPolicy must be specified when iotHubs are specified")
		r.Code, r.Fix = 400004, "send an allocationPolicy: static takes the first of iotHubs, hashed spreads over them"
		return r
	}
	return nil
}

var hostForm = regexp.MustCompile(`^[A-Za-z0-9_.-]{1,255}$`)

// twin wants objects and drops nulls.
func (d *draft) twin() error {
	t := d.in.InitialTwin
	if t == nil {
		return nil
	}
	if t.Properties != nil {
		if err := object(&t.Properties.Desired, "initialTwin.properties.desired"); err != nil {
			return err
		}
	}
	return object(&t.Tags, "initialTwin.tags")
}

// object clears a null and refuses anything else that is not an object.
func object(raw *json.RawMessage, name string) error {
	text := bytes.TrimSpace(*raw)
	switch {
	case len(text) == 0 || bytes.Equal(text, []byte("null")):
		*raw = nil
	case text[0] != '{':
		return web.BadBody("%s must be an object.", name)
	}
	return nil
}

// policies fills in members that default to true, and drops what the
// api-version does not know.
func (d *draft) policies() {
	if p := d.in.ReprovisionPolicy; p != nil {
		yes := true
		if p.UpdateHubAssignment == nil {
			p.UpdateHubAssignment = &yes
		}
		if p.MigrateDeviceData == nil {
			p.MigrateDeviceData = &yes
		}
	}
	if d.version < "2025-07-01" {
		d.in.CredentialPolicyName = ""
		if d.old != nil {
			d.in.CredentialPolicyName = d.old.CredentialPolicyName
		}
	}
}

// stamp sets etag and times.
func (d *draft) stamp() {
	now := wire.At(d.now)
	d.in.ETag, d.in.CreatedDateTimeUTC, d.in.LastUpdatedDateTimeUTC = state.NewETag(d.now), now, now
	if d.old != nil {
		d.in.CreatedDateTimeUTC = d.old.CreatedDateTimeUTC
	}
}

// idForm is the permissive form of identifiers: everything that any current
// source allows.
var idForm = regexp.MustCompile(`^[A-Za-z0-9._:-]{0,127}[A-Za-z0-9-]$`)

// checkID compares the identifier in the path with the one in the body.
func checkID(path, body, member string) error {
	if !idForm.MatchString(path) {
		r := refusal(http.StatusBadRequest, 400000, ruleID, "Invalid "+member+".")
		r.Expected = "1 to 128 characters: letters, digits, '-', '.', '_', ':'; the last one a letter, a digit or '-'"
		return r
	}
	if state.Fold(path) != state.Fold(body) {
		r := refusal(http.StatusBadRequest, 400000, ruleID, "The "+member+" in the body does not match the one in the path.")
		r.Expected = "the same identifier in both places"
		return r
	}
	return nil
}

// deviceIDForm is the form of IoT hub device identifiers.
var deviceIDForm = regexp.MustCompile(`^[A-Za-z0-9\-:.+%_#*?!(),=@;$']{1,128}$`)
