package main

import (
	"strings"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/cloud"
)

func TestChooseCloud(t *testing.T) {
	const public, china, government = "https://management.azure.com", "https://management.chinacloudapi.cn", "https://management.usgovcloudapi.net"
	tests := []struct {
		name, host string
		manager    string // the endpoint of Azure Resource Manager; "" for an error
		device     string
	}{
		{"", "", public, "global.azure-devices-provisioning.net"},
		{"", "x.azure-devices-provisioning.net", public, "global.azure-devices-provisioning.net"},
		{"", "X.Azure-Devices-Provisioning.CN:443", china, "global.azure-devices-provisioning.cn"},
		{"", "x.azure-devices-provisioning.us", government, "global.azure-devices-provisioning.us"},
		{"", "box.example.com", public, "global.azure-devices-provisioning.net"},
		{"AzureCloud", "", public, "global.azure-devices-provisioning.net"},
		{"azurepubliccloud", "x.azure-devices-provisioning.net", public, "global.azure-devices-provisioning.net"},
		{"AzureUSGovernment", "", government, "global.azure-devices-provisioning.us"},
		{"AzureUSGovernmentCloud", "", government, "global.azure-devices-provisioning.us"},
		{"AzureChinaCloud", "box.example.com", china, "global.azure-devices-provisioning.cn"},
		{"AzureChinaCloud", "x.azure-devices-provisioning.us", "", ""},
		{"AzurePublicCloud", "x.azure-devices-provisioning.us", "", ""},
		{"AzureGermanCloud", "", "", ""},
	}
	for _, tt := range tests {
		got, err := chooseCloud(tt.name, tt.host)
		if (err == nil) != (tt.manager != "") {
			t.Errorf("%q, %q: %v", tt.name, tt.host, err)
		}
		if tt.manager == "" {
			if exitCodeOf(err) != 2 && !strings.Contains(err.Error(), flagCloud) {
				t.Errorf("%q, %q: %v", tt.name, tt.host, err)
			}
			continue
		}
		if endpoint := got.config.Services[cloud.ResourceManager].Endpoint; endpoint != tt.manager || got.deviceHost() != tt.device {
			t.Errorf("%q, %q: got %s and %s", tt.name, tt.host, endpoint, got.deviceHost())
		}
		if got.config.ActiveDirectoryAuthorityHost == "" {
			t.Errorf("%q: no place to sign in", tt.name)
		}
	}
}
