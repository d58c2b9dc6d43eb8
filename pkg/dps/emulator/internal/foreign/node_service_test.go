package foreign_test

import (
	"bytes"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dpskit/dpskit/pkg/dps/dpstest"
	"github.com/dpskit/dpskit/pkg/dps/emulator"
	"github.com/dpskit/dpskit/pkg/dps/emulator/internal/foreign"
	"github.com/dpskit/dpskit/pkg/pki"
)

const nodeServicePackage = "azure-iot-provisioning-service"

// nodeService is an emulator where the Node package can reach it: port 443 of
// an address of its own.
type nodeService struct {
	t testing.TB
	e *emulator.Emulator
	// host is the address without the port, as the connection string has it.
	host, connectionString string
}

func startNodeService(t *testing.T) nodeService {
	t.Helper()
	foreign.RequireNode(t, nodeServicePackage)
	addr := foreign.LoopbackAddr(t, "443")
	e := dpstest.Start(t, func(o *emulator.Options) { o.HTTPSAddrs = []string{addr} })
	host := strings.TrimSuffix(addr, ":443")
	info := e.Info()
	return nodeService{t: t, e: e, host: host,
		connectionString: strings.Replace(info.ConnectionString, "HostName="+info.HostName+";", "HostName="+host+";", 1)}
}

// report is what every script prints.
type report struct {
	Steps []string `json:"steps"`
	Found []string `json:"found"`
	Key   string   `json:"key"`
}

func (s nodeService) run(script string, input map[string]any) report {
	s.t.Helper()
	input["connectionString"] = s.connectionString
	var r report
	foreign.Node(s.t, s.e, script, input, &r)
	return r
}

// get reads path of the service plane with plain net/http.
func (s nodeService) get(path string) (int, map[string]any) {
	s.t.Helper()
	return s.call(http.MethodGet, path, nil)
}

func (s nodeService) call(method, path string, body any) (int, map[string]any) {
	s.t.Helper()
	data, err := json.Marshal(body)
	if err != nil {
		s.t.Fatal(err)
	}
	version := "2021-10-01"
	if strings.HasPrefix(path, "/subscriptions/") {
		version = "2022-12-12"
	}
	req, err := http.NewRequestWithContext(s.t.Context(), method, "https://"+s.host+path+"?api-version="+version, bytes.NewReader(data))
	if err != nil {
		s.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+s.e.Info().Token)
	client := s.e.HTTPClient()
	defer client.CloseIdleConnections()
	resp, err := client.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	var out map[string]any
	_ = json.Unmarshal(raw, &out)
	return resp.StatusCode, out
}

// steps are what each script must have done, in order.
var steps = map[string][]string{
	"service-individuals.cjs": {
		"create x509", "create again is refused", "get", "update", "stale update is refused", "update without the certificate",
		"create symmetric key", "attestation mechanism", "get shows no keys", "create tpm", "get tpm",
		"bulk create", "bulk create of what is there", "bulk with an id twice is refused", "bulk of eleven is refused", "bulk update",
		"query by pages", "query from a continuation", "with a token", "wrong key is refused",
		"bulk delete", "stale delete is refused", "delete by object", "delete by id", "get of a deleted one", "delete of a deleted one",
	},
	"service-groups.cjs": {
		"create by signing certificate", "create again is refused", "get", "update", "stale update is refused",
		"create by CA reference", "CA reference that is not verified is refused", "create symmetric key", "attestation mechanism",
		"query by pages", "stale delete is refused", "delete by object", "delete by id and etag", "get of a deleted one",
	},
	"service-registrations.cjs": {
		"get", "query by pages", "stale delete is refused", "delete by object", "delete by id", "get of a deleted one",
	},
}

