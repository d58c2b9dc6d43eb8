package sas_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"math"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/dpskit/dpskit/pkg/dps/emulator/internal/sas"
)

var key = []byte("0123456789abcdef0123456789abcdef")

// signature computes what a client would, over the raw texts.
func signature(key []byte, rawResource, rawExpiry string) string {
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(rawResource + "\n" + rawExpiry))
	return base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

// TestVectors holds published values.
func TestVectors(t *testing.T) {
	// azure-iot-sdk-node, common/core/test/_shared_access_signature_test.js
	token, err := sas.Parse("SharedAccessSignature sr=uri&sig=kcWxXAK2OAaAoq2oCkaGzX2NMqDB8nCyNuq2fPYCDhk%3D&se=12345")
	if err != nil {
		t.Fatal(err)
	}
	if !token.SignedBy([]byte("password")) {
		t.Error("published signature does not verify")
	}
	if token.SignedBy([]byte("Password")) {
		t.Error("published signature verifies with another key")
	}
	// azure-docs, articles/iot-dps/concepts-symmetric-key-attestation.md
	group, err := base64.StdEncoding.DecodeString("8isrFI1sGsIlvvFSSFRiMfCNzv21fjbE/+ah/lSh3lF8e2YG1Te7w1KpZhJFFXJrqYKi9yegxkqIChbqOS9Egw==")
	if err != nil {
		t.Fatal(err)
	}
	derived := sas.DeriveKey(group, "sn-007-888-abc-mac-a1-b2-c3-d4-e5-f6")
	if got := base64.StdEncoding.EncodeToString(derived); got != "Jsm0lyGpjaVYVP2g3FnmnmG9dI/9qU24wNoykUmermc=" {
		t.Errorf("derived key = %s", got)
	}
}

// TestClientForms holds the forms in which official clients write tokens.
func TestClientForms(t *testing.T) {
	const expiry = "2000000000"
	sign := func(resource string) string { return url.QueryEscape(signature(key, resource, expiry)) }
	lowerHex := strings.NewReplacer("%2B", "%2b", "%2F", "%2f", "%3D", "%3d")
	tests := []struct {
		name, token, resource, keyName string
	}{
		{"C#, Python, Java", "sr=scope%2Fregistrations%2Fd&sig=" + sign("scope%2Fregistrations%2Fd") + "&se=" + expiry + "&skn=registration", "scope/registrations/d", "registration"},
		{"Node order", "sr=scope/registrations/d&sig=" + sign("scope/registrations/d") + "&skn=registration&se=" + expiry, "scope/registrations/d", "registration"},
		{"documentation order", "sig=" + sign("host") + "&se=" + expiry + "&skn=owner&sr=host", "host", "owner"},
		{"C, lower-case escapes", "sr=scope%2fregistrations%2fd&sig=" + lowerHex.Replace(sign("scope%2fregistrations%2fd")) + "&se=" + expiry, "scope/registrations/d", ""},
		{"Java, empty key name", "sr=scope/registrations/d&sig=" + sign("scope/registrations/d") + "&se=" + expiry + "&skn=", "scope/registrations/d", ""},
		{"signature not escaped", "sr=host&sig=" + signature(key, "host", expiry) + "&se=" + expiry, "host", ""},
		{"member names in capitals", "SR=host&SIG=" + sign("host") + "&SE=" + expiry + "&SKN=owner", "host", "owner"},
		{"unknown member", "sr=host&sig=" + sign("host") + "&se=" + expiry + "&ver=1", "host", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			token, err := sas.Parse("SharedAccessSignature " + tt.token)
			if err != nil {
				t.Fatal(err)
			}
			if token.Resource() != tt.resource || token.KeyName != tt.keyName {
				t.Errorf("resource %q, key name %q", token.Resource(), token.KeyName)
			}
			if !token.SignedBy([]byte("wrong"), key) {
				t.Error("signature does not verify")
			}
			if token.SignedBy([]byte("wrong")) || token.SignedBy() {
				t.Error("signature verifies with a wrong key")
			}
		})
	}
}

func TestMalformed(t *testing.T) {
	good := url.QueryEscape(signature(key, "host", "2000000000"))
	for name, header := range map[string]string{
		"empty":                   "",
		"scheme alone":            "SharedAccessSignature",
		"scheme in lower case":    "sharedaccesssignature sr=host&sig=" + good + "&se=2000000000",
		"bearer":                  "Bearer sr=host&sig=" + good + "&se=2000000000",
		"three parts":             "SharedAccessSignature sr=host&sig=" + good + "&se=2000000000 x",
		"no resource":             "SharedAccessSignature sig=" + good + "&se=2000000000",
		"empty resource":          "SharedAccessSignature sr=&sig=" + good + "&se=2000000000",
		"no signature":            "SharedAccessSignature sr=host&se=2000000000",
		"empty signature":         "SharedAccessSignature sr=host&sig=&se=2000000000",
		"short signature":         "SharedAccessSignature sr=host&sig=AAAA&se=2000000000",
		"base64url signature":     "SharedAccessSignature sr=host&sig=" + strings.Repeat("_", 43) + "%3D&se=2000000000",
		"no expiry":               "SharedAccessSignature sr=host&sig=" + good,
		"negative expiry":         "SharedAccessSignature sr=host&sig=" + good + "&se=-1",
		"signed expiry":           "SharedAccessSignature sr=host&sig=" + good + "&se=%2B2000000000",
		"float expiry":            "SharedAccessSignature sr=host&sig=" + good + "&se=2e9",
		"overflowing expiry":      "SharedAccessSignature sr=host&sig=" + good + "&se=99999999999999999999",
		"expiry beyond int64":     "SharedAccessSignature sr=host&sig=" + good + "&se=9223372036854775808",
		"duplicate resource":      "SharedAccessSignature sr=host&sr=host&sig=" + good + "&se=2000000000",
		"duplicate in other case": "SharedAccessSignature sr=host&SIG=" + good + "&sig=" + good + "&se=2000000000",
		"bad escape":              "SharedAccessSignature sr=%zz&sig=" + good + "&se=2000000000",
		"bad escape in signature": "SharedAccessSignature sr=host&sig=%4&se=2000000000",
		"member without value":    "SharedAccessSignature sr=host&sig=" + good + "&se=2000000000&skn",
		"huge":                    "SharedAccessSignature sr=" + strings.Repeat("a", 5000),
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := sas.Parse(header); !errors.Is(err, sas.ErrForm) {
				t.Errorf("Parse = %v, want ErrForm", err)
			}
		})
	}
}

