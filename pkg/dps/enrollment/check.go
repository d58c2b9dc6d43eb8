package enrollment

import (
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/dpskit/dpskit/pkg/dps"
	"github.com/dpskit/dpskit/pkg/dps/service"
)

// Problem is something about one member of an enrollment.
type Problem struct {
	// Member is the name of the member as the service writes it, with those
	// around it: "attestation.x509.clientCertificates.primary".
	Member string
	// Text says what is wrong, without secrets.
	Text string
	// Fix says what to do; it may be empty.
	Fix string
}

// Error returns "member: text".
func (p Problem) Error() string { return p.Member + ": " + p.Text }

// Check returns everything in the enrollment that the service, or a rule of its
// official clients, refuses; nil if it can be sent. The object may be new, or
// one that was read and changed.
func Check[T Object](object T) []Problem {
	c := checker{Fields: Of(&object)}
	c.id()
	c.attestation()
	c.status()
	c.allocation()
	c.twin()
	return c.problems
}

// checker collects problems.
type checker struct {
	Fields
	problems []Problem
}

func (c *checker) add(member, fix, format string, args ...any) {
	c.problems = append(c.problems, Problem{Member: member, Text: fmt.Sprintf(format, args...), Fix: fix})
}

// maxCommonName is the largest common name of a certificate (RFC 5280), and
// with X.509 the registration id is one.
const maxCommonName = 64

// deviceIDForm is that of a device identity in an IoT hub.
var deviceIDForm = regexp.MustCompile(`^[A-Za-z0-9\-:.+%_#*?!(),=@;$']{1,128}$`)

func (c *checker) id() {
	if err := dps.CheckID(*c.ID); err != nil {
		c.add(c.idMember(), "", "%.140q: %v", *c.ID, err)
	} else if c.Individual && c.Attestation.Type == service.AttestationX509 && len(*c.ID) > maxCommonName {
		c.add(c.idMember(), "with X.509 the id is the common name of the certificate",
			"%q has %d characters: with X.509 at most %d", *c.ID, len(*c.ID), maxCommonName)
	}
	if !c.Individual {
		return
	}
	if *c.DeviceID != "" && !deviceIDForm.MatchString(*c.DeviceID) {
		c.add("deviceId", "", "%.140q: want 1 to 128 letters, digits and - : . + %% _ # * ? ! ( ) , = @ ; $ '", *c.DeviceID)
	}
	c.object("optionalDeviceInformation", *c.OptionalDeviceInformation)
}

// oneOf refuses a value that the service does not know.
func oneOf[S ~string](c *checker, member string, value S, allowed ...S) {
	if value == "" || slices.Contains(allowed, value) {
		return
	}
	names := make([]string, len(allowed))
	for i, a := range allowed {
		names[i] = string(a)
	}
	c.add(member, "", "%.80q: want %s", value, strings.Join(names, ", "))
}

func (c *checker) status() {
	oneOf(c, "provisioningStatus", *c.ProvisioningStatus, service.ProvisioningEnabled, service.ProvisioningDisabled)
}

// hostForm is a host name; the hubs of DPS are named so, never by URL.
var (
	hostForm       = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?)*$`)
	webhookVersion = regexp.MustCompile(`^20\d\d-\d\d-\d\d(-preview)?$`)
)

// allocation checks how policy, hubs and webhook go together.
func (c *checker) allocation() {
	policy, hubs, custom := *c.AllocationPolicy, *c.IoTHubs, *c.CustomAllocationDefinition
	oneOf(c, "allocationPolicy", policy, service.AllAllocationPolicies()...)
	c.hubs(hubs)
	switch {
	case *c.IoTHubHostName != "" && policy != "":
		c.add("iotHubHostName", "drop it and list the hub in iotHubs", "it excludes allocationPolicy")
	case len(hubs) > 0 && policy == "":
		c.add("allocationPolicy", "static for one hub; hashed, geoLatency or custom to choose among several",
			"it must be given together with hubs")
	case policy == service.AllocationStatic && len(hubs) != 1:
		c.add("iotHubs", "hashed and geoLatency choose among several", "the policy static needs exactly one hub, here are %d", len(hubs))
	}
	switch {
	case policy == service.AllocationCustom:
		c.webhook(custom)
	case custom != nil && (custom.WebhookURL != "" || custom.APIVersion != ""):
		c.add("customAllocationDefinition", "set the policy custom, or drop the webhook", "a webhook goes with the policy custom only")
	}
}

func (c *checker) hubs(hubs []string) {
	seen := map[string]bool{}
	for i, hub := range append([]string{*c.IoTHubHostName}, hubs...) {
		member := "iotHubs"
		if i == 0 {
			if member = "iotHubHostName"; hub == "" {
				continue
			}
		}
		fold := strings.ToLower(hub)
		switch {
		case !hostForm.MatchString(hub) || len(hub) > 255:
			c.add(member, "", "%.80q is not a host name such as NAME.azure-devices.net", hub)
		case !strings.Contains(hub, "."):
			c.add(member, "write "+hub+".azure-devices.net", "%q is the name of a hub, not its host name", hub)
		case seen[fold]:
			c.add(member, "", "%q is listed twice", hub)
		}
		seen[fold] = true
	}
}

func (c *checker) webhook(custom *service.CustomAllocationDefinition) {
	const member = "customAllocationDefinition"
	if custom == nil || custom.WebhookURL == "" || custom.APIVersion == "" {
		c.add(member, "", "the policy custom needs the URL of the webhook and the API version of its request")
		return
	}
	// The URL may carry a function key: it is never repeated.
	u, err := url.Parse(custom.WebhookURL)
	if HidesQuery(custom.WebhookURL) {
		c.add(member+".webhookUrl", "the show command prints it whole with --show-webhook-url", "it was hidden when this was printed")
	} else if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" {
		c.add(member+".webhookUrl", "", "not an absolute https URL")
	}
	if !webhookVersion.MatchString(custom.APIVersion) {
		c.add(member+".apiVersion", "the documentation uses 2018-09-01-preview and later", "%.40q is not a version such as 2019-03-31", custom.APIVersion)
	}
}
