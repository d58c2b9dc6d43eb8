package arm_test

import (
	"context"
	"crypto/x509"
	"fmt"
	"log"

	"github.com/dpskit/dpskit/pkg/dps/arm"
	"github.com/dpskit/dpskit/pkg/dps/emulator"
	"github.com/dpskit/dpskit/pkg/pki"
)

// Prove possession of a CA's key. Against Azure the credential comes from
// azidentity, and Endpoint and HTTPClient are left out.
func ExampleClient_Prove() {
	ctx := context.Background()
	e, err := emulator.Start(ctx, nil)
	if err != nil {
		log.Fatal(err)
	}
	defer e.Close()
	client, err := arm.NewClient(
		arm.Scope{SubscriptionID: e.Info().SubscriptionID, ResourceGroup: e.Info().ResourceGroup, ServiceName: e.Info().Name},
		staticToken(e.Info().Token),
		&arm.ClientOptions{Endpoint: e.Info().ARMEndpoint, HTTPClient: e.HTTPClient()})
	if err != nil {
		log.Fatal(err)
	}
	root, err := pki.NewRoot(nil)
	if err != nil {
		log.Fatal(err)
	}
	sign := func(_ context.Context, code string) (*x509.Certificate, error) {
		b, err := root.Issue(pki.IssueRequest{Profile: pki.ProfileVerification, CommonName: code})
		if err != nil {
			return nil, err
		}
		return b.Certificate, nil
	}
	for range 2 {
		result, err := client.Prove(ctx, "root", root.Certificate(), sign, nil)
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println("verified:", result.Certificate.Verified, "before:", result.AlreadyVerified)
	}
	// Output:
	// verified: true before: false
	// verified: true before: true
}

// From the name of a service to the connection string for its service API.
func ExampleSubscriptionClient_FindService() {
	ctx := context.Background()
	e, err := emulator.Start(ctx, nil)
	if err != nil {
		log.Fatal(err)
	}
	defer e.Close()
	credential, options := staticToken(e.Info().Token), &arm.ClientOptions{Endpoint: e.Info().ARMEndpoint, HTTPClient: e.HTTPClient()}
	subscription, err := arm.NewSubscriptionClient(e.Info().SubscriptionID, credential, options)
	if err != nil {
		log.Fatal(err)
	}
	svc, err := subscription.FindService(ctx, "DPSKIT-emulator")
	if err != nil {
		log.Fatal(err)
	}
	client, err := arm.NewClient(svc.Scope(), credential, options)
	if err != nil {
		log.Fatal(err)
	}
	keys, err := client.Keys(ctx)
	if err != nil {
		log.Fatal(err)
	}
	key, err := arm.OwnerKey(keys)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(svc.IDScope, key.Name, svc.ConnectionString(key))
	// Output: 0ne00C0FFEE provisioningserviceowner REDACTED
}
