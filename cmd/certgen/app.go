package main

import (
	"github.com/urfave/cli/v2"

	"github.com/dpskit/dpskit/cmd/internal/cliapp"
)

const appDescription = `The certificates go to the folder ./pki (--dir, $CERTGEN_DIR). From nothing to a device:

   certgen init
   certgen device my-device

--output json prints one document. Commands that make certificates, and list, print
   {dir, chainCa, renewed, certificates: [{name, profile, subject, issuer, serial,
   notBefore, notAfter, keyType, sha1Thumbprint, sha256Thumbprint, broken,
   files: {certificate, fullChain, key, pfx, pfxPassword}}]};
inspect prints {items: [{source, format, certificates, chain, privateKey, request,
files, broken}]}, export {name, format, part, file, content,
files: [{format, part, file}]}, doctor {reports: [{name,
files, broken, role, roleGuessed, time, certificate, findings: [{severity, check, what,
why, fix, certificate, predicted}], predicted, placements}], fatal, warning}. Times are
RFC 3339 in UTC, paths begin with the folder as it was given, and what there is not is
left out.

Exit codes: 0 done, 1 failed, 2 wrong usage, 3 not found, 4 pass phrase wrong or
missing, 5 exists already, 6 verification failed, 7 folder in use, 8 partly done,
130 interrupted.`

func newApp(env *cliapp.Env) *cli.App {
	app := &cli.App{
		Usage:       "make test certificates for Azure IoT Hub Device Provisioning Service",
		Description: appDescription,
		Commands: []*cli.Command{
			newInitCmd(env, runInit),
			newRootCmd(env, runInit),
			newIntermediateCmd(env, runIntermediate),
			newDeviceCmd(env, runDevice),
			newEdgeCACmd(env, runLeaf),
			newEdgeIdentityCmd(env, runLeaf),
			newServerCmd(env, runLeaf),
			newVerificationCmd(env, runVerification),
			newSignCmd(env, runSign),
			newExportCmd(env, runExport),
			newRenewCmd(env, runRenew),
			newInspectCmd(env, runInspect),
			newDoctorCmd(env, runDoctor),
			newListCmd(env, runList),
		},
	}
	for _, c := range app.Commands {
		c.Action = withFolder(env, c.Action)
		switch c.Name {
		case "export", "renew", "inspect", "doctor":
			c.BashComplete = completeNames(env)
		}
	}
	return app
}
