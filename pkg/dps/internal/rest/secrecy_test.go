package rest_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/dpskit/dpskit/pkg/dps"
	"github.com/dpskit/dpskit/pkg/dps/internal/rest"
)

const canary = "CANARY+canary/canary+canary=="

// debugLog returns a logger that keeps everything.
func debugLog() (*slog.Logger, *bytes.Buffer) {
	var b bytes.Buffer
	return slog.New(slog.NewJSONHandler(&b, &slog.HandlerOptions{Level: slog.LevelDebug - 10})), &b
}

// TestSecretsOfTheRequestAreCut lets the server repeat everything it was told.
func TestSecretsOfTheRequestAreCut(t *testing.T) {
	token := "SharedAccessSignature sr=h&sig=" + url.QueryEscape(canary) + "&se=1&skn=p"
	for name, tt := range map[string]struct{ auth, body string }{
		"whole token":       {token, token},
		"signature decoded": {token, "signature " + canary + " is wrong"},
		"signature encoded": {token, "signature " + url.QueryEscape(canary) + " is wrong"},
		"bearer token":      {"Bearer " + canary, "token " + canary + " has expired"},
		"key in the body":   {"", "primaryKey " + canary + " is not allowed"},
	} {
		t.Run(name, func(t *testing.T) {
			logger, logged := debugLog()
			body := `{"errorCode":400004,"message":"` + tt.body + `","trackingId":"` + tt.body + `","info":{"said":"` + tt.body + `","` + tt.body + `":"x"}}`
			s := &server{answers: []answer{{status: 400, body: body}}}
			c := withAuth(s, tt.auth, func(c *rest.Config) { c.Logger = logger })
			_, err := get(t.Context(), c, &rest.Call{Op: "o", Secrets: []dps.Secret{canary}})
			shown := fmt.Sprintf("%v %+v %#v %s", err, err, err, logged)
			if strings.Contains(shown, canary) || strings.Contains(shown, url.QueryEscape(canary)) {
				t.Errorf("shown: %s", shown)
			}
			if !strings.Contains(err.Error(), "REDACTED") {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestSecretCutInTheMiddleIsCut(t *testing.T) {
	for cut := range len(canary) {
		// The message is shortened to 1024 bytes, somewhere inside the secret.
		body := `{"message":"` + strings.Repeat("x", 1024-len("…")-cut) + canary + strings.Repeat("y", 100) + `"}`
		s := &server{answers: []answer{{status: 400, body: body}}}
		_, err := get(t.Context(), newClient(s), &rest.Call{Op: "o", Secrets: []dps.Secret{canary}})
		if strings.Contains(err.Error(), canary[:8]) {
			t.Errorf("cut at %d: …%s", cut, err.Error()[1000:])
		}
	}
}

func TestTransportErrorsAreCut(t *testing.T) {
	logger, logged := debugLog()
	s := &server{answers: []answer{{err: errors.New("proxy says: Authorization was Bearer " + canary + "\nbye\x1b[2J")}}}
	c := withAuth(s, "Bearer "+canary, quick, func(c *rest.Config) { c.Logger = logger })
	_, err := get(t.Context(), c, &rest.Call{Op: "o"})
	if shown := err.Error() + logged.String(); strings.Contains(shown, canary) || strings.ContainsAny(err.Error(), "\n\x1b") {
		t.Errorf("shown: %s", shown)
	}
}

func TestLogHasNoHeadersAndBodies(t *testing.T) {
	logger, logged := debugLog()
	s := &server{answers: []answer{{status: 503, body: `{"errorCode":503001,"trackingId":"track","message":"busy"}`}, {status: 200, body: `{"primaryKey":"` + canary + `"}`}}}
	c := withAuth(s, "Bearer "+canary, quick, func(c *rest.Config) { c.Logger = logger })
	_, err := c.Do(t.Context(), &rest.Call{Op: "o"}, rest.Request{Method: http.MethodPut, Path: "/groups/g",
		Header: http.Header{"If-Match": {"etag-value"}}, Body: []byte(`{"key":"` + canary + `"}`)})
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(logged.String(), canary) || strings.Contains(logged.String(), "etag-value") {
		t.Errorf("logged: %s", logged)
	}
	for _, want := range []string{`"status":503`, `"status":200`, `"attempt":2`, `"tracking_id":"track"`, `"path":"/groups/g"`, `"method":"PUT"`} {
		if !strings.Contains(logged.String(), want) {
			t.Errorf("%s is not logged: %s", want, logged)
		}
	}
}

// TestRedirectsAreRefused uses real servers, because net/http would otherwise
// follow, and on the same host even with the Authorization header.
func TestRedirectsAreRefused(t *testing.T) {
	visits := 0
	other := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { visits++ }))
	defer other.Close()
	target := other.URL + "/stolen?x=1"
	first := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/a/b" {
			w.Header().Set("Location", target)
			w.WriteHeader(http.StatusTemporaryRedirect)
			return
		}
		visits++
	}))
	defer first.Close()
	for name, location := range map[string]string{
		"another host": other.URL + "/stolen?x=1", "the same host": "/elsewhere",
		"another scheme": strings.Replace(first.URL, "https", "http", 1), "nowhere": "",
	} {
		t.Run(name, func(t *testing.T) {
			target = location
			client := first.Client()
			client.Timeout = 0
			c := rest.NewClient("test", strings.TrimPrefix(first.URL, "https://"), "v", authorization("Bearer "+canary), rest.Config{HTTPClient: client})
			_, err := get(t.Context(), c, &rest.Call{Op: "o"})
			if !errors.Is(err, dps.ErrUnexpectedAnswer) || errors.Is(err, dps.ErrUnavailable) {
				t.Errorf("got %v", err)
			}
			if strings.Contains(fmt.Sprint(err), "stolen") {
				t.Errorf("the target's path is shown: %v", err)
			}
			if visits != 0 {
				t.Errorf("%d requests after the redirect", visits)
			}
			if client.CheckRedirect != nil {
				t.Error("the caller's client was changed")
			}
		})
	}
}

