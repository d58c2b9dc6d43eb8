package dps_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/dpskit/dpskit/pkg/dps"
)

func TestIsLoopbackHost(t *testing.T) {
	for host, want := range map[string]bool{
		"localhost": true, "LOCALHOST:8443": true, "localhost.": true, "global.localhost": true, "a.b.localhost:1": true,
		"127.0.0.1": true, "127.0.0.1:443": true, "127.8.9.10": true, "::1": true, "[::1]": true, "[::1]:8443": true,
		"::ffff:127.0.0.1": true,
		"":                 false, "localhost.example": false, "notlocalhost": false, "128.0.0.1": false, "0.0.0.0": false,
		"::2": false, "[::]:1": false, "127.0.0.1.example.net": false, "name.azure-devices-provisioning.net": false,
	} {
		if got := dps.IsLoopbackHost(host); got != want {
			t.Errorf("%q: got %v", host, got)
		}
	}
}

func TestCheckHost(t *testing.T) {
	for _, good := range []string{"localhost", "localhost:1", "a-b_c.example:65535", "127.0.0.1:8443", "[::1]", "[::1]:8443", "name."} {
		if err := dps.CheckHost(good); err != nil {
			t.Errorf("%q: %v", good, err)
		}
	}
	for bad, want := range map[string]string{
		"": "empty", "https://x": "scheme", "x/y": "path", "x?y": "path", "u@x": "user part", `x\y`: "path",
		"a..b": "empty label", ".a": "empty label", "a b": "character", "a\nb": "character", "ünï": "character",
		"x:": "port is empty", "x:0": "port", "x:70000": "port", "x:http": "port", "x:-1": "port",
		"::1": "cannot be told apart", "[::1": "cannot be told apart", "[zz]": "IPv6", "[1:2]": "IPv6",
		"[127.0.0.1]": "IPv6", "[fe80::1%eth0]:1": "IPv6",
		strings.Repeat("a", 300): "longer",
	} {
		if err := dps.CheckHost(bad); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want %q", bad, err, want)
		}
	}
}

func TestCheckServiceHost(t *testing.T) {
	if err := dps.CheckServiceHost("x.azure-devices-provisioning.net"); err != nil {
		t.Error(err)
	}
	for _, hub := range []string{"x.azure-devices.net", "X.Azure-Devices.NET:443", "x.azure-devices.us."} {
		if err := dps.CheckServiceHost(hub); !errors.Is(err, dps.ErrIoTHubConnectionString) {
			t.Errorf("%q: %v", hub, err)
		}
	}
	for _, global := range []string{"Global.azure-devices-provisioning.net", "global.azure-devices-provisioning.cn:443", "global.azure-devices-provisioning.us"} {
		if err := dps.CheckServiceHost(global); err == nil || !strings.Contains(err.Error(), "device endpoint") {
			t.Errorf("%q: %v", global, err)
		}
	}
	if err := dps.CheckServiceHost("a b"); err == nil {
		t.Error("no error")
	}
}

func TestCheckID(t *testing.T) {
	for _, good := range []string{"a", "A-1", "dev_1.x:y-", "-", strings.Repeat("a", 128), "0"} {
		if err := dps.CheckID(good); err != nil {
			t.Errorf("%q: %v", good, err)
		}
	}
	for _, bad := range []string{"", ".", "..", "a.", "a_", "a:", "a/b", "a b", "a%2fb", "a?", "a@b", "ä", "a\n", "a\x00b",
		"a\u202eb", strings.Repeat("a", 129)} {
		if err := dps.CheckID(bad); !errors.Is(err, dps.ErrInvalidID) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}
