package device_test

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/dpskit/dpskit/pkg/dps"
	"github.com/dpskit/dpskit/pkg/dps/device"
	"github.com/dpskit/dpskit/pkg/dps/emulator"
	"github.com/dpskit/dpskit/pkg/dps/service"
)

// Keys of 32 bytes, as a person would make them.
var (
	primaryKey   = dps.Secret(base64.StdEncoding.EncodeToString([]byte("primary-primary-primary-primary!")))
	secondaryKey = dps.Secret(base64.StdEncoding.EncodeToString([]byte("second-second-second-second-key!")))
	strangerKey  = dps.Secret(base64.StdEncoding.EncodeToString([]byte("nobody-knows-this-key-not-at-all")))
)

// keyed is a world with one group and one individual enrollment on keys.
func keyed(t *testing.T, opts ...func(*emulator.Options)) *world {
	t.Helper()
	w := newWorld(t, opts...)
	must[service.EnrollmentGroup](t)(w.service.PutGroup(t.Context(), service.EnrollmentGroup{
		EnrollmentGroupID: "keys", Attestation: service.SymmetricKeys(primaryKey, secondaryKey)}, nil))
	w.individual(service.IndividualEnrollment{RegistrationID: "own", DeviceID: "Mine", Attestation: service.SymmetricKeys(primaryKey, secondaryKey)})
	return w
}

func (w *world) with(id string, cred device.Credential, change ...func(*device.ClientOptions)) (device.Result, error) {
	w.t.Helper()
	opts := &device.ClientOptions{Host: w.e.Info().HostName, RootCAs: w.e.CAPool(), RetryDelay: 1}
	for _, f := range change {
		f(opts)
	}
	c := must[*device.Client](w.t)(device.NewClient(w.e.Info().IDScope, id, cred, opts))
	return c.Register(w.t.Context(), nil)
}

func derived(t *testing.T, groupKey dps.Secret, id string) dps.Secret {
	t.Helper()
	return must[dps.Secret](t)(dps.DeriveDeviceKey(groupKey, id))
}

