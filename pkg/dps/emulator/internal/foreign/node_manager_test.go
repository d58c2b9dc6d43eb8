package foreign_test

import (
	"crypto/x509"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dpskit/dpskit/pkg/dps/dpstest"
	"github.com/dpskit/dpskit/pkg/dps/emulator"
	"github.com/dpskit/dpskit/pkg/dps/emulator/internal/foreign"
	"github.com/dpskit/dpskit/pkg/pki"
)

const armHub = "node-hub"

// armSteps are what the two scripts must have done, in order.
var (
	armUploadSteps = []string{
		"upload", "upload without an etag is refused", "update", "vouch", "list", "get", "garbage is refused",
		"code with a stale etag is refused", "code", "wrong token is refused", "another resource is refused",
	}
	armVerifySteps = []string{
		"tampered signature is refused", "proof by another CA is refused", "proof of another code is refused", "expired proof is refused",
		"garbage is refused", "verify with the etag of the upload is refused", "verify", "replayed proof is refused", "get", "resource",
		"keys", "stale delete is refused", "delete", "get of a deleted one",
	}
)

// TestNodeARM drives a whole proof of possession with Microsoft's Node clients.
func TestNodeARM(t *testing.T) {
	for sdk, npmPackage := range map[string]string{
		"generation6": "@azure/arm-deviceprovisioningservices", "generation5": "arm-deviceprovisioningservices-5", "hub": "@azure/arm-iothub",
	} {
		t.Run(sdk, func(t *testing.T) {
			foreign.RequireNode(t, npmPackage)
			e := dpstest.Start(t, func(o *emulator.Options) { o.Hubs = []string{armHub + ".azure-devices.net"} })
			info := e.Info()
			root, _ := newCA(t)
			input := map[string]any{
				"sdk": sdk, "endpoint": info.ARMEndpoint, "subscription": info.SubscriptionID, "group": info.ResourceGroup,
				"name": info.Name, "hub": armHub, "token": info.Token, "idScope": info.IDScope,
				"certificate": pemText(root.Certificate()), "thumbprint": pki.SHA1Thumbprint(root.Certificate()),
			}
			var uploaded struct {
				Steps                  []string
				Code, ETag, UploadETag string
			}
			foreign.Node(t, e, "arm-upload.cjs", input, &uploaded)
			if diff := cmp.Diff(armUploadSteps, uploaded.Steps); diff != "" {
				t.Fatal(diff)
			}
			input["etag"], input["uploadEtag"] = uploaded.ETag, uploaded.UploadETag
			addProofs(t, input, root, uploaded.Code)
			var verified report
			foreign.Node(t, e, "arm-verify.cjs", input, &verified)
			want := armVerifySteps
			if sdk == "hub" {
				want = without(want, "keys")
			}
			if diff := cmp.Diff(want, verified.Steps); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// addProofs signs the proof, and those that must be refused.
func addProofs(t *testing.T, input map[string]any, root *pki.Authority, code string) {
	t.Helper()
	sign := func(ca *pki.Authority, code string, validity pki.Validity) *x509.Certificate {
		b, err := ca.Issue(pki.IssueRequest{Profile: pki.ProfileVerification, CommonName: code, Validity: validity})
		if err != nil {
			t.Fatal(err)
		}
		return b.Certificate
	}
	stranger, _ := newCA(t) // same name, other key
	proof := sign(root, code, pki.Validity{})
	tampered := *proof
	tampered.Raw = append([]byte(nil), proof.Raw...)
	tampered.Raw[len(tampered.Raw)-1] ^= 1
	now := time.Now()
	input["proof"], input["tampered"] = pemText(proof), pemText(&tampered)
	input["stranger"], input["wrongCode"] = pemText(sign(stranger, code, pki.Validity{})), pemText(sign(root, "0"+code[1:]+"0", pki.Validity{}))
	input["expired"] = pemText(sign(root, code, pki.Validity{NotBefore: now.Add(-4 * time.Minute), NotAfter: now.Add(-time.Minute)}))
}

func without(list []string, drop string) []string {
	var out []string
	for _, s := range list {
		if s != drop {
			out = append(out, s)
		}
	}
	return out
}
