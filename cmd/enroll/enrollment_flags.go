package main

import (
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/dpskit/dpskit/cmd/internal/cliapp"
	"github.com/dpskit/dpskit/pkg/dps/service"
)

// Names of the flags that describe an enrollment.
const (
	flagPrimaryKeyFile    = "primary-key-file"
	flagSecondaryKeyFile  = "secondary-key-file"
	flagEndorsementKey    = "endorsement-key"
	flagStorageRootKey    = "storage-root-key"
	flagEdge              = "edge"
	flagIoTHub            = "iot-hub"
	flagAllocationPolicy  = "allocation-policy"
	flagWebhookURL        = "webhook-url"
	flagWebhookAPIVersion = "webhook-api-version"
	flagReprovisionPolicy = "reprovision-policy"
	flagTwinTags          = "initial-twin-tags"
	flagTwinProperties    = "initial-twin-properties"
	flagDeviceID          = "device-id"
	flagDeviceInformation = "device-information"
	flagCredentialPolicy  = "credential-policy"
	flagIfExists          = "if-exists"
	flagIfMatch           = "if-match"
	flagClear             = "clear"
	flagTop               = "top"
	flagShowWebhookURL    = "show-webhook-url"
)

const categorySettings = "Settings"

// attestationFlags say how devices prove who they are.
func attestationFlags(individual, create bool) []cli.Flag {
	var list []cli.Flag
	if individual {
		list = append(list,
			&cli.StringFlag{Name: flagCert, Usage: "the device's own certificate: `FILE` in PEM or DER"},
			&cli.StringFlag{Name: flagSecondaryCert, Usage: "a second one, for a rollover: `FILE`"},
			&cli.StringFlag{Name: flagEndorsementKey, Usage: "endorsement key of the device's TPM: base64 `KEY`, or @FILE"},
			&cli.StringFlag{Name: flagStorageRootKey, Usage: "storage root key of the TPM, optional: base64 `KEY`, or @FILE"})
	} else {
		list = append(list,
			&cli.StringFlag{Name: flagSigningCert, Usage: "root or intermediate that signs the devices: `FILE` in PEM or DER"},
			&cli.StringFlag{Name: flagSecondaryCert, Usage: "a second one, for a rollover: `FILE`"},
			&cli.StringFlag{Name: flagCAReference, Usage: "`NAME` of a verified CA of this DPS instead of a signing certificate"},
			&cli.StringFlag{Name: flagSecondaryRef, Usage: "a second one: `NAME`"})
	}
	if create {
		list = append(list, &cli.BoolFlag{Name: flagSymmetricKey, Usage: "symmetric keys, made by the service unless you give them"})
	}
	return append(list,
		&cli.StringFlag{Name: flagPrimaryKeyFile, Usage: "read your own primary key, base64 of 16 to 64 bytes, from `FILE` (- is standard input)"},
		&cli.StringFlag{Name: flagSecondaryKeyFile, Usage: "read your own secondary key from `FILE`"})
}

// settingFlags are the settings of an enrollment.
func settingFlags(individual bool) []cli.Flag {
	policies := make([]string, 0, 4)
	for _, p := range service.AllAllocationPolicies() {
		policies = append(policies, string(p))
	}
	s := func(name, usage string) cli.Flag {
		return &cli.StringFlag{Name: name, Category: categorySettings, Usage: usage}
	}
	list := []cli.Flag{
		s(flagProvisioning, "`STATUS` enabled or disabled"),
		&cli.BoolFlag{Name: flagEdge, Category: categorySettings, Usage: "the devices are IoT Edge devices (--" + flagEdge + "=false: they are not)"},
		s(flagAllocationPolicy, "how a hub is chosen: `POLICY` "+strings.Join(policies, ", ")),
		&cli.StringSliceFlag{Name: flagIoTHub, Category: categorySettings, Usage: "`HOST` of an IoT hub to choose from, repeatable; needs --" + flagAllocationPolicy},
		s(flagWebhookURL, "`URL` of the webhook of the policy custom, or @FILE to keep its key off the command line"),
		s(flagWebhookAPIVersion, "API `VERSION` of the request to the webhook, such as 2019-03-31"),
		s(flagReprovisionPolicy, "what happens when a device registers again: `POLICY` migrate (move its twin along), reset (start from the initial twin), never (keep its hub)"),
		s(flagTwinTags, "tags of the initial device twin: `JSON` object, or @FILE"),
		s(flagTwinProperties, "desired properties of the initial device twin: `JSON` object, or @FILE"),
		s(flagCredentialPolicy, "`NAME` of a credential policy; needs --"+flagAPIVersion+" 2025-07-01-preview or later"),
	}
	if individual {
		list = append(list,
			s(flagDeviceID, "`ID` of the device in the IoT hub (default: the registration ID)"),
			s(flagDeviceInformation, "information about the device of your own: `JSON` object, or @FILE"))
	}
	return list
}

func ifExistsFlag() cli.Flag {
	return &cli.StringFlag{
		Name: flagIfExists, Value: string(existsFail),
		Usage: "if it exists already, `DO`: fail (exit code 5), skip (leave it as it is) or update (set what is given here, keep the rest)",
	}
}

func clearFlag(individual bool) cli.Flag {
	return &cli.StringSliceFlag{Name: flagClear, Usage: "remove a setting, repeatable: `NAME` is " + strings.Join(clearNames(individual), ", ")}
}

func ifMatchFlag() cli.Flag {
	return &cli.StringFlag{Name: flagIfMatch, Usage: "do it only if this is the current `ETAG`; * for any"}
}

// existing is what to do about an enrollment that exists.
type existing string

const (
	existsFail   existing = "fail"
	existsSkip   existing = "skip"
	existsUpdate existing = "update"
)

func existingFrom(c *cli.Context) (existing, error) {
	switch e := existing(c.String(flagIfExists)); e {
	case existsFail, existsSkip, existsUpdate:
		return e, nil
	}
	return "", cliapp.Usagef("invalid --%s %q: want fail, skip or update", flagIfExists, c.String(flagIfExists))
}

// reprovisionPolicies are the names that the portal and the documentation use
// (https://learn.microsoft.com/azure/iot-dps/concepts-device-reprovision).
var reprovisionPolicies = []struct {
	name   string
	policy service.ReprovisionPolicy
}{
	{"migrate", service.ReprovisionPolicy{UpdateHubAssignment: true, MigrateDeviceData: true}},
	{"reset", service.ReprovisionPolicy{UpdateHubAssignment: true}},
	{"never", service.ReprovisionPolicy{}},
}

func parseReprovisionPolicy(name string) (*service.ReprovisionPolicy, error) {
	for _, p := range reprovisionPolicies {
		if p.name == name {
			return &p.policy, nil
		}
	}
	return nil, cliapp.Usagef("invalid --%s %q: want migrate, reset or never", flagReprovisionPolicy, name)
}

func reprovisionName(p *service.ReprovisionPolicy) string {
	if p == nil {
		return ""
	}
	for _, known := range reprovisionPolicies {
		if known.policy.UpdateHubAssignment == p.UpdateHubAssignment && known.policy.MigrateDeviceData == p.MigrateDeviceData {
			return known.name
		}
	}
	return "data only" // migrateDeviceData without updateHubAssignment has no name
}
