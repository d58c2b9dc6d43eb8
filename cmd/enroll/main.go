// Enroll verifies certification authorities with Azure IoT Hub Device
// Provisioning Service (DPS), manages enrollment groups and registers devices:
// against the service itself, or against the DPS emulator that it carries.
//
// enroll --generate does the whole job in one command with nothing configured.
package main

import (
	"os"

	"github.com/dpskit/dpskit/cmd/internal/cliapp"
)

func main() {
	os.Exit(program().Main())
}

// program is enroll as cliapp runs it.
func program() cliapp.Program {
	return cliapp.Program{Name: "enroll", New: newApp, Classify: classify}
}
