package arm

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	armdps "github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/deviceprovisioningservices/armdeviceprovisioningservices"
	"github.com/dpskit/dpskit/pkg/dps"
)

// Rights that a shared access policy may give
// (https://learn.microsoft.com/azure/iot-dps/concepts-control-access-dps).
const (
	RightServiceConfig           = "ServiceConfig"
	RightEnrollmentRead          = "EnrollmentRead"
	RightEnrollmentWrite         = "EnrollmentWrite"
	RightDeviceConnect           = "DeviceConnect"
	RightRegistrationStatusRead  = "RegistrationStatusRead"
	RightRegistrationStatusWrite = "RegistrationStatusWrite"
)

// Key is a shared access policy of a service with its keys.
type Key struct {
	// Name of the policy, such as provisioningserviceowner.
	Name string
	// Primary and Secondary are base64 text; either one signs tokens.
	Primary, Secondary dps.Secret
	// Rights are the names of what the policy allows.
	Rights []string
}

// Allows reports whether the policy gives all of these rights. Letter case does
// not matter.
func (k Key) Allows(rights ...string) bool {
	for _, r := range rights {
		if !slices.ContainsFunc(k.Rights, func(have string) bool { return strings.EqualFold(have, r) }) {
			return false
		}
	}
	return true
}

// ErrNoPolicy is returned by [OwnerKey].
var ErrNoPolicy = errors.New("no shared access policy has ServiceConfig and EnrollmentWrite")

// OwnerKey returns the first policy that may manage enrollments, which is the
// one that Microsoft's tools take: it has ServiceConfig and EnrollmentWrite.
func OwnerKey(keys []Key) (Key, error) {
	for _, k := range keys {
		if k.Allows(RightServiceConfig, RightEnrollmentWrite) && k.Primary != "" {
			return k, nil
		}
	}
	return Key{}, ErrNoPolicy
}

// Keys returns the shared access policies of the service with their keys, which
// are secrets. It needs the right to list keys, which a Reader does not have.
func (c *Client) Keys(ctx context.Context) ([]Key, error) {
	op := fmt.Sprintf("list keys of provisioning service %q", c.scope.ServiceName)
	pager := c.services.NewListKeysPager(c.scope.ServiceName, c.scope.ResourceGroup, nil)
	keys := []Key{}
	for k, err := range pages(ctx, c.plane, op, pager, func(r armdps.IotDpsResourceClientListKeysResponse) ([]Key, *string, error) {
		return listed(r.Value, r.NextLink, fromRule)
	}) {
		if err != nil {
			return nil, err
		}
		keys = append(keys, k)
	}
	return keys, nil
}

// fromRule converts a policy. The service joins the rights with a comma and a
// space, in no fixed order.
func fromRule(r armdps.SharedAccessSignatureAuthorizationRuleAccessRightsDescription) Key {
	k := Key{Name: deref(r.KeyName), Primary: dps.Secret(deref(r.PrimaryKey)), Secondary: dps.Secret(deref(r.SecondaryKey)), Rights: []string{}}
	for right := range strings.SplitSeq(string(deref(r.Rights)), ",") {
		if right = strings.TrimSpace(right); right != "" {
			k.Rights = append(k.Rights, right)
		}
	}
	return k
}
