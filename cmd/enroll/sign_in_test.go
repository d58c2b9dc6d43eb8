package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/urfave/cli/v2"

	"github.com/dpskit/dpskit/cmd/internal/cliapp"
)

// failing is a credential that fails as azidentity does.
type failing struct{ err error }

func (f failing) GetToken(context.Context, policy.TokenRequestOptions) (azcore.AccessToken, error) {
	return azcore.AccessToken{Token: "t"}, f.err
}

const wall = "DefaultAzureCredential: failed to acquire a token.\nAttempted credentials:\n\tEnvironmentCredential: missing environment variable AZURE_TENANT_ID\n" +
	"\tWorkloadIdentityCredential: no client ID specified. Check pod configuration or set ClientID in the options\n\tManagedIdentityCredential authentication failed. \n" +
	"\t\tGET http://169.254.169.254/metadata/identity/oauth2/token\n\t\t------\n\tAzureCLICredential: Azure CLI not found on path"

// TestSignInIsOneLine runs a command whose credentials fail.
func TestSignInIsOneLine(t *testing.T) {
	tests := []struct {
		name, text string
		env        map[string]string
		want       string
	}{
		{"nothing at all", wall, nil, "get access token: nobody is signed in to Microsoft Entra ID"},
		{"a tenant alone", wall, map[string]string{"AZURE_TENANT_ID": "x"}, "nobody is signed in to Microsoft Entra ID"},
		{"half an environment", wall, map[string]string{"AZURE_CLIENT_ID": "x"}, "sign-in to Microsoft Entra ID failed: missing environment variable AZURE_TENANT_ID"},
		{"an expired sign-in", wall + "\n\tAzureCLICredential: ERROR: AADSTS70043: The refresh token has expired or is invalid. Trace ID: 1-2 Correlation ID: 3\n\tInteractive authentication is needed.",
			nil, "sign-in to Microsoft Entra ID failed: AADSTS70043: The refresh token has expired or is invalid."},
		{"a long refusal", "x AADSTS1: " + strings.Repeat("é", 300), nil, "failed: AADSTS1: "},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var stderr, log bytes.Buffer
			getenv := func(name string) string { return tt.env[name] }
			logger := slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
			p := cliapp.Program{Name: "enroll", Classify: classify, New: func(env *cliapp.Env) *cli.App {
				return &cli.App{Action: func(c *cli.Context) error {
					ep, err := connect(env, connectOptions{Host: "h.azure-devices-provisioning.net", Logger: logger})
					if err != nil {
						return err
					}
					ep.entra = signIn{failing{errors.New(tt.text)}, getenv, logger}
					client, err := ep.service()
					if err == nil {
						_, err = client.GetGroup(c.Context, "g", nil)
					}
					return err
				}}
			}}
			code := p.Run(t.Context(), &cliapp.Env{Out: &stderr, Err: &stderr, Getenv: getenv}, nil)
			lines := strings.Split(strings.TrimSpace(stderr.String()), "\n")
			if code != cliapp.ExitUnauthorized || len(lines) != 2 || !strings.Contains(lines[0], tt.want) || len(lines[0]) > 400 {
				t.Errorf("exit code %d:\n%s", code, stderr.String())
			}
			if len(lines) == 2 && lines[1] != "enroll: hint: "+signInHint {
				t.Errorf("got %q", lines[1])
			}
			if !strings.Contains(log.String(), "no access token") {
				t.Errorf("the whole text is not in the log: %s", log.String())
			}
		})
	}
	token, err := signIn{inner: failing{}}.GetToken(t.Context(), policy.TokenRequestOptions{})
	if err != nil || token.Token != "t" {
		t.Errorf("got %v, %v", token.Token, err)
	}
	_, err = signIn{inner: failing{fmt.Errorf("x: %w", context.Canceled)}}.GetToken(t.Context(), policy.TokenRequestOptions{})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}
