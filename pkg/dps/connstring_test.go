package dps_test

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/dpskit/dpskit/pkg/dps"
	"github.com/google/go-cmp/cmp"
)

// canary is a key that must never be seen anywhere. Its base64 form has "=" at
// the end, as real keys do.
const canary = "Y2FuYXJ5LWNhbmFyeS1jYW5hcnktY2FuYXJ5LTEyMw=="

func TestParseConnectionString(t *testing.T) {
	want := dps.ConnectionString{
		HostName:            "name.azure-devices-provisioning.net",
		SharedAccessKeyName: "provisioningserviceowner",
		SharedAccessKey:     canary,
	}
	emulator := dps.ConnectionString{HostName: "localhost:8443", SharedAccessKeyName: "o", SharedAccessKey: canary}
	developer := emulator
	developer.DevelopmentEmulator = true
	const host, policy, key = "HostName=name.azure-devices-provisioning.net",
		"SharedAccessKeyName=provisioningserviceowner", "SharedAccessKey=" + canary
	tests := []struct {
		name, in string
		want     dps.ConnectionString
	}{
		{"as the portal shows it", host + ";" + policy + ";" + key, want},
		{"other order", key + ";" + host + ";" + policy, want},
		{"other case", strings.ToLower("HostName=") + want.HostName + ";SHAREDACCESSKEYNAME=provisioningserviceowner;sharedAccessKey=" + canary, want},
		{"spaces, newline, trailing semicolon", " " + host + " ; " + policy + " ;" + key + ";\n", want},
		{"spaces around the equals sign", "HostName = name.azure-devices-provisioning.net;" + policy + ";" + key, want},
		{"byte order mark", "\ufeff" + host + ";" + policy + ";" + key, want},
		{"quotes", `"` + host + ";" + policy + ";" + key + `"`, want},
		{"host with port", "HostName=localhost:8443;SharedAccessKeyName=o;" + key, emulator},
		{"emulator flag", "HostName=localhost:8443;SharedAccessKeyName=o;UseDevelopmentEmulator=true;" + key, developer},
		{"emulator flag off", "HostName=localhost:8443;SharedAccessKeyName=o;UseDevelopmentEmulator=FALSE;" + key, emulator},
		{"emulator flag alone", "UseDevelopmentEmulator=true", dps.ConnectionString{DevelopmentEmulator: true}},
		{"ipv6", "HostName=[::1]:8443;SharedAccessKeyName=o;" + key,
			dps.ConnectionString{HostName: "[::1]:8443", SharedAccessKeyName: "o", SharedAccessKey: canary}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := dps.ParseConnectionString(tt.in)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func TestParseConnectionStringRefuses(t *testing.T) {
	const host, policy, key = "HostName=name.azure-devices-provisioning.net", "SharedAccessKeyName=owner", "SharedAccessKey=" + canary
	tests := []struct {
		name, in, want string
	}{
		{"empty", "", "empty"},
		{"blank", " \n\t", "empty"},
		{"no host", policy + ";" + key, "part HostName is missing"},
		{"no policy", host + ";" + key, "part SharedAccessKeyName is missing"},
		{"no key", host + ";" + policy, "part SharedAccessKey is missing"},
		{"empty key", host + ";" + policy + ";SharedAccessKey=", "part SharedAccessKey is missing"},
		{"name without value", host + ";SharedAccessKeyName;" + key, "part SharedAccessKeyName has no value"},
		{"twice", host + ";" + host + ";" + policy + ";" + key, "part HostName appears twice"},
		{"key twice, other case", host + ";" + policy + ";" + key + ";sharedaccesskey=" + canary, "part SharedAccessKey appears twice"},
		{"only a key", canary, "part 1 is not one of HostName"},
		{"unknown part", host + ";" + policy + ";" + key + ";" + canary + "=1", "part 4 is not one of HostName"},
		{"truncated key", host + ";" + policy + ";SharedAccessKey=" + canary[:len(canary)-1], "part SharedAccessKey: key is not base64"},
		{"newline in key", host + ";" + policy + ";SharedAccessKey=" + canary[:10] + "\n" + canary[10:], "part SharedAccessKey: key has white space"},
		{"not base64", host + ";" + policy + ";SharedAccessKey=***", "part SharedAccessKey: key is not base64"},
		{"padding alone", host + ";" + policy + ";SharedAccessKey====", "part SharedAccessKey: key is not base64"},
		{"scheme", "HostName=https://x.azure-devices-provisioning.net;" + policy + ";" + key, "host name has a scheme"},
		{"path", "HostName=x.azure-devices-provisioning.net/;" + policy + ";" + key, "host name has a path"},
		{"user part", "HostName=me@x;" + policy + ";" + key, "host name has a path or user part"},
		{"space", "HostName=a b;" + policy + ";" + key, "host name has a character other"},
		{"port 0", "HostName=localhost:0;" + policy + ";" + key, "port is not a number from 1 to 65535"},
		{"port 70000", "HostName=localhost:70000;" + policy + ";" + key, "port is not a number from 1 to 65535"},
		{"device endpoint", "HostName=global.azure-devices-provisioning.net;" + policy + ";" + key, "device endpoint"},
		{"policy with space", host + ";SharedAccessKeyName=a b;" + key, "part SharedAccessKeyName has a character"},
		{"ready-made signature", host + ";" + policy + ";SharedAccessSignature=" + canary, "SharedAccessSignature is not supported"},
		{"event hub", "Endpoint=sb://x/;" + policy + ";" + key, "part Endpoint belongs to Service Bus, Event Hubs or the like"},
		{"event hub, one hub", "EntityPath=x;Endpoint=sb://x/;" + policy + ";" + key, "part EntityPath belongs to Service Bus, Event Hubs or the like"},
		{"storage", "DefaultEndpointsProtocol=https;AccountName=a;AccountKey=c2VjcmV0;EndpointSuffix=core.windows.net", "part DefaultEndpointsProtocol belongs to a storage account"},
		{"id scope", "0ne00C0FFEE", "this is an ID scope"},
		{"flag with another value", host + ";" + policy + ";" + key + ";UseDevelopmentEmulator=yes", "neither true nor false"},
		{"endless", host + ";" + strings.Repeat(" ", 5000), "longer than"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := dps.ParseConnectionString(tt.in)
			switch {
			case err == nil:
				t.Fatal("no error")
			case !errors.Is(err, dps.ErrConnectionString):
				t.Errorf("not ErrConnectionString: %v", err)
			case !strings.Contains(err.Error(), tt.want):
				t.Errorf("got %q, want it to contain %q", err, tt.want)
			case strings.Contains(err.Error(), canary[:10]):
				t.Errorf("the key is in %q", err)
			case strings.ContainsAny(err.Error(), "\r\n"):
				t.Errorf("more than one line: %q", err)
			}
		})
	}
}

func TestParseConnectionStringOfAnIoTHub(t *testing.T) {
	for name, in := range map[string]string{
		"hub":          "HostName=x.azure-devices.net;SharedAccessKeyName=iothubowner;SharedAccessKey=" + canary,
		"hub in China": "HostName=x.azure-devices.cn;SharedAccessKeyName=iothubowner;SharedAccessKey=" + canary,
		"device":       "HostName=x.azure-devices.net;DeviceId=d;SharedAccessKey=" + canary,
		"device x509":  "HostName=x.azure-devices.net;deviceid=d;x509=true",
		"module":       "ModuleId=m;HostName=x",
		"gateway":      "GatewayHostName=edge;HostName=x",
	} {
		t.Run(name, func(t *testing.T) {
			_, err := dps.ParseConnectionString(in)
			if !errors.Is(err, dps.ErrIoTHubConnectionString) || !errors.Is(err, dps.ErrConnectionString) {
				t.Errorf("got %v", err)
			}
			if strings.Contains(fmt.Sprint(err), canary) {
				t.Errorf("the key is in %q", err)
			}
		})
	}
	// The twin: the provisioning service's suffix is not the hub's.
	if _, err := dps.ParseConnectionString("HostName=x.azure-devices-provisioning.cn;SharedAccessKeyName=o;SharedAccessKey=" + canary); err != nil {
		t.Error(err)
	}
}

func TestConnectionStringIsRedacted(t *testing.T) {
	c := dps.ConnectionString{HostName: "h", SharedAccessKeyName: "n", SharedAccessKey: canary, DevelopmentEmulator: true}
	if got, want := c.String(), "HostName=h;SharedAccessKeyName=n;SharedAccessKey=REDACTED;UseDevelopmentEmulator=true"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if got := (dps.ConnectionString{HostName: "h"}).String(); got != "HostName=h" {
		t.Errorf("got %s", got)
	}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		for _, value := range []any{c, &c, []dps.ConnectionString{c}, map[string]any{"c": c}} {
			if got := fmt.Sprintf(verb, value); strings.Contains(got, canary) || strings.Contains(got, fmt.Sprintf("%x", canary)) {
				t.Errorf("%s of %T shows the key: %s", verb, value, got)
			}
		}
	}
}

func FuzzParseConnectionString(f *testing.F) {
	f.Add("HostName=x.azure-devices-provisioning.net;SharedAccessKeyName=owner;SharedAccessKey=" + canary)
	f.Add("HostName=localhost:8443;SharedAccessKeyName=o;SharedAccessKey=" + canary + ";UseDevelopmentEmulator=true")
	f.Add("UseDevelopmentEmulator=true")
	f.Add("HostName=x.azure-devices.net;DeviceId=d;SharedAccessKey=" + canary)
	f.Add(";;=;==\n\x00\ufeff")
	f.Add("HostName=[::1]:1;SharedAccessKeyName=a;SharedAccessKey=AA==")
	f.Fuzz(func(t *testing.T, in string) {
		c, err := dps.ParseConnectionString(in)
		if err != nil {
			if !errors.Is(err, dps.ErrConnectionString) {
				t.Fatalf("other error: %v", err)
			}
			if strings.ContainsAny(err.Error(), "\r\n\x1b") {
				t.Fatalf("error is not clean: %q", err)
			}
			return
		}
		// What was read can be written and read again to the same value.
		text := "HostName=" + c.HostName + ";SharedAccessKeyName=" + c.SharedAccessKeyName +
			";SharedAccessKey=" + c.SharedAccessKey.Reveal()
		if c.DevelopmentEmulator {
			text += ";UseDevelopmentEmulator=true"
			if c.HostName == "" {
				text = "UseDevelopmentEmulator=true"
			}
		}
		again, err := dps.ParseConnectionString(text)
		if err != nil || again != c {
			t.Fatalf("%q: %v", text, err)
		}
		if c.SharedAccessKey != "" {
			if _, err := base64.StdEncoding.DecodeString(c.SharedAccessKey.Reveal()); err != nil {
				t.Fatal("accepted a key that is not base64")
			}
			if len(c.SharedAccessKey) > 8 && strings.Contains(c.String(), c.SharedAccessKey.Reveal()) {
				t.Fatal("String shows the key")
			}
		}
	})
}
