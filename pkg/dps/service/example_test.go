package service_test

import (
	"context"
	"errors"
	"fmt"
	"log"

	"github.com/dpskit/dpskit/pkg/dps"
	"github.com/dpskit/dpskit/pkg/dps/emulator"
	"github.com/dpskit/dpskit/pkg/dps/service"
	"github.com/dpskit/dpskit/pkg/pki"
)

// exampleClient returns a client of an emulator, as a real program returns one
// of its provisioning service.
func exampleClient(ctx context.Context) (*service.Client, func()) {
	e, err := emulator.Start(ctx, nil)
	if err != nil {
		log.Fatal(err)
	}
	cs, err := dps.ParseConnectionString(e.Info().ConnectionString)
	if err != nil {
		log.Fatal(err)
	}
	client, err := service.NewClient(cs.HostName, service.SharedKey(cs.SharedAccessKeyName, cs.SharedAccessKey),
		&service.ClientOptions{HTTPClient: e.HTTPClient()})
	if err != nil {
		log.Fatal(err)
	}
	return client, func() { _ = e.Close() }
}

// Create a group for all devices signed by an intermediate CA.
func ExampleClient_PutGroup() {
	ctx := context.Background()
	client, stop := exampleClient(ctx)
	defer stop()
	root, err := pki.NewRoot(nil)
	if err != nil {
		log.Fatal(err)
	}
	intermediate, err := root.NewIntermediate(nil)
	if err != nil {
		log.Fatal(err)
	}
	group := service.EnrollmentGroup{
		EnrollmentGroupID: "line-1",
		Attestation:       service.SigningCertificate(intermediate.Certificate(), nil),
	}
	if group, err = client.PutGroup(ctx, group, nil); err != nil {
		log.Fatal(err)
	}
	// What was read is updated, and only that version.
	group.ProvisioningStatus = service.ProvisioningDisabled
	if group, err = client.PutGroup(ctx, group, nil); err != nil {
		log.Fatal(err)
	}
	fmt.Println(group.EnrollmentGroupID, group.ProvisioningStatus)
	_, err = client.PutGroup(ctx, service.EnrollmentGroup{EnrollmentGroupID: "line-1", Attestation: group.Attestation}, nil)
	fmt.Println("exists already:", errors.Is(err, dps.ErrConflict))
	// Output:
	// line-1 disabled
	// exists already: true
}

// Derive the key of one device from the key of its group.
func ExampleClient_GetGroupAttestation() {
	ctx := context.Background()
	client, stop := exampleClient(ctx)
	defer stop()
	_, err := client.PutGroup(ctx, service.EnrollmentGroup{EnrollmentGroupID: "keys",
		Attestation: service.SymmetricKeys("c2VjcmV0LXNlY3JldC1zZWNyZXQ=", "b3RoZXItb3RoZXItb3RoZXItb3RoZXI=")}, nil)
	if err != nil {
		log.Fatal(err)
	}
	attestation, err := client.GetGroupAttestation(ctx, "keys", nil)
	if err != nil {
		log.Fatal(err)
	}
	key, err := dps.DeriveDeviceKey(attestation.SymmetricKey.PrimaryKey, "dev-1")
	fmt.Println(attestation.SymmetricKey.PrimaryKey, len(key.Reveal()), err)
	// Output:
	// REDACTED 44 <nil>
}

// List what is there; the first error ends the sequence.
func ExampleClient_Enrollments() {
	ctx := context.Background()
	client, stop := exampleClient(ctx)
	defer stop()
	_, err := client.BulkEnrollments(ctx, service.BulkCreate, []service.IndividualEnrollment{
		{RegistrationID: "dev-1", Attestation: service.SymmetricKeys("", "")},
	})
	if err != nil {
		log.Fatal(err)
	}
	for enrollment, err := range client.Enrollments(ctx, nil) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(enrollment.RegistrationID, enrollment.Attestation.Type)
	}
	// Output:
	// dev-1 symmetricKey
}