func TestNodeServiceIndividuals(t *testing.T) {
	s := startNodeService(t)
	first, second := selfSigned(t, "node-x509"), selfSigned(t, "node-x509")
	r := s.run("service-individuals.cjs", map[string]any{
		"host": s.host, "token": s.e.Info().Token,
		"certificate": pemText(first), "thumbprint": pki.SHA1Thumbprint(first),
		"renewed": pemText(second), "renewedThumbprint": pki.SHA1Thumbprint(second),
	})
	if diff := cmp.Diff(steps["service-individuals.cjs"], r.Steps); diff != "" {
		t.Error(diff)
	}
	want := []string{"node-key", "node-tpm", "node-x509"}
	for i := range 23 {
		want = append(want, fmt.Sprintf("node-bulk-%02d", i))
	}
	if diff := cmp.Diff(sorted(want), sorted(r.Found)); diff != "" {
		t.Errorf("query: %s", diff)
	}
	// What is left is what the script left, and its key is the stored one.
	if status, _ := s.get("/enrollments/node-bulk-00"); status != http.StatusNotFound {
		t.Errorf("enrollment deleted in bulk: status %d", status)
	}
	_, got := s.call(http.MethodPost, "/enrollments/node-key/attestationmechanism", nil)
	if keys, _ := got["symmetricKey"].(map[string]any); r.Key == "" || keys["primaryKey"] != r.Key {
		t.Error("the key that the client got is not the stored one")
	}
}

func TestNodeServiceGroups(t *testing.T) {
	s := startNodeService(t)
	root, intermediate := newCA(t)
	s.upload("verified-root", root, true)
	s.upload("other-root", intermediate, false)
	r := s.run("service-groups.cjs", map[string]any{
		"signing": pemText(intermediate.Certificate()), "signingThumbprint": pki.SHA1Thumbprint(intermediate.Certificate()),
		"caName": "verified-root", "unverified": "other-root",
	})
	if diff := cmp.Diff(steps["service-groups.cjs"], r.Steps); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"node-key", "node-reference", "node-signing"}, sorted(r.Found)); diff != "" {
		t.Errorf("query: %s", diff)
	}
	_, got := s.call(http.MethodPost, "/enrollmentGroups/node-key/attestationmechanism", nil)
	if keys, _ := got["symmetricKey"].(map[string]any); r.Key == "" || keys["primaryKey"] != r.Key {
		t.Error("the key that the client got is not the stored one")
	}
}

func TestNodeServiceRegistrations(t *testing.T) {
	s := startNodeService(t)
	root, intermediate := newCA(t)
	s.upload("root", root, true)
	if status, got := s.call(http.MethodPut, "/enrollmentGroups/fleet", map[string]any{
		"enrollmentGroupId": "fleet",
		"attestation": map[string]any{"type": "x509", "x509": map[string]any{
			"signingCertificates": map[string]any{"primary": map[string]any{"certificate": pemText(intermediate.Certificate())}},
		}},
	}); status != http.StatusOK {
		t.Fatalf("create group: %d %v", status, got)
	}
	ids := []string{"node-dev-1", "node-dev-2", "node-dev-3", "node-dev-4", "node-dev-5"}
	for _, id := range ids {
		register(t, s.e, intermediate, id)
	}
	r := s.run("service-registrations.cjs", map[string]any{
		"group": "fleet", "ids": ids, "hub": emulator.DefaultName + "-hub.azure-devices.net",
	})
	if diff := cmp.Diff(steps["service-registrations.cjs"], r.Steps); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(ids, sorted(r.Found)); diff != "" {
		t.Errorf("query: %s", diff)
	}
	for id, want := range map[string]int{"node-dev-1": 404, "node-dev-2": 404, "node-dev-3": 200} {
		if status, _ := s.get("/registrations/" + id); status != want {
			t.Errorf("record of %s: status %d, want %d", id, status, want)
		}
	}
}

// upload stores a CA certificate through Azure Resource Manager.
func (s nodeService) upload(name string, ca *pki.Authority, verified bool) {
	s.t.Helper()
	info := s.e.Info()
	path := fmt.Sprintf("/subscriptions/%s/resourceGroups/%s/providers/Microsoft.Devices/provisioningServices/%s/certificates/%s",
		info.SubscriptionID, info.ResourceGroup, info.Name, name)
	status, got := s.call(http.MethodPut, path, map[string]any{"properties": map[string]any{
		"certificate": base64.StdEncoding.EncodeToString([]byte(pemText(ca.Certificate()))), "isVerified": verified,
	}})
	if status != http.StatusOK {
		s.t.Fatalf("upload %s: %d %v", name, status, got)
	}
}

func sorted(list []string) []string { return slices.Sorted(slices.Values(list)) }

func pemText(cert *x509.Certificate) string { return string(pki.EncodeCertificatesPEM(cert)) }