func TestRegisterWithAKey(t *testing.T) {
	w := keyed(t)
	for name, tt := range map[string]struct {
		id       string
		cred     device.Credential
		deviceID string
		group    string
	}{
		"individual, primary":               {"own", device.SymmetricKey(primaryKey), "Mine", ""},
		"individual, secondary":             {"own", device.SymmetricKey(secondaryKey), "Mine", ""},
		"group, derived beforehand":         {"dev-1", device.SymmetricKey(derived(t, primaryKey, "dev-1")), "dev-1", "keys"},
		"group, derived from the secondary": {"dev-2", device.GroupKey(secondaryKey), "dev-2", "keys"},
		"group, derived on the spot":        {"dev-3", device.GroupKey(primaryKey), "dev-3", "keys"},
		"mixed case and punctuation":        {"Dev_4.a:b-", device.GroupKey(primaryKey), "Dev_4.a:b-", "keys"},
	} {
		got, err := w.with(tt.id, tt.cred)
		if err != nil || got.Status != device.StatusAssigned || got.DeviceID != tt.deviceID || got.EnrollmentGroupID != tt.group || got.AssignedHub != hub {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
}

func TestRefusedKeys(t *testing.T) {
	w := keyed(t)
	cert, leaf := selfSigned(t, "cert")
	w.individual(service.IndividualEnrollment{RegistrationID: "cert", Attestation: service.ClientCertificate(leaf, nil)})
	for name, tt := range map[string]struct {
		id     string
		cred   device.Credential
		detail string
	}{
		"the key of the group":         {"dev-1", device.SymmetricKey(primaryKey), "a key of its own"},
		"a key nobody knows":           {"own", device.SymmetricKey(strangerKey), "a key of its own"},
		"the key of another device":    {"dev-1", device.SymmetricKey(derived(t, primaryKey, "dev-2")), "a key of its own"},
		"of a group, for an own entry": {"own", device.GroupKey(primaryKey), `derived from a group's key for the id "own"`},
		"of another group":             {"dev-1", device.GroupKey(strangerKey), "derived from a group's key"},
		"a key for a certificate":      {"cert", device.SymmetricKey(primaryKey), "a key of its own"},
		"a certificate for a key":      {"own", device.X509(cert), `the certificate's common name "cert"`},
	} {
		_, err := w.with(tt.id, tt.cred)
		refusal := wantError(t, err, dps.ErrUnauthorized, 401002)
		if refusal == nil || !strings.Contains(refusal.Detail, tt.detail) || strings.Contains(refusal.Detail, "did not ask") || refusal.Attempts != 1 {
			t.Errorf("%s: got %+v", name, refusal)
		}
		if x, ok := dps.Explain(err); !ok || !strings.Contains(x.Why, "seen from here: ") {
			t.Errorf("%s: explained as %+v", name, x)
		}
	}
}

// TestTokenFollowsTheClock: each request has a token of its own that is valid
// for an hour by the client's clock.
func TestTokenFollowsTheClock(t *testing.T) {
	now := time.Now()
	w := keyed(t, func(o *emulator.Options) { o.Now = func() time.Time { return now } })
	clock := func(offset time.Duration) func(*device.ClientOptions) {
		return func(o *device.ClientOptions) { o.Now = func() time.Time { return now.Add(offset) } }
	}
	if _, err := w.with("own", device.SymmetricKey(primaryKey), clock(-64*time.Minute)); err != nil {
		t.Errorf("a clock within the tolerance: %v", err)
	}
	_, err := w.with("own", device.SymmetricKey(primaryKey), clock(-66*time.Minute))
	wantError(t, err, dps.ErrUnauthorized, 401002)
	if x, ok := dps.Explain(err); !ok || !strings.Contains(x.What, "clock") {
		t.Errorf("explained as %+v", x)
	}
}

func TestNewClientRefusesKeys(t *testing.T) {
	for name, cred := range map[string]device.Credential{
		"empty":            device.SymmetricKey(""),
		"not base64":       device.SymmetricKey("hunter2-hunter2!"),
		"line end":         device.SymmetricKey(primaryKey + "\n"),
		"empty group":      device.GroupKey(""),
		"group not base64": device.GroupKey("hunter2-hunter2!"),
	} {
		c, err := device.NewClient("0ne00000000", "dev-1", cred, nil)
		if err == nil || c != nil || !strings.HasPrefix(err.Error(), "create device client: ") || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

// TestSymmetricKeyIsNeverShown looks for the key and the token in everything that
// can be printed, also where the server repeats what it was sent.
func TestSymmetricKeyIsNeverShown(t *testing.T) {
	var token string
	parrot := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		token = r.Header.Get("Authorization")
		w.WriteHeader(http.StatusUnauthorized)
		fmt.Fprintf(w, `{"errorCode":401002,"message":"no: %s"}`, token)
	}))
	defer parrot.Close()
	for name, cred := range map[string]device.Credential{"own": device.SymmetricKey(primaryKey), "group": device.GroupKey(primaryKey)} {
		var logged bytes.Buffer
		opts := &device.ClientOptions{Host: strings.TrimPrefix(parrot.URL, "https://"), RetryDelay: 1,
			RootCAs: parrot.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs,
			Logger:  slog.New(slog.NewTextHandler(&logged, &slog.HandlerOptions{Level: slog.LevelDebug}))}
		c := must[*device.Client](t)(device.NewClient("0ne00000000", "dev-1", cred, opts))
		_, err := c.Register(t.Context(), nil)
		wantError(t, err, dps.ErrUnauthorized, 401002)
		shown := fmt.Sprintf("%v %+v %#v %v %+v %#v %v %+v %#v %s", c, c, c, cred, cred, cred, err, err, err, logged.String())
		_, fields, _ := strings.Cut(token, "sig=")
		signature, _, _ := strings.Cut(fields, "&")
		if len(signature) < 40 {
			t.Fatalf("%s: token %q", name, token)
		}
		for _, secret := range []string{primaryKey.Reveal(), derived(t, primaryKey, "dev-1").Reveal(), signature} {
			if strings.Contains(shown, secret) {
				t.Errorf("%s: a secret in %s", name, shown)
			}
		}
	}
}
