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
func StaticToken(token string) azcore.TokenCredential { return staticToken(token) }

type staticToken string

// GetToken implements azcore.TokenCredential.
func (t staticToken) GetToken(context.Context, policy.TokenRequestOptions) (azcore.AccessToken, error) {
	return azcore.AccessToken{Token: string(t), ExpiresOn: time.Now().Add(time.Hour)}, nil
}

// String keeps the token out of logs.
func (staticToken) String() string { return "REDACTED" }

// GoString keeps the token out of logs.
func (staticToken) GoString() string { return "REDACTED" }
