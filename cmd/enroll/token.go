package main

import (
	"context"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"

	"github.com/dpskit/dpskit/pkg/dps/emulator"
)

// developmentToken is the emulator's documented bearer token. It opens nothing
// but an emulator, so it needs no secrecy.
type developmentToken struct{}

func (developmentToken) GetToken(context.Context, policy.TokenRequestOptions) (azcore.AccessToken, error) {
	return azcore.AccessToken{Token: emulator.DevelopmentToken, ExpiresOn: time.Now().Add(time.Hour)}, nil
}