// TestEveryBitCounts flips each bit of a signature.
func TestEveryBitCounts(t *testing.T) {
	raw, err := base64.StdEncoding.DecodeString(signature(key, "host", "2000000000"))
	if err != nil {
		t.Fatal(err)
	}
	for i := range len(raw) * 8 {
		raw[i/8] ^= 1 << (i % 8)
		token, err := sas.Parse("SharedAccessSignature sr=host&se=2000000000&sig=" +
			url.QueryEscape(base64.StdEncoding.EncodeToString(raw)))
		if err != nil {
			t.Fatal(err)
		}
		if token.SignedBy(key) {
			t.Fatalf("signature with bit %d flipped verifies", i)
		}
		raw[i/8] ^= 1 << (i % 8)
	}
}

func parse(t *testing.T, resource string, expiry int64) sas.Token {
	t.Helper()
	sr, se := url.QueryEscape(resource), fmt.Sprint(expiry)
	token, err := sas.Parse("SharedAccessSignature sr=" + sr + "&se=" + se + "&sig=" +
		url.QueryEscape(signature(key, sr, se)))
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func TestExpiry(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	for _, tt := range []struct {
		expiry int64
		want   bool
	}{
		{now.Unix() + 3600, false},
		{now.Unix(), false},
		{now.Unix() - int64(sas.Skew/time.Second), false},
		{now.Unix() - int64(sas.Skew/time.Second) - 1, true},
		{0, true},
		{math.MaxInt64, false},
	} {
		if got := parse(t, "host", tt.expiry).Expired(now); got != tt.want {
			t.Errorf("Expired with se=%d at %d = %v, want %v", tt.expiry, now.Unix(), got, tt.want)
		}
	}
}

func TestCovers(t *testing.T) {
	for _, tt := range []struct {
		resource, target string
		want             bool
	}{
		{"localhost:8443", "localhost:8443/enrollments/x", true},
		{"LOCALHOST:8443/", "localhost:8443/enrollments/x", true},
		{"localhost:8443/enrollments", "localhost:8443/Enrollments/x", true},
		{"localhost:8443/enroll", "localhost:8443/enrollments/x", false},
		{"localhost:8443", "localhost:84431/enrollments/x", false},
		{"localhost", "localhost.evil/enrollments", false},
		{"other", "localhost/enrollments", false},
		{"https://localhost", "localhost/enrollments", false},
		{"/", "localhost/enrollments", false},
	} {
		if got := parse(t, tt.resource, 1).Covers(tt.target); got != tt.want {
			t.Errorf("token for %q covers %q: %v, want %v", tt.resource, tt.target, got, tt.want)
		}
	}
}

func TestVerify(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	for _, tt := range []struct {
		name   string
		token  sas.Token
		keys   [][]byte
		target string
		want   error
	}{
		{"good", parse(t, "host", now.Unix()), [][]byte{key}, "host/x", nil},
		{"second key", parse(t, "host", now.Unix()), [][]byte{[]byte("x"), key}, "host/x", nil},
		{"wrong key", parse(t, "host", now.Unix()), [][]byte{[]byte("x")}, "host/x", sas.ErrSignature},
		{"no key", parse(t, "host", now.Unix()), nil, "host/x", sas.ErrSignature},
		{"expired", parse(t, "host", now.Unix()-1000), [][]byte{key}, "host/x", sas.ErrExpired},
		{"other host", parse(t, "host", now.Unix()), [][]byte{key}, "ghost/x", sas.ErrResource},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if err := tt.token.Verify(now, []string{"nothing", tt.target}, tt.keys...); !errors.Is(err, tt.want) {
				t.Errorf("Verify = %v, want %v", err, tt.want)
			}
		})
	}
}

// FuzzParse wants ErrForm or a token that behaves.
func FuzzParse(f *testing.F) {
	f.Add("SharedAccessSignature sr=uri&sig=kcWxXAK2OAaAoq2oCkaGzX2NMqDB8nCyNuq2fPYCDhk%3D&se=12345&skn=a")
	f.Add("SharedAccessSignature sr=%2F&sig=&se=99999999999999999999")
	f.Add("Bearer x")
	f.Fuzz(func(t *testing.T, header string) {
		token, err := sas.Parse(header)
		if err != nil {
			if err != sas.ErrForm {
				t.Errorf("error is not ErrForm: %v", err)
			}
			return
		}
		if token.Resource() == "" {
			t.Error("token without a resource")
		}
		if token.SignedBy([]byte("nobody has this key")) {
			t.Error("token verifies with a key that signed nothing")
		}
		token.Covers("host/path")
		token.Expired(time.Unix(1<<40, 0))
	})
}
