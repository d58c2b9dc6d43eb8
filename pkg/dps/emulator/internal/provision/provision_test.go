package provision_test

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dpskit/dpskit/pkg/dps/emulator/internal/provision"
	"github.com/dpskit/dpskit/pkg/dps/emulator/internal/refuse"
	"github.com/dpskit/dpskit/pkg/dps/emulator/internal/state"
	"github.com/dpskit/dpskit/pkg/dps/emulator/internal/store"
	"github.com/dpskit/dpskit/pkg/dps/emulator/internal/wire"
	"github.com/dpskit/dpskit/pkg/pki"
)

// between is a store that lets a test act between the judgement of a proof,
// which is a View, and the Update that writes the outcome.
type between struct {
	store.Store

	act func(n int) // called after the n-th View
	n   atomic.Int64
}

func (b *between) View(ctx context.Context, fn func(store.Reader) error) error {
	err := b.Store.View(ctx, fn)
	n := b.n.Add(1)
	if b.act != nil {
		b.act(int(n))
	}
	return err
}

// setting is a service with a verified root, a group on it, and a device.
type setting struct {
	t       *testing.T
	store   *between
	service *provision.Service
	call    provision.Call
	root    *pki.Authority
	ca      state.CA
	group   state.Group
}

func newSetting(t *testing.T) *setting {
	t.Helper()
	root, err := pki.NewRoot(nil)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := root.Issue(pki.IssueRequest{CommonName: "dev"})
	if err != nil {
		t.Fatal(err)
	}
	b := &between{Store: store.NewMemory()}
	s := &setting{
		t: t, store: b, root: root,
		service: &provision.Service{Store: b, IDScope: "0neSCOPE", Hubs: hubs("hub"), Now: time.Now},
		call: provision.Call{
			IDScope: "0neSCOPE", RegistrationID: "dev", APIVersion: "2021-10-01", Chain: []*x509.Certificate{leaf.Certificate},
		},
		ca: state.CA{Name: "root", DER: root.Certificate().Raw, Verified: true, ETag: "ca-1"},
	}
	s.group.EnrollmentGroupID, s.group.ETag = "fleet", "group-1"
	s.group.Attestation = &wire.Attestation{Type: wire.TypeX509, X509: &wire.X509{}}
	s.group.Signing.Primary = s.ca.DER
	s.update(func(tx store.Tx) error {
		return errors.Join(state.PutCA(tx, s.ca), state.PutGroup(tx, state.Group{}, s.group))
	})
	return s
}

// issue makes a device certificate below the root.
func (s *setting) issue(id string) *x509.Certificate {
	s.t.Helper()
	b, err := s.root.Issue(pki.IssueRequest{CommonName: id, PublicKey: s.call.Chain[0].PublicKey})
	if err != nil {
		s.t.Fatal(err)
	}
	return b.Certificate
}

// hubs are linked hubs of equal weight.
func hubs(names ...string) (list []provision.Hub) {
	for _, name := range names {
		list = append(list, provision.Hub{Name: name, Weight: 1})
	}
	return list
}

func (s *setting) update(fn func(tx store.Tx) error) {
	s.t.Helper()
	if err := s.store.Update(s.t.Context(), fn); err != nil {
		s.t.Fatal(err)
	}
}

// TestChangesUnderARegistration changes what a judgement rests on, after it was
// made and before its outcome is written.
func TestChangesUnderARegistration(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(s *setting, tx store.Tx) error
		status string      // "" means refused
		rule   refuse.Rule // of the refusal
		group  string      // of the record
	}{
		{"group disabled", func(s *setting, tx store.Tx) error {
			g := s.group
			g.ETag, g.ProvisioningStatus.Value = "group-2", wire.StatusDisabled
			return state.PutGroup(tx, s.group, g)
		}, wire.RegistrationDisabled, "", "fleet"},
		{"group deleted", func(s *setting, tx store.Tx) error {
			state.DeleteGroup(tx, s.group)
			return nil
		}, "", "no-enrollment-group", ""},
		{"CA deleted", func(_ *setting, tx store.Tx) error {
			state.DeleteCA(tx, "root")
			return nil
		}, "", "chain-incomplete", ""},
		{"CA no longer verified", func(s *setting, tx store.Tx) error {
			ca := s.ca
			ca.ETag, ca.Verified = "ca-2", false
			return state.PutCA(tx, ca)
		}, "", "ca-not-verified", ""},
		{"individual enrollment appeared", func(s *setting, tx store.Tx) error {
			var e state.Enrollment
			e.RegistrationID, e.ETag, e.ProvisioningStatus.Value = "dev", "e-1", wire.StatusDisabled
			e.Attestation = &wire.Attestation{Type: wire.TypeX509, X509: &wire.X509{ClientCertificates: &wire.CertificatePair{}}}
			e.Client.Primary = s.call.Chain[0].Raw
			return state.PutEnrollment(tx, state.Enrollment{}, e)
		}, wire.RegistrationDisabled, "", ""},
		{"something else changed", func(_ *setting, tx store.Tx) error {
			return state.PutCA(tx, state.CA{Name: "other", ETag: "x"})
		}, wire.RegistrationAssigned, "", "fleet"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newSetting(t)
			s.store.act = func(n int) {
				if n == 1 {
					s.update(func(tx store.Tx) error { return tt.change(s, tx) })
				}
			}
			op, err := s.service.Register(t.Context(), s.call)
			if tt.status == "" {
				r, ok := refuse.As(err)
				if !ok || r.Rule != tt.rule {
					t.Errorf("Register = %+v, %v; want refusal by rule %q", op.Result, err, tt.rule)
				}
				return
			}
			if err != nil || op.Result.Status != tt.status || op.Result.GroupID != tt.group {
				t.Errorf("Register = %+v, %v; want %s through %q", op.Result, err, tt.status, tt.group)
			}
		})
	}
}

// TestEndlessChanges gives up in the end.
func TestEndlessChanges(t *testing.T) {
	s := newSetting(t)
	s.store.act = func(n int) {
		s.update(func(tx store.Tx) error {
			g := s.group
			g.ETag = fmt.Sprint("group-", n+1)
			return state.PutGroup(tx, s.group, g)
		})
	}
	_, err := s.service.Register(t.Context(), s.call)
	if r, ok := refuse.As(err); !ok || r.Status != 409 || r.Code != 409203 {
		t.Errorf("Register = %v, want 409203", err)
	}
}

// TestBrokenStore passes errors on, without an answer that looks final.
func TestBrokenStore(t *testing.T) {
	s := newSetting(t)
	if err := s.store.Close(); err != nil {
		t.Fatal(err)
	}
	for name, call := range map[string]func() error{
		"Register": func() error { _, err := s.service.Register(t.Context(), s.call); return err },
		"Poll":     func() error { _, err := s.service.Poll(t.Context(), s.call, "x"); return err },
		"LookUp":   func() error { _, err := s.service.LookUp(t.Context(), s.call); return err },
	} {
		if err := call(); !errors.Is(err, store.ErrClosed) {
			t.Errorf("%s = %v, want ErrClosed", name, err)
		}
	}
}
