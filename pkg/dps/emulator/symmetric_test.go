package emulator_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/dpskit/dpskit/pkg/dps/emulator"
)

// deviceKey derives the key of a device from the key of its group.
func deviceKey(t *testing.T, groupKey, id string) string {
	t.Helper()
	raw, err := base64.StdEncoding.DecodeString(groupKey)
	if err != nil {
		t.Fatal(err)
	}
	mac := hmac.New(sha256.New, raw)
	mac.Write([]byte(id))
	return base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

// withToken registers with a token and polls once.
func (w *world) withToken(id, token string) (register, poll answer) {
	w.t.Helper()
	h := map[string]string{"Authorization": token}
	register = w.device(http.MethodPut, "/register", id, nil, h, map[string]any{"registrationId": id})
	if register.status == http.StatusAccepted {
		poll = w.device(http.MethodGet, "/operations/"+register.str("operationId"), id, nil, h, nil)
	}
	return register, poll
}

func TestSymmetricKeyDevices(t *testing.T) {
	now := time.Now()
	w := newWorld(t, func(o *emulator.Options) { o.Now = func() time.Time { return now } })
	own := w.service(http.MethodPut, "/enrollments/own", symmetric("registrationId", "own", map[string]any{"deviceId": "Mine"}), nil)
	w.want(own, 200, 0)
	decoy := w.service(http.MethodPut, "/enrollmentGroups/decoy", symmetric("enrollmentGroupId", "decoy"), nil)
	w.want(decoy, 200, 0)
	group := w.service(http.MethodPut, "/enrollmentGroups/keys", symmetric("enrollmentGroupId", "keys"), nil)
	w.want(group, 200, 0)
	primary, secondary := keysIn(own)
	groupPrimary, groupSecondary := keysIn(group)
	later := now.Add(time.Hour)
	resource := func(id string) string { return w.info.IDScope + "/registrations/" + id }
	derived := deviceKey(t, groupPrimary, "dev")
	swap := func(token, old, with string) string { return strings.Replace(token, old, with, 1) }
	for _, tt := range []struct {
		name, id, token string
		rule            string // "" means assigned
		group           string
	}{
		{"individual, primary key", "own", sign(t, resource("own"), primary, "registration", later), "", ""},
		{"individual, secondary key", "own", sign(t, resource("own"), secondary, "registration", later), "", ""},
		{"no key name", "own", sign(t, resource("own"), primary, "", later), "", ""},
		{"resource in lower case", "own", sign(t, strings.ToLower(resource("own")), primary, "registration", later), "", ""},
		{"group, derived from the primary key", "dev", sign(t, resource("dev"), derived, "registration", later), "", "keys"},
		{"group, derived from the secondary key", "dev", sign(t, resource("dev"), deviceKey(t, groupSecondary, "dev"), "registration", later), "", "keys"},
		{"expired within the skew", "dev", sign(t, resource("dev"), derived, "registration", now.Add(-4*time.Minute)), "", "keys"},
		{"key of the group itself", "dev", sign(t, resource("dev"), groupPrimary, "registration", later), "device-token-signature", ""},
		{"key of another device", "dev", sign(t, resource("dev"), deviceKey(t, groupPrimary, "dev2"), "registration", later), "device-token-signature", ""},
		{"key of another enrollment", "own", sign(t, resource("own"), derived, "registration", later), "device-token-signature", ""},
		{"expired", "dev", sign(t, resource("dev"), derived, "registration", now.Add(-6*time.Minute)), "device-token-expired", ""},
		{"expired individual", "own", sign(t, resource("own"), primary, "registration", now.Add(-6*time.Minute)), "device-token-expired", ""},
		{"another registration", "dev", sign(t, resource("dev2"), derived, "registration", later), "device-token-audience", ""},
		{"another scope", "dev", sign(t, "0ne00000000/registrations/dev", derived, "registration", later), "device-token-audience", ""},
		{"for a prefix", "dev", sign(t, w.info.IDScope, derived, "registration", later), "device-token-audience", ""},
		{"expiry moved", "dev", swap(sign(t, resource("dev"), derived, "registration", later), "&se=1", "&se=2"), "device-token-signature", ""},
		{"garbage", "dev", "SharedAccessSignature x", "device-token-form", ""},
		{"bearer token of the service", "dev", "Bearer " + w.info.Token, "device-token-form", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := w.in(t)
			reg, poll := w.withToken(tt.id, tt.token)
			if tt.rule != "" {
				w.want(reg, 401, 401002)
				if reg.str("message") != "Unauthorized" || w.rule() != tt.rule {
					t.Errorf("message %q by rule %q, want Unauthorized by %q", reg.str("message"), w.rule(), tt.rule)
				}
				return
			}
			w.want(poll, 200, 0)
			if poll.str("status") != "assigned" || poll.str("registrationState", "symmetricKey", "enrollmentGroupId") != tt.group {
				t.Errorf("answer = %s", poll.raw)
			}
			if want := map[string]string{"own": "Mine", "dev": "dev"}[tt.id]; poll.str("registrationState", "deviceId") != want {
				t.Errorf("deviceId = %q, want %q", poll.str("registrationState", "deviceId"), want)
			}
		})
	}
	// A poll needs a valid token, too.
	reg, _ := w.withToken("dev", sign(t, resource("dev"), derived, "registration", later))
	old := map[string]string{"Authorization": sign(t, resource("dev"), derived, "registration", now.Add(-time.Hour))}
	w.want(w.device(http.MethodGet, "/operations/"+reg.str("operationId"), "dev", nil, old, nil), 401, 401002)
	w.want(w.device(http.MethodGet, "/operations/"+reg.str("operationId"), "dev", nil, nil, nil), 401, 401000)
	for _, key := range []string{primary, groupPrimary, derived} {
		if strings.Contains(w.logs.String(), key) {
			t.Error("log shows a key")
		}
	}
}

