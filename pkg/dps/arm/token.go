package arm

import (
	"context"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
)

// StaticToken is a credential that always presents the same bearer token, such
// as the one that an emulator tells when it starts. It asks nobody and never
// renews; for Azure use a credential of azidentity.
func StaticToken(token string) azcore.TokenCredential {
	// A closure, not a string: package fmt would print that inside a struct.
	return staticToken(func() string { return token })
}

type staticToken func() string

// GetToken implements azcore.TokenCredential.
func (t staticToken) GetToken(context.Context, policy.TokenRequestOptions) (azcore.AccessToken, error) {
	return azcore.AccessToken{Token: t(), ExpiresOn: time.Now().Add(time.Hour)}, nil
}

// String keeps the address of the closure out of logs; the token is not there.
func (staticToken) String() string { return "REDACTED" }
