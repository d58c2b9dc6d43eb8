package main

import (
	"context"
	"errors"
	"log/slog"
	"regexp"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
)

// signIn is a credential of azidentity whose failure is one line. What
// azidentity says goes on for many, one or more for each way that it tried.
type signIn struct {
	inner  azcore.TokenCredential
	getenv func(string) string
	logger *slog.Logger
}

// signInError says that no way to sign in to Microsoft Entra ID worked.
type signInError struct{ reason string }

func (e *signInError) Error() string {
	if e.reason == "" {
		return "nobody is signed in to Microsoft Entra ID"
	}
	return "sign-in to Microsoft Entra ID failed: " + e.reason
}

func (s signIn) GetToken(ctx context.Context, opts policy.TokenRequestOptions) (azcore.AccessToken, error) {
	token, err := s.inner.GetToken(ctx, opts)
	switch {
	case err == nil, ctx.Err() != nil, errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return token, err
	}
	if s.logger != nil {
		s.logger.DebugContext(ctx, "no access token", "error", strings.Join(strings.Fields(err.Error()), " "))
	}
	return azcore.AccessToken{}, &signInError{reason: signInReason(err.Error(), s.getenv)}
}

var (
	entraRefusal   = regexp.MustCompile(`AADSTS\d+: [^\n\r]*`)
	environmentWay = regexp.MustCompile(`EnvironmentCredential:? ([^\n\r]*)`)
)

// signInReason finds the one way that was meant among those that were tried:
// what Entra itself refused, or the environment if it was set at all.
func signInReason(text string, getenv func(string) string) string {
	reason := entraRefusal.FindString(text)
	if m := environmentWay.FindStringSubmatch(text); reason == "" && m != nil && environmentMeant(getenv) {
		reason = m[1]
	}
	const longest = 200
	reason, _, _ = strings.Cut(reason, " Trace ID:")
	if len(reason) > longest {
		reason = strings.ToValidUTF8(reason[:longest], "") + "…"
	}
	return reason
}

// environmentMeant tells whether a sign-in by the environment was prepared. The
// tenant alone is set on many machines.
func environmentMeant(getenv func(string) string) bool {
	if getenv == nil {
		return false
	}
	for _, name := range []string{"AZURE_CLIENT_ID", "AZURE_CLIENT_SECRET", "AZURE_CLIENT_CERTIFICATE_PATH"} {
		if getenv(name) != "" {
			return true
		}
	}
	return false
}

const signInHint = "run 'az login', or set AZURE_TENANT_ID, AZURE_CLIENT_ID and AZURE_CLIENT_SECRET; " +
	"enrollments can do with a connection string (" + envConnectionString + "); --log-level debug says what was tried"
