package enrollment_test

import (
	"fmt"

	"github.com/dpskit/dpskit/pkg/dps/enrollment"
	"github.com/dpskit/dpskit/pkg/dps/service"
)

func ExampleCheck() {
	group := service.EnrollmentGroup{
		EnrollmentGroupID: "line-1",
		Attestation:       service.CAReference("my-root", ""),
		AllocationPolicy:  service.AllocationStatic,
		IoTHubs:           []string{"east"},
	}
	for _, p := range enrollment.Check(group) {
		fmt.Println(p.Error())
		fmt.Println("  " + p.Fix)
	}
	// Output:
	// iotHubs: "east" is the name of a hub, not its host name
	//   write east.azure-devices.net
}

func ExampleDiff() {
	stored := service.IndividualEnrollment{RegistrationID: "dev-1", Attestation: service.SymmetricKeys("", "")}
	wanted := stored
	wanted.ProvisioningStatus = service.ProvisioningDisabled
	for _, d := range enrollment.Diff(stored, wanted) {
		fmt.Printf("%s: %s -> %s\n", d.Member, d.Before, d.After)
	}
	// Output:
	// provisioningStatus: "enabled" -> "disabled"
}

func ExampleOverlay() {
	stored := service.IndividualEnrollment{
		RegistrationID: "dev-1", ETag: "v1", Attestation: service.SymmetricKeys("", ""), IoTHubs: []string{"east.azure-devices.net"},
	}
	merged, err := enrollment.Overlay(stored, service.IndividualEnrollment{DeviceID: "pump-7"})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(merged.DeviceID, merged.IoTHubs, merged.ETag)
	// Output:
	// pump-7 [east.azure-devices.net] v1
}
