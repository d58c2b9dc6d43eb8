package emulator_test

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/arm"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/cloud"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/deviceprovisioningservices/armdeviceprovisioningservices"

	"github.com/dpskit/dpskit/pkg/pki"
)

// staticToken is a credential that always has the same token.
type staticToken string

func (s staticToken) GetToken(context.Context, policy.TokenRequestOptions) (azcore.AccessToken, error) {
	return azcore.AccessToken{Token: string(s), ExpiresOn: time.Now().Add(time.Hour)}, nil
}

// officialClients returns the client factory of Microsoft's SDK for w.
func officialClients(t *testing.T, w *world, token string) *armdeviceprovisioningservices.ClientFactory {
	t.Helper()
	httpClient := w.client(nil)
	t.Cleanup(httpClient.CloseIdleConnections)
	f, err := armdeviceprovisioningservices.NewClientFactory(w.info.SubscriptionID, staticToken(token), &arm.ClientOptions{
		ClientOptions: azcore.ClientOptions{
			Cloud: cloud.Configuration{Services: map[cloud.ServiceName]cloud.ServiceConfiguration{
				cloud.ResourceManager: {Endpoint: w.info.ARMEndpoint, Audience: "https://management.azure.com"},
			}},
			Transport: httpClient,
			Retry:     policy.RetryOptions{MaxRetries: -1},
		},
		DisableRPRegistration: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// TestOfficialClient drives the certificate operations with Microsoft's own
// client: upload, code, verify, list, get, delete.
func TestOfficialClient(t *testing.T) {
	w := newWorld(t)
	root := newPKI(t).root
	ctx, rg, dps := t.Context(), w.info.ResourceGroup, w.info.Name
	c := officialClients(t, w, w.info.Token).NewDpsCertificateClient()

	put, err := c.CreateOrUpdate(ctx, rg, dps, "root", armdeviceprovisioningservices.CertificateResponse{
		Properties: &armdeviceprovisioningservices.CertificateProperties{Certificate: []byte(pemText(root.Certificate()))},
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if *put.Properties.IsVerified || *put.Properties.Thumbprint != pki.SHA1Thumbprint(root.Certificate()) ||
		!put.Properties.Expiry.Equal(root.Certificate().NotAfter) {
		t.Errorf("uploaded %+v", put.Properties)
	}
	code, err := c.GenerateVerificationCode(ctx, "root", *put.Etag, rg, dps, nil)
	if err != nil {
		t.Fatal(err)
	}
	proof := issue(t, root, pki.IssueRequest{Profile: pki.ProfileVerification, CommonName: *code.Properties.VerificationCode})
	body := armdeviceprovisioningservices.VerificationCodeRequest{Certificate: to.Ptr(base64PEM(proof.Certificate))}

	_, err = c.VerifyCertificate(ctx, "root", *put.Etag, rg, dps, body, nil)
	if status(err) != http.StatusPreconditionFailed {
		t.Errorf("verify with the etag of the upload: %v, want 412", err)
	}
	verified, err := c.VerifyCertificate(ctx, "root", *code.Etag, rg, dps, body, nil)
	if err != nil {
		t.Fatal(err)
	}
	if !*verified.Properties.IsVerified || verified.Properties.Created == nil || verified.Properties.Updated == nil {
		t.Errorf("verified %+v", verified.Properties)
	}
	list, err := c.List(ctx, rg, dps, nil)
	if err != nil || len(list.Value) != 1 || *list.Value[0].Name != "root" {
		t.Errorf("list: %v, %v", list.Value, err)
	}
	got, err := c.Get(ctx, "root", rg, dps, nil)
	if err != nil || *got.Etag != *verified.Etag {
		t.Errorf("get: %+v, %v", got, err)
	}
	// Query parameters that the specification has by accident are ignored.
	_, err = c.Delete(ctx, rg, *got.Etag, dps, "root", &armdeviceprovisioningservices.DpsCertificateClientDeleteOptions{
		CertificateName1: to.Ptr("root"), CertificateIsVerified: to.Ptr(false),
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Get(ctx, "root", rg, dps, nil); status(err) != http.StatusNotFound {
		t.Errorf("get after delete: %v, want 404", err)
	}
}

func TestOfficialClientReadsService(t *testing.T) {
	w := newWorld(t)
	ctx, rg, dps := t.Context(), w.info.ResourceGroup, w.info.Name
	c := officialClients(t, w, w.info.Token).NewIotDpsResourceClient()
	got, err := c.Get(ctx, dps, rg, nil)
	if err != nil || *got.Properties.IDScope != w.info.IDScope || len(got.Properties.IotHubs) != 1 {
		t.Errorf("get: %+v, %v", got.Properties, err)
	}
	page, err := c.NewListBySubscriptionPager(nil).NextPage(ctx)
	if err != nil || len(page.Value) != 1 {
		t.Errorf("list: %v, %v", page.Value, err)
	}
	keys, err := c.NewListKeysPager(dps, rg, nil).NextPage(ctx)
	if err != nil || len(keys.Value) != 1 || *keys.Value[0].KeyName != "provisioningserviceowner" {
		t.Errorf("keys: %v, %v", keys.Value, err)
	}
	_, err = c.ListKeysForKeyName(ctx, dps, "nobody", rg, nil)
	if status(err) != http.StatusNotFound {
		t.Errorf("unknown key: %v, want 404", err)
	}
	stranger := officialClients(t, w, "not the token").NewIotDpsResourceClient()
	if _, err := stranger.Get(ctx, dps, rg, nil); status(err) != http.StatusUnauthorized {
		t.Errorf("wrong token: %v, want 401", err)
	}
}

// status returns the HTTP status of an azcore error, or 0.
func status(err error) int {
	var r *azcore.ResponseError
	if errors.As(err, &r) {
		return r.StatusCode
	}
	return 0
}
