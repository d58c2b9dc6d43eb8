package service_test

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/dpskit/dpskit/pkg/dps"
	"github.com/dpskit/dpskit/pkg/dps/service"
	"github.com/dpskit/dpskit/pkg/pki"
	"github.com/google/go-cmp/cmp"
)

func TestGroupLifeCycle(t *testing.T) {
	_, c := start(t)
	root, intermediate := newCA(t)
	want := service.EnrollmentGroup{
		EnrollmentGroupID:  "fleet-1",
		Attestation:        service.SigningCertificate(intermediate.Certificate(), root.Certificate()),
		Capabilities:       &service.DeviceCapabilities{IoTEdge: true},
		ProvisioningStatus: service.ProvisioningEnabled,
		ReprovisionPolicy:  &service.ReprovisionPolicy{UpdateHubAssignment: true},
		AllocationPolicy:   service.AllocationHashed,
		IoTHubs:            []string{"dpskit-emulator-hub.azure-devices.net"},
		InitialTwin: &service.InitialTwin{Tags: json.RawMessage(`{"version":7,"a":{"b":[1,2.50]}}`),
			Properties: &service.InitialTwinProperties{Desired: json.RawMessage(`{"interval":3}`)}},
	}
	created := must[service.EnrollmentGroup](t)(c.PutGroup(t.Context(), want, nil))
	if created.ETag == "" || created.CreatedDateTimeUTC.IsZero() {
		t.Errorf("created without etag or date: %+v", created)
	}
	got := must[service.EnrollmentGroup](t)(c.GetGroup(t.Context(), "fleet-1", nil))
	if d := want.Differences(got); len(d) != 0 {
		t.Errorf("stored differs in %v", d)
	}
	if got.ETag != created.ETag {
		t.Errorf("etag %s, then %s", created.ETag, got.ETag)
	}
	if info := got.Attestation.X509.SigningCertificates.Primary.Info; info == nil ||
		info.SHA1Thumbprint != pki.SHA1Thumbprint(intermediate.Certificate()) {
		t.Errorf("info %+v", info)
	}

	got.ProvisioningStatus = service.ProvisioningDisabled
	updated := must[service.EnrollmentGroup](t)(c.PutGroup(t.Context(), got, nil))
	if updated.ETag == got.ETag || updated.ProvisioningStatus != service.ProvisioningDisabled {
		t.Errorf("not updated: %+v", updated)
	}
	// The certificate went away as text and back as a description.
	want.ProvisioningStatus = service.ProvisioningDisabled
	again := must[service.EnrollmentGroup](t)(c.GetGroup(t.Context(), "FLEET-1", nil))
	if d := want.Differences(again); len(d) != 0 {
		t.Errorf("after the update it differs in %v", d)
	}
	if err := c.DeleteGroup(t.Context(), "fleet-1", &service.DeleteOptions{IfMatch: updated.ETag}); err != nil {
		t.Fatal(err)
	}
	_, err := c.GetGroup(t.Context(), "fleet-1", nil)
	wantError(t, err, dps.ErrNotFound, 404204)
}

