package main

import (
	"errors"
	"slices"
	"strings"

	"github.com/dpskit/dpskit/cmd/internal/cliapp"
	"github.com/dpskit/dpskit/pkg/dps/enrollment"
)

// flagOfMember names the flag that sets a member of an enrollment.
var flagOfMember = map[string]string{
	"attestation.x509.clientCertificates.primary":    flagCert,
	"attestation.x509.clientCertificates.secondary":  flagSecondaryCert,
	"attestation.x509.clientCertificates":            flagCert,
	"attestation.x509.signingCertificates.primary":   flagSigningCert,
	"attestation.x509.signingCertificates.secondary": flagSecondaryCert,
	"attestation.x509.signingCertificates":           flagSigningCert,
	"attestation.x509.caReferences":                  flagCAReference,
	"attestation.symmetricKey.primaryKey":            flagPrimaryKeyFile,
	"attestation.symmetricKey.secondaryKey":          flagSecondaryKeyFile,
	"attestation.tpm.endorsementKey":                 flagEndorsementKey,
	"attestation.tpm.storageRootKey":                 flagStorageRootKey,
	"deviceId":                                       flagDeviceID,
	"optionalDeviceInformation":                      flagDeviceInformation,
	"provisioningStatus":                             flagProvisioning,
	"allocationPolicy":                               flagAllocationPolicy,
	"iotHubs":                                        flagIoTHub,
	"iotHubHostName":                                 flagIoTHub,
	"customAllocationDefinition":                     flagWebhookURL,
	"customAllocationDefinition.webhookUrl":          flagWebhookURL,
	"customAllocationDefinition.apiVersion":          flagWebhookAPIVersion,
	"initialTwin.tags":                               flagTwinTags,
	"initialTwin.properties.desired":                 flagTwinProperties,
}

// subject is how a user of the command line calls the member.
func subject(p enrollment.Problem) string {
	if flag, ok := flagOfMember[p.Member]; ok {
		return "--" + flag
	}
	if p.Member == "registrationId" || p.Member == "enrollmentGroupId" {
		return "ID"
	}
	return p.Member
}

// usageProblems turns what Check found into one usage error; nil for none.
func usageProblems(problems []enrollment.Problem) error {
	if len(problems) == 0 {
		return nil
	}
	var texts []string
	for _, p := range problems {
		texts = append(texts, subject(p)+": "+p.Text)
	}
	err := cliapp.WithCode(errors.New(strings.Join(texts, "; ")), cliapp.ExitUsage)
	for _, p := range slices.Backward(problems) { // the outermost hint is printed first
		if p.Fix != "" {
			err = cliapp.WithHint(err, "%s", p.Fix)
		}
	}
	return err
}

// warn prints what the service accepts and what will disappoint later.
func warn(env *cliapp.Env, problems []enrollment.Problem) {
	for _, p := range problems {
		env.Notef("warning: %s: %s; %s", subject(p), p.Text, p.Fix)
	}
}

// newProblems are those that the changes made: what was stored before is the
// business of whoever stored it.
func newProblems[T enrollment.Object](before, after T) []enrollment.Problem {
	old := enrollment.Check(before)
	return slices.DeleteFunc(enrollment.Check(after), func(p enrollment.Problem) bool { return slices.Contains(old, p) })
}
