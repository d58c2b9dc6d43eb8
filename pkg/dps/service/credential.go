package service

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"
	"github.com/dpskit/dpskit/pkg/dps"
	"github.com/dpskit/dpskit/pkg/dps/internal/rest"
)

// tokenScope is the audience of the service API in Microsoft Entra ID.
const tokenScope = "https://azure-devices-provisioning.net/.default"

// sasLifetime is how long a signed token is valid. Each request has its own.
const sasLifetime = time.Hour

// Credential authorises requests: [SharedKey] or [Token].
type Credential interface {
	// policy returns the step that authorises each attempt to reach host.
	policy(host string, now func() time.Time) (policy.Policy, error)
}

// SharedKey signs requests with a shared access policy, such as
// provisioningserviceowner, and its key as the portal shows it (base64).
func SharedKey(keyName string, key dps.Secret) Credential {
	// A closure, not a struct: package fmt would print the fields of one.
	return credentialFunc(func(host string, now func() time.Time) (policy.Policy, error) {
		if now == nil {
			now = time.Now
		}
		if keyName == "" {
			return nil, errors.New("shared access policy name is empty")
		}
		resource := strings.ToLower(host)
		if _, err := dps.SASToken(resource, keyName, key, now()); err != nil {
			return nil, err
		}
		return policyFunc(func(req *policy.Request) (*http.Response, error) {
			token, err := dps.SASToken(resource, keyName, key, now().Add(sasLifetime))
			if err != nil {
				return nil, fmt.Errorf("%w: %w", dps.ErrUnauthorized, err)
			}
			req.Raw().Header.Set("Authorization", token)
			return req.Next()
		}), nil
	})
}

// Token authorises requests with Microsoft Entra ID. The identity needs the
// role "Device Provisioning Service Data Contributor", or "… Data Reader" to
// read.
func Token(cred azcore.TokenCredential) Credential {
	return credentialFunc(func(string, func() time.Time) (policy.Policy, error) {
		if cred == nil {
			return nil, errors.New("token credential is nil")
		}
		return runtime.NewBearerTokenPolicy(rest.Credential(cred), []string{tokenScope}, nil), nil
	})
}

type credentialFunc func(string, func() time.Time) (policy.Policy, error)

func (f credentialFunc) policy(host string, now func() time.Time) (policy.Policy, error) {
	return f(host, now)
}

type policyFunc func(*policy.Request) (*http.Response, error)

func (f policyFunc) Do(req *policy.Request) (*http.Response, error) { return f(req) }
