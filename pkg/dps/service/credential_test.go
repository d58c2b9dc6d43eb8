package service_test

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/dpskit/dpskit/pkg/dps"
	"github.com/dpskit/dpskit/pkg/dps/service"
)

// staticToken is a token credential with one token; empty fails.
type staticToken string

func (s staticToken) GetToken(_ context.Context, o policy.TokenRequestOptions) (azcore.AccessToken, error) {
	if s == "" {
		return azcore.AccessToken{}, errors.New("nobody is signed in:\n\tscope " + strings.Join(o.Scopes, " "))
	}
	return azcore.AccessToken{Token: string(s), ExpiresOn: time.Now().Add(time.Hour)}, nil
}

func TestNewClientRefuses(t *testing.T) {
	key := service.SharedKey("owner", testKey)
	for name, tt := range map[string]struct {
		host string
		cred service.Credential
		want string
	}{
		"no host":         {"", key, "host name is empty"},
		"scheme":          {"https://x", key, "scheme"},
		"path":            {"x/y", key, "path"},
		"iot hub":         {"x.azure-devices.net", key, "IoT hub"},
		"device endpoint": {"global.azure-devices-provisioning.net", key, "device endpoint"},
		"no credential":   {"x", nil, "no credential"},
		"no policy":       {"x", service.SharedKey("", testKey), "policy name is empty"},
		"bad key":         {"x", service.SharedKey("owner", dps.Secret(testKey+"!")), "not base64"},
		"no key":          {"x", service.SharedKey("owner", ""), "key is empty"},
		"nil token":       {"x", service.Token(nil), "token credential is nil"},
	} {
		c, err := service.NewClient(tt.host, tt.cred, nil)
		if err == nil || c != nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: got %v", name, err)
		} else if strings.Contains(err.Error(), testKey) {
			t.Errorf("%s: the key is in %v", name, err)
		}
	}
	c, err := service.NewClient("name.azure-devices-provisioning.net", key, nil)
	if err != nil || c.Host() != "name.azure-devices-provisioning.net" {
		t.Errorf("got %v", err)
	}
}

func TestSharedKeySignsEachAttempt(t *testing.T) {
	s := &scripted{answers: []scriptedAnswer{{status: 503}, {status: 503}, {status: 200, body: `{"enrollmentGroupId":"g","attestation":{"type":"x509"}}`}}}
	now := time.Unix(1_700_000_000, 0)
	c, err := service.NewClient("Name.Azure-Devices-Provisioning.net", service.SharedKey("the@owner", testKey), &service.ClientOptions{
		HTTPClient: clientOf(s), RetryDelay: 1, Now: func() time.Time { now = now.Add(time.Minute); return now }})
	if err != nil {
		t.Fatal(err)
	}
	must[service.EnrollmentGroup](t)(c.GetGroup(t.Context(), "g", nil))
	seen := map[string]bool{}
	for _, req := range s.requests {
		token := req.Header.Get("Authorization")
		seen[token] = true
		fields, err := url.ParseQuery(strings.TrimPrefix(token, "SharedAccessSignature "))
		if err != nil || fields.Get("sr") != "name.azure-devices-provisioning.net" || fields.Get("skn") != "the@owner" {
			t.Errorf("token %s", token)
		}
		want, err := dps.SASToken(fields.Get("sr"), "the@owner", testKey, parseUnix(t, fields.Get("se")))
		if err != nil || want != token {
			t.Errorf("token %s, want %s", token, want)
		}
	}
	if len(seen) != 3 {
		t.Errorf("%d different tokens in 3 attempts", len(seen))
	}
}

func TestTokenCredential(t *testing.T) {
	s, _ := scriptedClient(t, scriptedAnswer{status: 200, body: `[]`})
	c, err := service.NewClient("x.azure-devices-provisioning.net", service.Token(staticToken("tok")), &service.ClientOptions{HTTPClient: clientOf(s)})
	if err != nil {
		t.Fatal(err)
	}
	for _, err := range c.Groups(t.Context(), nil) {
		t.Error(err)
	}
	if got := s.requests[0].Header.Get("Authorization"); got != "Bearer tok" {
		t.Errorf("got %q", got)
	}
	c, err = service.NewClient("x.azure-devices-provisioning.net", service.Token(staticToken("")), &service.ClientOptions{HTTPClient: clientOf(s)})
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.GetGroup(t.Context(), "g", nil)
	wantError(t, err, dps.ErrUnauthorized, 0)
	if !strings.Contains(fmt.Sprint(err), "https://azure-devices-provisioning.net/.default") {
		t.Errorf("wrong scope: %v", err)
	}
	if len(s.requests) != 1 {
		t.Errorf("%d requests went out without a token", len(s.requests)-1)
	}
}
