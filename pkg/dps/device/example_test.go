package device_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net/url"

	"github.com/dpskit/dpskit/pkg/dps"
	"github.com/dpskit/dpskit/pkg/dps/device"
	"github.com/dpskit/dpskit/pkg/dps/emulator"
	"github.com/dpskit/dpskit/pkg/dps/service"
	"github.com/dpskit/dpskit/pkg/pki"
)

// Register a device with a certificate of its own. Against Azure, Host and
// RootCAs are left out.
func ExampleClient_Register() {
	ctx := context.Background()
	e, err := emulator.Start(ctx, &emulator.Options{RetryAfter: -1})
	if err != nil {
		log.Fatal(err)
	}
	defer e.Close()
	bundle, err := pki.SelfSigned(pki.IssueRequest{CommonName: "dev-1"})
	if err != nil {
		log.Fatal(err)
	}
	certificate, err := bundle.TLSCertificate()
	if err != nil {
		log.Fatal(err)
	}
	client, err := device.NewClient(e.Info().IDScope, "dev-1", device.X509(certificate),
		&device.ClientOptions{Host: e.Info().HostName, RootCAs: e.CAPool()})
	if err != nil {
		log.Fatal(err)
	}
	_, err = client.Register(ctx, nil)
	fmt.Println("before enrollment:", errors.Is(err, dps.ErrUnauthorized))

	cs, err := dps.ParseConnectionString(e.Info().ConnectionString)
	if err != nil {
		log.Fatal(err)
	}
	owner, err := service.NewClient(cs.HostName, service.SharedKey(cs.SharedAccessKeyName, cs.SharedAccessKey),
		&service.ClientOptions{HTTPClient: e.HTTPClient()})
	if err != nil {
		log.Fatal(err)
	}
	_, err = owner.PutEnrollment(ctx, service.IndividualEnrollment{
		RegistrationID: "dev-1", Attestation: service.ClientCertificate(bundle.Certificate, nil)}, nil)
	if err != nil {
		log.Fatal(err)
	}
	result, err := client.Register(ctx, nil)
	fmt.Println(result.Status, result.DeviceID, result.AssignedHub, err)
	// Output:
	// before enrollment: true
	// assigned dev-1 dpskit-emulator-hub.azure-devices.net <nil>
}

// Register a device of a symmetric-key group: it holds a key derived from the
// group's key for it alone.
func ExampleSymmetricKey() {
	ctx := context.Background()
	e, err := emulator.Start(ctx, &emulator.Options{RetryAfter: -1})
	if err != nil {
		log.Fatal(err)
	}
	defer e.Close()
	cs, err := dps.ParseConnectionString(e.Info().ConnectionString)
	if err != nil {
		log.Fatal(err)
	}
	owner, err := service.NewClient(cs.HostName, service.SharedKey(cs.SharedAccessKeyName, cs.SharedAccessKey),
		&service.ClientOptions{HTTPClient: e.HTTPClient()})
	if err != nil {
		log.Fatal(err)
	}
	groupKey := dps.Secret("bXktZ3JvdXAta2V5LW9mLTMyLWJ5dGVzLTAxMjM0NSE=")
	_, err = owner.PutGroup(ctx, service.EnrollmentGroup{EnrollmentGroupID: "sensors",
		Attestation: service.SymmetricKeys(groupKey, groupKey)}, nil)
	if err != nil {
		log.Fatal(err)
	}

	// In the factory: derive the key that goes onto the device.
	key, err := dps.DeriveDeviceKey(groupKey, "sensor-1")
	if err != nil {
		log.Fatal(err)
	}
	// On the device:
	client, err := device.NewClient(e.Info().IDScope, "sensor-1", device.SymmetricKey(key),
		&device.ClientOptions{Host: e.Info().HostName, RootCAs: e.CAPool()})
	if err != nil {
		log.Fatal(err)
	}
	result, err := client.Register(ctx, nil)
	fmt.Println(result.Status, result.DeviceID, result.EnrollmentGroupID, err)
	// Output: assigned sensor-1 sensors <nil>
}

// Register over MQTT. The emulator has a port of its own for it; in Azure the
// host is the same, and the port follows from the transport.
func ExampleTransport() {
	ctx := context.Background()
	e, err := emulator.Start(ctx, &emulator.Options{RetryAfter: -1})
	if err != nil {
		log.Fatal(err)
	}
	defer e.Close()
	mqtt, err := url.Parse(e.Info().MQTT[0])
	if err != nil {
		log.Fatal(err)
	}
	key := dps.Secret("YS1rZXktdGhhdC1ub2JvZHktaGFzLWVucm9sbGVkLi4=")
	client, err := device.NewClient(e.Info().IDScope, "sensor-1", device.SymmetricKey(key),
		&device.ClientOptions{Transport: device.TransportMQTT, Host: mqtt.Host, RootCAs: e.CAPool()})
	if err != nil {
		log.Fatal(err)
	}
	_, err = client.Register(ctx, nil)
	fmt.Println(err)
	fmt.Println(errors.Is(err, dps.ErrUnauthorized))
	// Output:
	// register device "sensor-1": 401 Unauthorized: not authorized (CONNACK 5)
	// true
}
