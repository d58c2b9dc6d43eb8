package main

import (
	"github.com/urfave/cli/v2"

	"github.com/dpskit/dpskit/cmd/internal/cliapp"
	"github.com/dpskit/dpskit/pkg/dps/service"
)

func newGroupCmd(env *cliapp.Env) *cli.Command {
	return &cli.Command{
		Name: "group", Usage: "enrollment groups: devices by the CA that signed them, or by a key derived from the group's",
		Subcommands: append(enrollmentCommands(env, groupKind, enrollmentTexts{
			create: "Devices whose chain leads to the signing certificate are let in. The certificate itself,\n" +
				"or one above it, must be verified (see 'enroll ca prove').\n\n" +
				"   enroll group create my-group --signing-cert pki/certs/azure-iot-test-only.intermediate.cert.pem\n" +
				"   enroll group create my-group --ca-reference my-root\n" +
				"   enroll group create my-group --symmetric-key --edge --initial-twin-tags '{\"site\":\"north\"}'\n" +
				"   enroll group create my-group --ca-reference my-root --allocation-policy static --iot-hub my-hub.azure-devices.net",
			update: "Changes what is given and keeps everything else, also what this program does not know and\n" +
				"the keys. If someone else changes the group at the same time, their change stays: the update\n" +
				"is repeated if it is about other settings, and fails with exit code 5 if it is about the same.\n\n" +
				"   enroll group update my-group --provisioning-status disabled\n" +
				"   enroll group update my-group --secondary-cert new-intermediate.pem\n" +
				"   enroll group update my-group --initial-twin-tags @tags.json --clear iot-hub --clear allocation-policy",
			show:   "Keys are not shown; see 'enroll group keys'.\n\n   enroll group show my-group\n   enroll group show my-group --output json",
			list:   "   enroll group list --output json\n   enroll group list --top 10",
			remove: "The registrations of its devices stay; see 'enroll registration delete'.\n\n   enroll group delete my-group --yes",
		}), newGroupKeysCmd(env, runGroupKeys)),
	}
}

func connectService(env *cliapp.Env, opts connectOptions) (*endpoint, *service.Client, error) {
	ep, err := connect(env, opts)
	if err != nil {
		return nil, nil, err
	}
	client, err := ep.service()
	return ep, client, err
}
