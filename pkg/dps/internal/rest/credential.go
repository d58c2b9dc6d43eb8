package rest

import (
	"context"
	"errors"
	"fmt"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/dpskit/dpskit/pkg/dps"
	"github.com/dpskit/dpskit/pkg/dps/internal/oneline"
)

// Credential makes the errors of a token credential ours: one line that matches
// dps.ErrUnauthorized. Errors of azidentity span many lines.
func Credential(inner azcore.TokenCredential) azcore.TokenCredential { return credential{inner} }

type credential struct{ inner azcore.TokenCredential }

func (c credential) GetToken(ctx context.Context, opts policy.TokenRequestOptions) (azcore.AccessToken, error) {
	token, err := c.inner.GetToken(ctx, opts)
	switch {
	case err == nil:
		return token, nil
	case ctx.Err() != nil:
		return azcore.AccessToken{}, ctx.Err()
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return azcore.AccessToken{}, err
	}
	return azcore.AccessToken{}, &tokenError{text: "get access token: " + oneline.Clean(err.Error(), 1024), cause: err}
}

// tokenError is one line, and still the cause for those who know it.
type tokenError struct {
	text  string
	cause error
}

func (e *tokenError) Error() string   { return dps.ErrUnauthorized.Error() + ": " + e.text }
func (e *tokenError) Unwrap() []error { return []error{dps.ErrUnauthorized, e.cause} }

// NonRetriable tells the azcore pipeline not to try again.
func (*tokenError) NonRetriable() {}

// Format keeps the inner credential, which may hold secrets, out of %+v.
func (credential) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte("token credential")) }
