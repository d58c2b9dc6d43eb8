package doctor_test

import (
	"fmt"

	"github.com/dpskit/dpskit/pkg/pki"
	"github.com/dpskit/dpskit/pkg/pki/doctor"
)

// A device that presents its certificate alone, the most frequent reason of a refusal.
func ExampleCheck() {
	root, _ := pki.NewRoot(nil)
	sub, _ := root.NewIntermediate(&pki.CAOptions{CommonName: "Plant CA"})
	device, err := sub.Issue(pki.IssueRequest{CommonName: "dev-1"})
	if err != nil {
		fmt.Println(err)
		return
	}
	file, err := doctor.Read("dev-1.cert.pem", device.CertificatePEM(), nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	ca, err := doctor.Read("plant-ca.pem", pki.EncodeCertificatesPEM(sub.Certificate()), nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	report := doctor.Check([]doctor.Source{file}, &doctor.Options{Role: doctor.RoleDevice, Known: []doctor.Source{ca}})
	finding := report.Findings[0]
	fmt.Println(finding.Severity, finding.Check)
	fmt.Println(finding.What)
	fmt.Println(finding.Fix)
	fmt.Println("the service would answer:", report.Predicted)
	// Output:
	// fatal chain-complete
	// the intermediate certificate "Plant CA" is missing from the chain
	// present the full chain: add "plant-ca.pem" behind "dev-1"
	// the service would answer: 401002 CA certificate not found.
}

// A sound device, and which file goes where.
func ExampleReport() {
	root, _ := pki.NewRoot(nil)
	device, err := root.Issue(pki.IssueRequest{CommonName: "dev-1"})
	if err != nil {
		fmt.Println(err)
		return
	}
	report := doctor.Check([]doctor.Source{
		{Name: "dev-1.pem", Certificates: append(device.Issuers[:0:0], device.Certificate), Key: device.Key},
		{Name: "root.pem", Certificates: device.Issuers},
	}, nil)
	fmt.Println("fatal:", report.Fatal(), "role:", report.Role)
	for _, p := range report.Placements {
		fmt.Println(p.Text)
	}
	// Output:
	// fatal: false role: device
	// the device presents "dev-1": use "dev-1.pem"
	// an enrollment group holds the CA "Azure IoT Hub CA Cert Test Only", one certificate alone: use "root.pem"
	// the CA certificates of the service must contain "Azure IoT Hub CA Cert Test Only", verified: use "root.pem"
}

// A certificate that is broken on purpose, to see that a service of one's own refuses it.
func ExampleParseRole() {
	role, err := doctor.ParseRole("individual")
	if err != nil {
		fmt.Println(err)
		return
	}
	device, err := pki.SelfSignedBroken(pki.IssueRequest{CommonName: "dev-1"}, pki.FaultWrongEKU)
	if err != nil {
		fmt.Println(err)
		return
	}
	file, err := doctor.Read("dev-1.pem", device.CertificatePEM(), nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	report := doctor.Check([]doctor.Source{file}, &doctor.Options{Role: role})
	fmt.Println(report.Findings[0].What)
	// Output:
	// "dev-1" is not for a TLS client: its extended key usage lacks clientAuth
}