// tokens is a token credential that fails or succeeds.
type tokens struct{ err error }

func (c tokens) GetToken(context.Context, policy.TokenRequestOptions) (azcore.AccessToken, error) {
	return azcore.AccessToken{Token: canary}, c.err
}

func TestCredentialErrors(t *testing.T) {
	_, err := rest.Credential(tokens{errors.New("DefaultAzureCredential failed:\n\tno variable\n\tno CLI")}).GetToken(t.Context(), policy.TokenRequestOptions{})
	if !errors.Is(err, dps.ErrUnauthorized) || strings.Contains(err.Error(), "\n") {
		t.Errorf("got %q", err)
	}
	cause := errors.New("nobody is signed in")
	if _, err := rest.Credential(tokens{cause}).GetToken(t.Context(), policy.TokenRequestOptions{}); !errors.Is(err, cause) || !errors.Is(err, dps.ErrUnauthorized) {
		t.Errorf("got %q, which is not its cause", err)
	}
	_, err = rest.Credential(tokens{fmt.Errorf("x: %w", context.Canceled)}).GetToken(t.Context(), policy.TokenRequestOptions{})
	if !errors.Is(err, context.Canceled) || errors.Is(err, dps.ErrUnauthorized) {
		t.Errorf("got %q", err)
	}
	cred := rest.Credential(tokens{})
	token, err := cred.GetToken(t.Context(), policy.TokenRequestOptions{})
	if err != nil || token.Token != canary {
		t.Errorf("got %v, %v", token.Token, err)
	}
	if got := fmt.Sprintf("%v %+v %#v", cred, cred, cred); strings.Contains(got, "tokens") {
		t.Errorf("the inner credential is shown: %s", got)
	}
}
