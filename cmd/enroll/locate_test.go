package main

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/dpskit/dpskit/cmd/internal/cliapp"
	"github.com/dpskit/dpskit/pkg/dps"
	"github.com/dpskit/dpskit/pkg/dps/arm"
)

// azure answers as Azure Resource Manager does for a subscription with two
// services, and records the paths that were asked for.
type azure struct {
	paths []string
	host  string // that of the cloud; default the public one
}

func (a *azure) RoundTrip(req *http.Request) (*http.Response, error) {
	a.paths = append(a.paths, req.URL.Path)
	resource := func(group, name string) string {
		return fmt.Sprintf(`{"name":%q,"id":"/subscriptions/s/resourceGroups/%s/providers/Microsoft.Devices/provisioningServices/%s","properties":{}}`, name, group, name)
	}
	status, body := http.StatusOK, `{"value":[`+resource("g1", "first")+`,`+resource("g2", "My-DPS")+`]}`
	host := a.host
	if host == "" {
		host = "management.azure.com"
	}
	if req.URL.Host != host || req.Header.Get("Authorization") != "Bearer entra" {
		status, body = http.StatusUnauthorized, `{}`
	}
	return &http.Response{StatusCode: status, Request: req, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(body))}, nil
}

func (a *azure) endpoint(opts connectOptions) *endpoint {
	return &endpoint{opts: opts, client: &http.Client{Transport: a}, entra: arm.StaticToken("entra")}
}

func TestLocate(t *testing.T) {
	tests := []struct {
		name, host string
		opts       connectOptions
		group      string // found
		calls      int
		code       int
	}{
		{"name alone", "", connectOptions{Subscription: "s", Name: "my-dps"}, "g2", 1, 0},
		{"host of a connection string", "MY-DPS.azure-devices-provisioning.net", connectOptions{Subscription: "s"}, "g2", 1, 0},
		{"the name counts more than the host", "my-dps.azure-devices-provisioning.net", connectOptions{Subscription: "s", Name: "FIRST"}, "g1", 1, 0},
		{"group given", "", connectOptions{Subscription: "s", Name: "my-dps", ResourceGroup: "g9"}, "g9", 0, 0},
		{"host of China", "my-dps.azure-devices-provisioning.cn", connectOptions{Subscription: "s"}, "g2", 1, 0},
		{"host of the US government", "my-dps.azure-devices-provisioning.us", connectOptions{Subscription: "s"}, "g2", 1, 0},
		{"another cloud by its name", "", connectOptions{Subscription: "s", Name: "my-dps", Cloud: "azurechinacloud"}, "g2", 1, 0},
		{"a host of no cloud", "my-dps.example.com", connectOptions{Subscription: "s"}, "", 0, 0},
		{"no subscription", "", connectOptions{Name: "my-dps"}, "", 0, 0},
		{"not there", "", connectOptions{Subscription: "s", Name: "third"}, "", 1, cliapp.ExitNotFound},
		{"not a subscription", "", connectOptions{Subscription: "s/../t", Name: "first"}, "", 0, cliapp.ExitUsage},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a := &azure{}
			if strings.HasSuffix(tt.host, ".cn") || tt.opts.Cloud != "" {
				a.host = "management.chinacloudapi.cn"
			} else if strings.HasSuffix(tt.host, ".us") {
				a.host = "management.usgovcloudapi.net"
			}
			ep := a.endpoint(tt.opts)
			ep.host = tt.host
			err := ep.locate(t.Context())
			switch {
			case (err != nil) != (tt.code != 0) || len(a.paths) != tt.calls:
				t.Fatalf("%d calls, %v", len(a.paths), err)
			case err != nil && tt.code == cliapp.ExitNotFound && (exitCodeOf(err) != tt.code || !errors.Is(err, dps.ErrNotFound)):
				t.Errorf("exit code %d, %v", exitCodeOf(err), err)
			case ep.opts.ResourceGroup != tt.group && err == nil:
				t.Errorf("resource group %q", ep.opts.ResourceGroup)
			}
		})
	}
}

// TestARMNeedsItsNames: what is missing is told before anything is sent.
func TestARMNeedsItsNames(t *testing.T) {
	for _, opts := range []connectOptions{{}, {Name: "n"}, {Name: "n", Subscription: "s"}, {ResourceGroup: "g", Subscription: "s"}} {
		a := &azure{}
		_, err := a.endpoint(opts).arm()
		if err == nil || len(a.paths) != 0 {
			t.Errorf("%+v: got %v", opts, err)
		}
	}
	a := &azure{}
	if _, err := a.endpoint(connectOptions{Name: "n", Subscription: "s", ResourceGroup: "g"}).arm(); err != nil {
		t.Error(err)
	}
}
