package device_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"math/big"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/dpskit/dpskit/pkg/dps"
	"github.com/dpskit/dpskit/pkg/dps/device"
)

func TestNewClientRefuses(t *testing.T) {
	cert, _ := selfSigned(t, "dev-1")
	other, _ := selfSigned(t, "dev-1")
	mixed, keyless, garbage := cert, cert, cert
	mixed.PrivateKey, keyless.PrivateKey = other.PrivateKey, nil
	garbage.Certificate = [][]byte{[]byte("not a certificate")}
	for name, tt := range map[string]struct {
		scope, id, host string
		cred            device.Credential
		want            string
	}{
		"no scope":        {"", "dev-1", "", device.X509(cert), "id scope"},
		"path in scope":   {"a/b", "dev-1", "", device.X509(cert), "id scope"},
		"no id":           {"0ne00000000", "", "", device.X509(cert), "registration id"},
		"path in id":      {"0ne00000000", "../x", "", device.X509(cert), "registration id"},
		"scheme":          {"0ne00000000", "dev-1", "https://x", device.X509(cert), "scheme"},
		"port":            {"0ne00000000", "dev-1", "x:0", device.X509(cert), "port"},
		"no credential":   {"0ne00000000", "dev-1", "", nil, "no credential"},
		"no certificate":  {"0ne00000000", "dev-1", "", device.X509(tls.Certificate{}), "no client certificate"},
		"another's key":   {"0ne00000000", "dev-1", "", device.X509(mixed), "does not belong"},
		"no key":          {"0ne00000000", "dev-1", "", device.X509(keyless), "no private key"},
		"not certificate": {"0ne00000000", "dev-1", "", device.X509(garbage), "cannot be parsed"},
	} {
		c, err := device.NewClient(tt.scope, tt.id, tt.cred, &device.ClientOptions{Host: tt.host})
		if err == nil || c != nil || !strings.Contains(err.Error(), tt.want) || !strings.HasPrefix(err.Error(), "create device client: ") {
			t.Errorf("%s: got %v", name, err)
		}
	}
	if _, err := device.NewClient("0ne00000000", "x/y", device.X509(cert), nil); !errors.Is(err, dps.ErrInvalidID) {
		t.Errorf("got %v", err)
	}
	if _, err := device.NewClient("0ne00000000", "dev-1", device.X509(cert), nil); err != nil {
		t.Error(err)
	}
}

func TestRegistrationErrorText(t *testing.T) {
	for want, err := range map[string]*device.RegistrationError{
		`register device "d": failed (code 400208): no hub`: {Op: `register device "d"`, Status: "failed", Code: 400208, Message: "no hub"},
		`register device "d": disabled`:                     {Op: `register device "d"`, Status: "disabled"},
	} {
		if err.Error() != want || !errors.Is(fmt.Errorf("x: %w", err), device.ErrRefused) || errors.Is(err, dps.ErrConflict) {
			t.Errorf("got %s", err)
		}
	}
}

// TestKeyIsNeverShown looks for the private key and for anything sent to a
// server that redirects.
func TestKeyIsNeverShown(t *testing.T) {
	reached := false
	thief := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached = true }))
	defer thief.Close()
	honest := httptest.NewTLSServer(http.RedirectHandler(thief.URL, http.StatusTemporaryRedirect))
	defer honest.Close()
	cert, _ := selfSigned(t, "dev-1")
	raw, err := cert.PrivateKey.(*ecdsa.PrivateKey).Bytes()
	if err != nil {
		t.Fatal(err)
	}
	var logged bytes.Buffer
	cred := device.X509(cert)
	opts := &device.ClientOptions{Host: strings.TrimPrefix(honest.URL, "https://"), RetryDelay: 1,
		RootCAs: honest.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs,
		Logger:  slog.New(slog.NewTextHandler(&logged, &slog.HandlerOptions{Level: slog.LevelDebug}))}
	c := must[*device.Client](t)(device.NewClient("0ne00000000", "dev-1", cred, opts))
	_, err = c.Register(t.Context(), nil)
	wantError(t, err, dps.ErrUnexpectedAnswer, 0)
	shown := fmt.Sprintf("%v %+v %#v %v %+v %#v %v %+v %#v %s", c, c, c, cred, cred, cred, err, err, err, logged.String())
	number := new(big.Int).SetBytes(raw).String() // as a printed key shows it
	if strings.Contains(shown, number) || strings.Contains(shown, hex.EncodeToString(raw)) || reached || logged.Len() == 0 {
		t.Errorf("reached %v, shown %s", reached, shown)
	}
}
