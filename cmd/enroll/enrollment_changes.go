package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/dpskit/dpskit/cmd/internal/cliapp"
	"github.com/dpskit/dpskit/pkg/dps/enrollment"
	"github.com/dpskit/dpskit/pkg/dps/service"
)

// changes is what the command line says about an enrollment. A nil member was
// not given: an update leaves it as it is.
type changes struct {
	Attestation attestationChanges

	Status           *service.ProvisioningStatus
	Edge             *bool
	AllocationPolicy *service.AllocationPolicy
	IoTHubs          []string
	WebhookURL       string
	WebhookVersion   string
	Reprovision      *service.ReprovisionPolicy
	Tags, Properties json.RawMessage
	DeviceID         string
	DeviceInfo       json.RawMessage
	CredentialPolicy string
	// Clear are the settings to remove, by the names of their flags.
	Clear []string
}

// changesFrom reads the flags and the files that they name. Nothing is sent.
func changesFrom(c *cli.Context, env *cliapp.Env, individual bool) (changes, error) {
	attestation, err := attestationFrom(c, env, individual)
	if err != nil {
		return changes{}, err
	}
	ch, err := settingsFrom(c, individual)
	ch.Attestation = attestation
	return ch, err
}

// settingsFrom is changesFrom without the attestation.
func settingsFrom(c *cli.Context, individual bool) (ch changes, err error) {
	ch = changes{
		IoTHubs: c.StringSlice(flagIoTHub), WebhookVersion: c.String(flagWebhookAPIVersion),
		CredentialPolicy: c.String(flagCredentialPolicy), Clear: c.StringSlice(flagClear),
	}
	if c.IsSet(flagProvisioning) {
		status := service.ProvisioningStatus(c.String(flagProvisioning))
		ch.Status = &status
	}
	if c.IsSet(flagEdge) {
		edge := c.Bool(flagEdge)
		ch.Edge = &edge
	}
	if c.IsSet(flagAllocationPolicy) {
		policy := service.AllocationPolicy(c.String(flagAllocationPolicy))
		ch.AllocationPolicy = &policy
	}
	if c.IsSet(flagReprovisionPolicy) {
		if ch.Reprovision, err = parseReprovisionPolicy(c.String(flagReprovisionPolicy)); err != nil {
			return changes{}, err
		}
	}
	if err := ch.readTexts(c, individual); err != nil {
		return changes{}, err
	}
	return ch, ch.check(c, individual)
}

// readTexts reads the values that may stand in files.
func (ch *changes) readTexts(c *cli.Context, individual bool) (err error) {
	if ch.WebhookURL, err = textOrFile(flagWebhookURL, c.String(flagWebhookURL)); err != nil {
		return err
	}
	if ch.Tags, err = objectFlag(c, flagTwinTags); err != nil {
		return err
	}
	if ch.Properties, err = objectFlag(c, flagTwinProperties); err != nil {
		return err
	}
	if !individual {
		return nil
	}
	ch.DeviceID = c.String(flagDeviceID)
	ch.DeviceInfo, err = objectFlag(c, flagDeviceInformation)
	return err
}

// textOrFile returns the value of a flag, or what the file named by @FILE
// holds, without the white space around it.
func textOrFile(flag, value string) (string, error) {
	file, ok := strings.CutPrefix(value, "@")
	if !ok {
		return value, nil
	}
	data, err := readFile(flag, file)
	if err != nil {
		return "", err
	}
	text := strings.TrimSpace(strings.TrimPrefix(string(data), "\ufeff"))
	if text == "" {
		return "", cliapp.Usagef("--%s: the file %q is empty", flag, file)
	}
	return text, nil
}

// objectFlag reads a JSON object; nil if the flag was not given.
func objectFlag(c *cli.Context, flag string) (json.RawMessage, error) {
	if !c.IsSet(flag) {
		return nil, nil
	}
	text, err := textOrFile(flag, c.String(flag))
	if err != nil {
		return nil, err
	}
	object, err := enrollment.ParseObject([]byte(text))
	if err == nil {
		return object, nil
	}
	where := "--" + flag
	if file, ok := strings.CutPrefix(c.String(flag), "@"); ok {
		where = fmt.Sprintf("--%s %q", flag, file)
	} else if _, statErr := os.Stat(text); statErr == nil {
		return nil, cliapp.WithHint(cliapp.Usagef("%s: %v", where, err), "to read a file write --%s @%s", flag, text)
	}
	return nil, cliapp.Usagef("%s: %v", where, err)
}

// check finds what does not go together on the command line itself.
func (ch *changes) check(c *cli.Context, individual bool) error {
	allowed := clearNames(individual)
	for _, name := range ch.Clear {
		if !slices.Contains(allowed, name) {
			return cliapp.Usagef("invalid --%s %q: want %s", flagClear, name, strings.Join(allowed, ", "))
		}
		if c.IsSet(name) {
			return cliapp.Usagef("--%s and --%s %s exclude each other", name, flagClear, name)
		}
	}
	if ch.CredentialPolicy != "" && c.String(flagAPIVersion) < "2025-07-01" {
		return cliapp.Usagef("--%s needs --%s 2025-07-01-preview or later", flagCredentialPolicy, flagAPIVersion)
	}
	return nil
}

