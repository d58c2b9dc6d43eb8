package main

import (
	"github.com/urfave/cli/v2"

	"github.com/dpskit/dpskit/cmd/internal/cliapp"
)

func newIndividualCmd(env *cliapp.Env) *cli.Command {
	return &cli.Command{
		Name: "individual", Usage: "individual enrollments: one device by its own certificate, keys or TPM",
		Subcommands: append(enrollmentCommands(env, individualKind, enrollmentTexts{
			create: "ID is the registration ID. With X.509 it must be the common name of the certificate, which\n" +
				"may be self-signed ('certgen device --self-signed').\n\n" +
				"   enroll individual create my-device --cert pki/certs/my-device.cert.pem\n" +
				"   enroll individual create my-device --symmetric-key --device-id pump-7\n" +
				"   enroll individual create my-device --endorsement-key @ek.b64 --edge\n" +
				"   enroll individual create my-device --symmetric-key --if-exists update --provisioning-status disabled",
			update: "Changes what is given and keeps everything else, also what this program does not know and\n" +
				"the keys. If someone else changes the enrollment at the same time, their change stays: the\n" +
				"update is repeated if it is about other settings, and fails with exit code 5 if it is about\n" +
				"the same.\n\n" +
				"   enroll individual update my-device --secondary-cert renewed.pem\n" +
				"   enroll individual update my-device --device-id pump-8 --reprovision-policy reset\n" +
				"   enroll individual update my-device --clear device-information --clear secondary-cert",
			show: "Shows the state of the registration, too. Keys are not shown; see 'enroll individual keys'.\n\n" +
				"   enroll individual show my-device\n   enroll individual show my-device --output json",
			list:   "   enroll individual list --output json\n   enroll individual list --top 10",
			remove: "The device keeps its identity in the IoT hub.\n\n   enroll individual delete my-device --yes",
		}), newIndividualKeysCmd(env, runIndividualKeys), newImportCmd(env, runImport)),
	}
}
