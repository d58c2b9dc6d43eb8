package main

import (
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/cloud"

	"github.com/dpskit/dpskit/cmd/internal/cliapp"
)

// azureCloud is one of the clouds that have DPS: where to sign in, where its
// Azure Resource Manager is, and what the host names of a DPS end in. The
// audience of a token for enrollments is the same in all of them.
type azureCloud struct {
	names  []string // the first is ours; the others are those of az and of the SDKs
	config cloud.Configuration
	suffix string
}

// clouds are those of azcore
// (https://learn.microsoft.com/azure/azure-government/compare-azure-government-global-azure,
// https://learn.microsoft.com/azure/china/resources-developer-guide).
func clouds() []azureCloud {
	return []azureCloud{
		{[]string{"AzurePublicCloud", "AzureCloud", "AzurePublic"}, cloud.AzurePublic, ".azure-devices-provisioning.net"},
		{[]string{"AzureUSGovernment", "AzureUSGovernmentCloud", "AzureGovernment"}, cloud.AzureGovernment, ".azure-devices-provisioning.us"},
		{[]string{"AzureChinaCloud", "AzureChina"}, cloud.AzureChina, ".azure-devices-provisioning.cn"},
	}
}

// chooseCloud finds the cloud by its name, or else by the host of the DPS.
func chooseCloud(name, host string) (azureCloud, error) {
	all := clouds()
	chosen, ofHost := -1, -1
	for i, c := range all {
		for _, n := range c.names {
			if strings.EqualFold(n, name) {
				chosen = i
			}
		}
		if strings.HasSuffix(hostName(host), c.suffix) {
			ofHost = i
		}
	}
	switch {
	case name != "" && chosen < 0:
		return all[0], cliapp.Usagef("invalid --%s %q: want %s, %s or %s", flagCloud, name, all[0].names[0], all[1].names[0], all[2].names[0])
	case chosen >= 0 && ofHost >= 0 && chosen != ofHost:
		return all[0], cliapp.Usagef("--%s is %s, but the host %s is of %s", flagCloud, all[chosen].names[0], host, all[ofHost].names[0])
	}
	return all[max(chosen, ofHost, 0)], nil
}

// deviceHost is where the devices of every DPS of this cloud register.
func (c azureCloud) deviceHost() string { return "global" + c.suffix }

// hostName is a host without its port, in lower case.
func hostName(host string) string {
	name, _, _ := strings.Cut(host, ":")
	return strings.ToLower(name)
}
