// Certgen makes the X.509 certificates that a test of Azure IoT Hub Device
// Provisioning Service needs: a root, intermediates, device certificates and
// the certificate that proves possession of a CA. It keeps them in a folder
// whose names are those of the scripts that tutorials use.
//
// Everything certgen makes is for tests: the private keys of the CAs lie
// beside the certificates, unencrypted unless a pass phrase is given.
package main

import (
	"os"

	"github.com/dpskit/dpskit/cmd/internal/cliapp"
)

func main() {
	os.Exit(program().Main())
}

func program() cliapp.Program {
	return cliapp.Program{Name: programName, New: newApp, Classify: classify}
}