// none says whether nothing at all was given.
func (ch *changes) none() bool {
	return ch.Attestation == (attestationChanges{}) && ch.Status == nil && ch.Edge == nil && ch.AllocationPolicy == nil &&
		len(ch.IoTHubs) == 0 && ch.WebhookURL == "" && ch.WebhookVersion == "" && ch.Reprovision == nil && ch.Tags == nil &&
		ch.Properties == nil && ch.DeviceID == "" && ch.DeviceInfo == nil && ch.CredentialPolicy == "" && len(ch.Clear) == 0
}

// apply makes the changes but for the attestation. What the pointers in f lead
// to may be shared with another object: it is replaced, never written to.
func (ch *changes) apply(f enrollment.Fields) {
	for _, name := range ch.Clear {
		if clearSetting := clearable[name]; clearSetting != nil {
			clearSetting(f)
		}
	}
	if ch.Status != nil {
		*f.ProvisioningStatus = *ch.Status
	}
	if ch.Edge != nil {
		capabilities := service.DeviceCapabilities{}
		if old := *f.Capabilities; old != nil {
			capabilities = *old
		}
		capabilities.IoTEdge = *ch.Edge
		*f.Capabilities = &capabilities
	}
	if ch.Reprovision != nil {
		policy := *ch.Reprovision
		*f.ReprovisionPolicy = &policy
	}
	if ch.Tags != nil {
		f.SetTags(ch.Tags)
	}
	if ch.Properties != nil {
		f.SetDesired(ch.Properties)
	}
	if f.Individual && ch.DeviceID != "" {
		*f.DeviceID = ch.DeviceID
	}
	if f.Individual && ch.DeviceInfo != nil {
		*f.OptionalDeviceInformation = ch.DeviceInfo
	}
	if ch.CredentialPolicy != "" {
		unknown := maps.Clone(*f.Unknown)
		if unknown == nil {
			unknown = map[string]json.RawMessage{}
		}
		unknown[memberCredentialPolicy], _ = json.Marshal(ch.CredentialPolicy) // text always encodes
		*f.Unknown = unknown
	}
	ch.applyAllocation(f)
}

// memberCredentialPolicy is a member of newer API versions, which the model
// carries as an unknown one.
const memberCredentialPolicy = "credentialPolicyName"

func (ch *changes) applyAllocation(f enrollment.Fields) {
	if ch.AllocationPolicy != nil {
		*f.AllocationPolicy = *ch.AllocationPolicy
	}
	if len(ch.IoTHubs) > 0 {
		*f.IoTHubs = ch.IoTHubs
	}
	if ch.AllocationPolicy != nil || len(ch.IoTHubs) > 0 {
		f.SettleAllocation()
	}
	if ch.WebhookURL == "" && ch.WebhookVersion == "" {
		return
	}
	webhook := service.CustomAllocationDefinition{}
	if old := *f.CustomAllocationDefinition; old != nil {
		webhook = *old
	}
	if ch.WebhookURL != "" {
		webhook.WebhookURL = ch.WebhookURL
	}
	if ch.WebhookVersion != "" {
		webhook.APIVersion = ch.WebhookVersion
	}
	*f.CustomAllocationDefinition = &webhook
}

// clearable are the settings that --clear removes, but for those of the
// attestation.
var clearable = map[string]func(enrollment.Fields){
	flagEdge: func(f enrollment.Fields) { *f.Capabilities = nil },
	flagAllocationPolicy: func(f enrollment.Fields) {
		*f.AllocationPolicy, *f.CustomAllocationDefinition = "", nil
	},
	flagIoTHub:            func(f enrollment.Fields) { *f.IoTHubs, *f.IoTHubHostName = nil, "" },
	flagReprovisionPolicy: func(f enrollment.Fields) { *f.ReprovisionPolicy = nil },
	flagTwinTags:          func(f enrollment.Fields) { f.SetTags(nil) },
	flagTwinProperties:    func(f enrollment.Fields) { f.SetDesired(nil) },
	flagDeviceID:          func(f enrollment.Fields) { *f.DeviceID = "" },
	flagDeviceInformation: func(f enrollment.Fields) { *f.OptionalDeviceInformation = nil },
	flagCredentialPolicy: func(f enrollment.Fields) {
		unknown := maps.Clone(*f.Unknown)
		delete(unknown, memberCredentialPolicy)
		*f.Unknown = unknown
	},
}

// clearNames lists what --clear takes.
func clearNames(individual bool) []string {
	names := []string{flagSigningCert, flagSecondaryCert, flagCAReference, flagSecondaryRef}
	if individual {
		names = []string{flagCert, flagSecondaryCert, flagDeviceID, flagDeviceInformation}
	}
	return append(names, flagEdge, flagAllocationPolicy, flagIoTHub, flagReprovisionPolicy, flagTwinTags, flagTwinProperties, flagCredentialPolicy)
}
