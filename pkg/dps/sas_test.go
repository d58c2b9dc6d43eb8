package dps_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/dpskit/dpskit/pkg/dps"
)

// The vector is that of the Node SDK
// (azure-iot-sdk-node, common/core/test/_shared_access_signature_test.js).
func TestSASTokenVector(t *testing.T) {
	key := dps.Secret(base64.StdEncoding.EncodeToString([]byte("password")))
	got, err := dps.SASToken("uri", "keyname", key, time.Unix(12345, 0))
	if err != nil {
		t.Fatal(err)
	}
	want := "SharedAccessSignature sr=uri&sig=kcWxXAK2OAaAoq2oCkaGzX2NMqDB8nCyNuq2fPYCDhk%3D&se=12345&skn=keyname"
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestSASToken(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 999, time.UTC)
	tests := []struct {
		name, resource, keyName, wantSR, wantSKN string
	}{
		{"host", "name.azure-devices-provisioning.net", "owner", "name.azure-devices-provisioning.net", "owner"},
		{"host and port", "localhost:8443", "owner", "localhost%3A8443", "owner"},
		{"device", "0ne00000000/registrations/dev-1", "registration", "0ne00000000%2Fregistrations%2Fdev-1", "registration"},
		{"no policy", "h", "", "h", ""},
		{"space and plus", "a b+c", "p", "a%20b%2Bc", "p"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			token, err := dps.SASToken(tt.resource, tt.keyName, canary, at)
			if err != nil {
				t.Fatal(err)
			}
			fields := sasFields(t, token)
			if fields["sr"] != tt.wantSR || fields["skn"] != tt.wantSKN || fields["se"] != "1767323045" {
				t.Errorf("got %v", fields)
			}
			if want := expectedSignature(t, canary, fields["sr"]+"\n"+fields["se"]); fields["sig"] != url.QueryEscape(want) {
				t.Errorf("signature %s, want %s", fields["sig"], want)
			}
			if strings.Contains(token, "skn=") != (tt.keyName != "") {
				t.Errorf("skn in %s", token)
			}
		})
	}
}

func TestSASTokenRefuses(t *testing.T) {
	for name, tt := range map[string]struct {
		resource string
		key      dps.Secret
	}{
		"no resource":     {"", canary},
		"no key":          {"h", ""},
		"key not base64":  {"h", canary + "!"},
		"key with spaces": {"h", " " + canary},
	} {
		token, err := dps.SASToken(tt.resource, "p", tt.key, time.Now())
		if err == nil || token != "" {
			t.Errorf("%s: got %q, %v", name, token, err)
		} else if strings.Contains(err.Error(), canary) {
			t.Errorf("%s: the key is in %q", name, err)
		}
	}
}

// The vector is that of the documentation
// (azure-docs, articles/iot-dps/concepts-symmetric-key-attestation.md).
func TestDeriveDeviceKeyVector(t *testing.T) {
	got, err := dps.DeriveDeviceKey(
		"8isrFI1sGsIlvvFSSFRiMfCNzv21fjbE/+ah/lSh3lF8e2YG1Te7w1KpZhJFFXJrqYKi9yegxkqIChbqOS9Egw==",
		"sn-007-888-abc-mac-a1-b2-c3-d4-e5-f6")
	if err != nil {
		t.Fatal(err)
	}
	if want := "Jsm0lyGpjaVYVP2g3FnmnmG9dI/9qU24wNoykUmermc="; got.Reveal() != want {
		t.Errorf("got %s, want %s", got.Reveal(), want)
	}
}

func TestDeriveDeviceKeyRefuses(t *testing.T) {
	for name, tt := range map[string]struct {
		key dps.Secret
		id  string
	}{
		"no key":         {"", "dev-1"},
		"key not base64": {"%%%" + canary, "dev-1"},
		"no id":          {canary, ""},
	} {
		got, err := dps.DeriveDeviceKey(tt.key, tt.id)
		if err == nil || got != "" {
			t.Errorf("%s: got a key, %v", name, err)
		} else if strings.Contains(err.Error(), canary) {
			t.Errorf("%s: the key is in %q", name, err)
		}
	}
}

func FuzzSASToken(f *testing.F) {
	f.Add("name.azure-devices-provisioning.net", "provisioningserviceowner", canary, int64(1767323045))
	f.Add("0ne00000000/registrations/a&b=c", "registration", "AA==", int64(-1))
	f.Add("ü +%2f\n", "", "not base64", int64(0))
	f.Fuzz(func(t *testing.T, resource, keyName, key string, expiry int64) {
		token, err := dps.SASToken(resource, keyName, dps.Secret(key), time.Unix(expiry, 0))
		if err != nil {
			if len(key) > 20 && strings.Contains(err.Error(), key) {
				t.Fatalf("the key is in %q", err)
			}
			return
		}
		fields := sasFields(t, token)
		for name, want := range map[string]string{"sr": resource, "skn": keyName, "se": strconv.FormatInt(expiry, 10)} {
			if got, err := url.QueryUnescape(fields[name]); err != nil || got != want {
				t.Fatalf("%s is %q, want %q (%v)", name, got, want, err)
			}
		}
		if sig := expectedSignature(t, key, fields["sr"]+"\n"+fields["se"]); url.QueryEscape(sig) != fields["sig"] {
			t.Fatalf("wrong signature in %s", token)
		}
		if strings.ContainsAny(token[len("SharedAccessSignature "):], " \r\n\"") {
			t.Fatalf("not a header value: %q", token)
		}
	})
}

// sasFields splits a token as a server does: at "&", then at the first "=".
func sasFields(t *testing.T, token string) map[string]string {
	t.Helper()
	scheme, rest, _ := strings.Cut(token, " ")
	if scheme != "SharedAccessSignature" {
		t.Fatalf("scheme %q", scheme)
	}
	fields := make(map[string]string)
	for field := range strings.SplitSeq(rest, "&") {
		name, value, _ := strings.Cut(field, "=")
		if _, twice := fields[name]; twice {
			t.Fatalf("%s appears twice in %s", name, token)
		}
		fields[name] = value
	}
	return fields
}

// expectedSignature is written apart from the code under test.
func expectedSignature(t *testing.T, key, text string) string {
	t.Helper()
	raw, err := base64.StdEncoding.DecodeString(key)
	if err != nil {
		t.Fatalf("accepted key %v", err)
	}
	mac := hmac.New(sha256.New, raw)
	_, _ = mac.Write([]byte(text))
	return base64.StdEncoding.EncodeToString(mac.Sum(nil))
}
