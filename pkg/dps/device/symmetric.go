package device

import (
	"fmt"
	"net/http"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/dpskit/dpskit/pkg/dps"
)

const (
	// tokenKeyName is the policy name that the service expects in the token of a
	// device.
	tokenKeyName = "registration"
	// tokenLifetime is how long a token is valid. Each request over HTTPS and each
	// connection over MQTT has its own.
	tokenLifetime = time.Hour
)

// SymmetricKey proves the identity with the key of the device, base64 as the
// service shows it: the primary or secondary key of an individual enrollment,
// or a key derived from that of a group with dps.DeriveDeviceKey. The key is
// never sent; it signs a token for each request.
func SymmetricKey(key dps.Secret) Credential {
	return credentialFunc(func(scope, registrationID string) (identity, error) {
		return keyIdentity(scope, registrationID, key, "the device signed in with a key of its own")
	})
}

// GroupKey proves the identity with a key that is derived on the spot from the
// primary or secondary key of an enrollment group and the registration id, in
// the spelling given to NewClient. Who holds the key of a group can be any
// device in it: it belongs on no device. It is for tests and factories.
func GroupKey(groupKey dps.Secret) Credential {
	return credentialFunc(func(scope, registrationID string) (identity, error) {
		key, err := dps.DeriveDeviceKey(groupKey, registrationID)
		if err != nil {
			return identity{}, err
		}
		return keyIdentity(scope, registrationID, key,
			fmt.Sprintf("the device signed in with a key derived from a group's key for the id %q", registrationID))
	})
}

func keyIdentity(scope, registrationID string, key dps.Secret, detail string) (identity, error) {
	resource := scope + "/registrations/" + registrationID
	token := func(now time.Time) (string, error) {
		return dps.SASToken(resource, tokenKeyName, key, now.Add(tokenLifetime))
	}
	if _, err := token(time.Unix(0, 0)); err != nil {
		return identity{}, err
	}
	return identity{token: token, detail: detail}, nil
}

// signer puts a token on each attempt of a request; nil for a certificate.
func signer(id identity, now func() time.Time) policy.Policy {
	if id.token == nil {
		return nil
	}
	return policyFunc(func(req *policy.Request) (*http.Response, error) {
		token, err := id.token(now())
		if err != nil {
			return nil, fmt.Errorf("%w: %w", dps.ErrUnauthorized, err)
		}
		req.Raw().Header.Set("Authorization", token)
		return req.Next()
	})
}

type policyFunc func(*policy.Request) (*http.Response, error)

func (f policyFunc) Do(req *policy.Request) (*http.Response, error) { return f(req) }
