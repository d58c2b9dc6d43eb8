package service_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/dpskit/dpskit/pkg/dps"
	"github.com/dpskit/dpskit/pkg/dps/service"
)

// TestCanary sends a key wherever a key can be sent, to a server that repeats
// what it hears, and looks for it everywhere.
func TestCanary(t *testing.T) {
	const canary = "Y2FuYXJ5LWNhbmFyeS1jYW5hcnktY2FuYXJ5LTEyMw=="
	echo := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body := new(strings.Builder)
		fmt.Fprintf(body, "%v %v ", r.Header, r.URL)
		raw := new(bytes.Buffer)
		_, _ = raw.ReadFrom(r.Body)
		w.WriteHeader(http.StatusBadRequest)
		text := strings.ReplaceAll(body.String()+raw.String(), `"`, "'")
		fmt.Fprintf(w, `{"errorCode":400004,"message":"%s","trackingId":"%s"}`, strings.ReplaceAll(text, `\`, ""), text[max(0, len(text)-40):])
	}))
	defer echo.Close()
	host := strings.TrimPrefix(echo.URL, "https://")
	var logged bytes.Buffer
	opts := &service.ClientOptions{HTTPClient: echo.Client(), RetryDelay: 1,
		Logger: slog.New(slog.NewTextHandler(&logged, &slog.HandlerOptions{Level: slog.LevelDebug}))}
	var shown strings.Builder
	for _, cred := range []service.Credential{service.SharedKey("owner", canary), service.Token(staticToken(canary))} {
		c, err := service.NewClient(host, cred, opts)
		if err != nil {
			t.Fatal(err)
		}
		group := service.EnrollmentGroup{EnrollmentGroupID: "g", Attestation: service.SymmetricKeys(canary, canary)}
		enrollment := service.IndividualEnrollment{RegistrationID: "d", Attestation: service.SymmetricKeys(canary, canary)}
		_, getErr := c.GetGroup(t.Context(), "g", nil)
		_, putErr := c.PutGroup(t.Context(), group, nil)
		_, updateErr := c.PutEnrollment(t.Context(), enrollment, &service.PutOptions{IfMatch: "*"})
		_, bulkErr := c.BulkEnrollments(t.Context(), service.BulkCreate, []service.IndividualEnrollment{enrollment})
		_, pageErr := collect(t, c, nil)
		for _, err := range []error{getErr, putErr, updateErr, bulkErr, pageErr, c.DeleteGroup(t.Context(), "g", nil)} {
			if err == nil {
				t.Fatal("the server accepted something")
			}
			fmt.Fprintf(&shown, "%v\n%+v\n%#v\n", err, err, err)
			x, _ := dps.Explain(err)
			fmt.Fprintln(&shown, x)
		}
		for _, value := range []any{c, *c, cred, group, &group, enrollment, opts} {
			fmt.Fprintf(&shown, "%v\n%+v\n%#v\n", value, value, value)
		}
	}
	shown.WriteString(logged.String())
	for _, form := range []string{canary, url.QueryEscape(canary), strings.TrimRight(canary, "="), "sig="} {
		if i := strings.Index(shown.String(), form); i >= 0 {
			t.Errorf("%q is shown: …%s…", form, shown.String()[max(0, i-200):min(shown.Len(), i+100)])
		}
	}
	if !strings.Contains(shown.String(), "REDACTED") || logged.Len() == 0 {
		t.Error("nothing was redacted or logged; this test proves nothing")
	}
}

func TestRedirectCarriesNoAuthorization(t *testing.T) {
	reached := false
	thief := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached = true }))
	defer thief.Close()
	honest := httptest.NewTLSServer(http.RedirectHandler(thief.URL, http.StatusPermanentRedirect))
	defer honest.Close()
	c, err := service.NewClient(strings.TrimPrefix(honest.URL, "https://"), service.SharedKey("owner", testKey), &service.ClientOptions{HTTPClient: honest.Client()})
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.PutGroup(t.Context(), service.EnrollmentGroup{EnrollmentGroupID: "g", Attestation: service.SymmetricKeys(testKey, "")}, nil)
	wantError(t, err, dps.ErrUnexpectedAnswer, 0)
	if reached || !strings.Contains(err.Error(), "redirect to") {
		t.Errorf("reached %v, %v", reached, err)
	}
}