// TestWrongKindOfProof presents a certificate where a key is enrolled, and so on.
func TestWrongKindOfProof(t *testing.T) {
	w, p := fleet(t)
	key := w.service(http.MethodPut, "/enrollments/key", symmetric("registrationId", "key"), nil)
	w.want(key, 200, 0)
	primary, _ := keysIn(key)
	w.want(w.register("key", device(t, p.intermediate, "key")), 401, 401002)
	if w.rule() != "attestation-kind" {
		t.Errorf("rule = %q", w.rule())
	}
	cert := selfSigned(t, "cert")
	w.individual("cert", cert.Certificate)
	reg, _ := w.withToken("cert", sign(t, w.info.IDScope+"/registrations/cert", primary, "registration", time.Now().Add(time.Hour)))
	w.want(reg, 401, 401002)
	tpm := map[string]any{"registrationId": "tpm", "attestation": map[string]any{"type": "tpm", "tpm": map[string]any{"endorsementKey": "AAAA"}}}
	w.want(w.service(http.MethodPut, "/enrollments/tpm", tpm, nil), 200, 0)
	w.want(w.register("tpm", device(t, p.intermediate, "tpm")), 401, 401002)
	if w.rule() != "attestation-kind" {
		t.Errorf("rule = %q", w.rule())
	}
}

// TestTPMIsNotServed: a device with a TPM is told, whether it is enrolled or not;
// one that has another credential, too, is judged by that.
func TestTPMIsNotServed(t *testing.T) {
	w, p := fleet(t)
	enrolled := map[string]any{"registrationId": "tpm", "attestation": map[string]any{"type": "tpm", "tpm": map[string]any{"endorsementKey": "AAAA"}}}
	w.want(w.service(http.MethodPut, "/enrollments/tpm", enrolled, nil), 200, 0)
	body := func(id string) map[string]any {
		return map[string]any{"registrationId": id, "tpm": map[string]any{"endorsementKey": "AAAA", "storageRootKey": "AAAA"}}
	}
	for _, id := range []string{"tpm", "stranger"} {
		a := w.device(http.MethodPut, "/register", id, nil, nil, body(id))
		w.want(a, 401, 401002)
		if w.rule() != "attestation-kind" || a.body["authenticationKey"] != nil || !strings.Contains(a.str("info", "expected"), "tpm") {
			t.Errorf("%s: rule %q: %s", id, w.rule(), a.raw)
		}
	}
	c := w.dialMQTT(nil) // the service has no TPM over MQTT either
	if code := c.connect(hello(w.info.IDScope, "tpm")); code != 5 || w.rule() != "attestation-kind" {
		t.Errorf("CONNACK %d by rule %q", code, w.rule())
	}
	w.want(w.device(http.MethodPut, "/register", "dev", device(t, p.intermediate, "dev"), nil, body("dev")), 202, 0)
	w.want(w.device(http.MethodPut, "/register", "dev", nil, nil, map[string]any{"registrationId": "dev"}), 401, 401000)
	w.want(w.device(http.MethodPut, "/register", "dev", nil, nil, `{"registrationId":"dev","tpm":"x"}`), 400, 400000)
}