func TestGroupRefusals(t *testing.T) {
	e, c := start(t)
	_, ca := newCA(t)
	group := service.EnrollmentGroup{EnrollmentGroupID: "fleet", Attestation: service.SigningCertificate(ca.Certificate(), nil)}
	first := must[service.EnrollmentGroup](t)(c.PutGroup(t.Context(), group, nil))
	second := must[service.EnrollmentGroup](t)(c.PutGroup(t.Context(), first, nil))

	t.Run("absent", func(t *testing.T) {
		_, err := c.GetGroup(t.Context(), "other", nil)
		wantError(t, err, dps.ErrNotFound, 404204)
		wantError(t, c.DeleteGroup(t.Context(), "other", nil), dps.ErrNotFound, 0)
	})
	t.Run("create what exists", func(t *testing.T) {
		_, err := c.PutGroup(t.Context(), group, nil)
		wantError(t, err, dps.ErrConflict, 409202)
		if !strings.HasPrefix(err.Error(), `create enrollment group "fleet": 409 Conflict (code 409202): `) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("stale etag", func(t *testing.T) {
		_, err := c.PutGroup(t.Context(), first, nil)
		wantError(t, err, dps.ErrPrecondition, 0)
		wantError(t, c.DeleteGroup(t.Context(), "fleet", &service.DeleteOptions{IfMatch: first.ETag}), dps.ErrPrecondition, 0)
		if got := must[service.EnrollmentGroup](t)(c.GetGroup(t.Context(), "fleet", nil)); got.ETag != second.ETag {
			t.Error("the group changed")
		}
	})
	t.Run("any etag", func(t *testing.T) {
		stored := must[service.EnrollmentGroup](t)(c.PutGroup(t.Context(), first, &service.PutOptions{IfMatch: "*"}))
		if stored.ETag == second.ETag {
			t.Error("not written")
		}
	})
	t.Run("wrong key", func(t *testing.T) {
		for name, cred := range map[string]service.Credential{
			"tampered key":   service.SharedKey("provisioningserviceowner", testKey),
			"unknown policy": service.SharedKey("nobody", testKey),
			"wrong token":    service.Token(staticToken("wrong")),
		} {
			_, err := connectAs(t, e, cred).GetGroup(t.Context(), "fleet", nil)
			if wantError(t, err, dps.ErrUnauthorized, 0); strings.Contains(err.Error(), testKey) {
				t.Errorf("%s: the key is in %v", name, err)
			}
		}
	})
	t.Run("right token", func(t *testing.T) {
		c := connectAs(t, e, service.Token(staticToken(e.Info().Token)))
		must[service.EnrollmentGroup](t)(c.GetGroup(t.Context(), "fleet", nil))
	})
	t.Run("id that no path can hold", func(t *testing.T) {
		for _, id := range []string{"", "..", "a/b", "a?b", "a b", strings.Repeat("x", 129)} {
			_, err := c.GetGroup(t.Context(), id, nil)
			wantError(t, err, dps.ErrInvalidID, 0)
			wantError(t, c.DeleteGroup(t.Context(), id, nil), dps.ErrInvalidID, 0)
			_, err = c.PutGroup(t.Context(), service.EnrollmentGroup{EnrollmentGroupID: id, Attestation: group.Attestation}, nil)
			wantError(t, err, dps.ErrInvalidID, 0)
		}
	})
	t.Run("no attestation", func(t *testing.T) {
		_, err := c.PutGroup(t.Context(), service.EnrollmentGroup{EnrollmentGroupID: "x"}, nil)
		wantError(t, err, dps.ErrBadRequest, 0)
	})
	t.Run("tpm in a group", func(t *testing.T) {
		_, err := c.PutGroup(t.Context(), service.EnrollmentGroup{EnrollmentGroupID: "x", Attestation: service.EndorsementKey("AA==", "")}, nil)
		wantError(t, err, dps.ErrBadRequest, 0)
	})
}

func TestTwoEditors(t *testing.T) {
	e, alice := start(t)
	bob := connect(t, e)
	_, ca := newCA(t)
	created := must[service.EnrollmentGroup](t)(alice.PutGroup(t.Context(), service.EnrollmentGroup{
		EnrollmentGroupID: "fleet", Attestation: service.SigningCertificate(ca.Certificate(), nil)}, nil))
	hers, his := created, created
	hers.ProvisioningStatus = service.ProvisioningDisabled
	must[service.EnrollmentGroup](t)(alice.PutGroup(t.Context(), hers, nil))
	his.AllocationPolicy = service.AllocationGeoLatency
	_, err := bob.PutGroup(t.Context(), his, nil)
	wantError(t, err, dps.ErrPrecondition, 0)
	got := must[service.EnrollmentGroup](t)(bob.GetGroup(t.Context(), "fleet", nil))
	if got.ProvisioningStatus != service.ProvisioningDisabled || got.AllocationPolicy == service.AllocationGeoLatency {
		t.Errorf("her change was lost: %+v", got)
	}
}

func TestCAReferenceGroup(t *testing.T) {
	_, c := start(t)
	group := service.EnrollmentGroup{EnrollmentGroupID: "fleet", Attestation: service.CAReference("no-such-ca", "")}
	_, err := c.PutGroup(t.Context(), group, nil)
	wantError(t, err, dps.ErrBadRequest, 0)
}

func TestSymmetricKeysOfAGroup(t *testing.T) {
	_, c := start(t)
	generated := must[service.EnrollmentGroup](t)(c.PutGroup(t.Context(), service.EnrollmentGroup{
		EnrollmentGroupID: "keys", Attestation: service.SymmetricKeys("", "")}, nil))
	if generated.Attestation.SymmetricKey == nil || generated.Attestation.SymmetricKey.PrimaryKey == "" {
		t.Fatal("the service made no keys")
	}
	before := must[service.Attestation](t)(c.GetGroupAttestation(t.Context(), "keys", nil))
	if diff := cmp.Diff(generated.Attestation, before); diff != "" {
		t.Errorf("keys of the put and of the attestation differ:\n%s", diff)
	}
	read := must[service.EnrollmentGroup](t)(c.GetGroup(t.Context(), "keys", nil))
	if read.Attestation.SymmetricKey != nil && read.Attestation.SymmetricKey.PrimaryKey != "" {
		t.Fatal("get returns keys; this test proves nothing")
	}
	// An update of what was read must keep keys that were not read.
	read.ProvisioningStatus = service.ProvisioningDisabled
	must[service.EnrollmentGroup](t)(c.PutGroup(t.Context(), read, nil))
	after := must[service.Attestation](t)(c.GetGroupAttestation(t.Context(), "keys", nil))
	if diff := cmp.Diff(before, after); diff != "" {
		t.Errorf("the update changed the keys:\n%s", diff)
	}
	own := must[service.EnrollmentGroup](t)(c.PutGroup(t.Context(), service.EnrollmentGroup{
		EnrollmentGroupID: "own", Attestation: service.SymmetricKeys(testKey, "")}, nil))
	if own.Attestation.SymmetricKey.PrimaryKey.Reveal() != testKey {
		t.Error("the given key was not kept")
	}
	_, err := c.GetGroupAttestation(t.Context(), "none", nil)
	wantError(t, err, dps.ErrNotFound, 0)
	_, err = c.PutGroup(t.Context(), service.EnrollmentGroup{EnrollmentGroupID: "short", Attestation: service.SymmetricKeys("AAAA", "AAAA")}, nil)
	wantError(t, err, dps.ErrBadRequest, 0)
}

func TestLostAcknowledgements(t *testing.T) {
	e, plain := start(t)
	_, ca := newCA(t)
	_, other := newCA(t)
	group := service.EnrollmentGroup{EnrollmentGroupID: "fleet", Attestation: service.SigningCertificate(ca.Certificate(), nil),
		ReprovisionPolicy: &service.ReprovisionPolicy{}}
	ids := func() (list []string) {
		for g, err := range plain.Groups(t.Context(), nil) {
			if err != nil {
				t.Fatal(err)
			}
			list = append(list, g.EnrollmentGroupID)
		}
		slices.Sort(list)
		return list
	}
	lose := func(method string) (*lossy, *service.Client) {
		l, change := lossyClient(loseFirst(method))
		return l, connect(t, e, change)
	}
	check := func(t *testing.T, l *lossy) {
		t.Helper()
		if l.lost != 1 {
			t.Errorf("%d answers were lost; this test proves nothing", l.lost)
		}
	}

	t.Run("create", func(t *testing.T) {
		l, c := lose(http.MethodPut)
		created := must[service.EnrollmentGroup](t)(c.PutGroup(t.Context(), group, nil))
		check(t, l)
		if got := must[service.EnrollmentGroup](t)(plain.GetGroup(t.Context(), "fleet", nil)); got.ETag != created.ETag {
			t.Errorf("etag %s, stored %s", created.ETag, got.ETag)
		}
		if got := ids(); !slices.Equal(got, []string{"fleet"}) {
			t.Errorf("groups %v", got)
		}
	})
	t.Run("create, but another's is stored", func(t *testing.T) {
		l := &lossy{}
		l.lose = loseFirst(http.MethodPut)
		c := connect(t, e, func(o *service.ClientOptions) {
			l.next = o.HTTPClient.Transport
			o.HTTPClient = &http.Client{Transport: l}
		})
		foreign := group
		foreign.Attestation = service.SigningCertificate(other.Certificate(), nil)
		_, err := c.PutGroup(t.Context(), foreign, nil)
		check(t, l)
		wantError(t, err, dps.ErrConflict, 409202)
	})
	t.Run("update", func(t *testing.T) {
		l, c := lose(http.MethodPut)
		changed := must[service.EnrollmentGroup](t)(plain.GetGroup(t.Context(), "fleet", nil))
		changed.ProvisioningStatus = service.ProvisioningDisabled
		updated := must[service.EnrollmentGroup](t)(c.PutGroup(t.Context(), changed, nil))
		check(t, l)
		if updated.ProvisioningStatus != service.ProvisioningDisabled || updated.ETag == changed.ETag {
			t.Errorf("got %+v", updated)
		}
	})
	t.Run("create with keys", func(t *testing.T) {
		l, c := lose(http.MethodPut)
		keyed := service.EnrollmentGroup{EnrollmentGroupID: "keys", Attestation: service.SymmetricKeys(testKey, testKey)}
		must[service.EnrollmentGroup](t)(c.PutGroup(t.Context(), keyed, nil))
		check(t, l)
		l, c = lose(http.MethodPut)
		keyed.Attestation = service.SymmetricKeys(testKey, "b3RoZXItb3RoZXItb3RoZXItb3RoZXI=")
		_, err := c.PutGroup(t.Context(), keyed, nil)
		check(t, l)
		wantError(t, err, dps.ErrConflict, 409202)
	})
	t.Run("delete", func(t *testing.T) {
		l, c := lose(http.MethodDelete)
		if err := c.DeleteGroup(t.Context(), "keys", nil); err != nil {
			t.Error(err)
		}
		check(t, l)
		current := must[service.EnrollmentGroup](t)(plain.GetGroup(t.Context(), "fleet", nil))
		l, c = lose(http.MethodDelete)
		if err := c.DeleteGroup(t.Context(), "fleet", &service.DeleteOptions{IfMatch: current.ETag}); err != nil {
			t.Error(err)
		}
		check(t, l)
		if got := ids(); len(got) != 0 {
			t.Errorf("groups %v", got)
		}
		wantError(t, c.DeleteGroup(t.Context(), "fleet", nil), dps.ErrNotFound, 0)
	})
}
