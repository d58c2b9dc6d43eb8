package state_test

import (
	"encoding/base64"
	"fmt"
	"regexp"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dpskit/dpskit/pkg/dps/emulator/internal/state"
	"github.com/dpskit/dpskit/pkg/dps/emulator/internal/store"
	"github.com/dpskit/dpskit/pkg/dps/emulator/internal/wire"
)

func update(t *testing.T, s store.Store, fn func(tx store.Tx) error) {
	t.Helper()
	if err := s.Update(t.Context(), fn); err != nil {
		t.Fatal(err)
	}
}

func view(t *testing.T, s store.Store, fn func(r store.Reader) error) {
	t.Helper()
	if err := s.View(t.Context(), fn); err != nil {
		t.Fatal(err)
	}
}

func group(id, kind string, certs state.Certificates, refs *wire.CAReferences) state.Group {
	g := state.Group{Signing: certs}
	g.EnrollmentGroupID = id
	g.Attestation = &wire.Attestation{Type: kind}
	if refs != nil {
		g.Attestation.X509 = &wire.X509{CAReferences: refs}
	}
	return g
}

func TestFold(t *testing.T) {
	for in, want := range map[string]string{"aBc-1": "abc-1", "\u212A": "\u212A", "Ä": "Ä", "": ""} {
		if got := state.Fold(in); got != want {
			t.Errorf("Fold(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestNewETag(t *testing.T) {
	now := time.Unix(0x646801eb, 0)
	form := regexp.MustCompile(`^"[0-9a-f]{8}-[0-9a-f]{4}-0800-[0-9a-f]{4}-646801eb0000"$`)
	seen := map[string]bool{}
	for range 1000 {
		etag := state.NewETag(now)
		text, err := base64.StdEncoding.DecodeString(etag)
		if err != nil || !form.Match(text) || seen[etag] {
			t.Fatalf("etag %q is %q, %v, seen %v", etag, text, err, seen[etag])
		}
		seen[etag] = true
	}
}

// TestIndexFollowsGroup changes what a group trusts and looks it up by each.
func TestIndexFollowsGroup(t *testing.T) {
	s := store.NewMemory()
	a, b := []byte("certificate a"), []byte("certificate b")
	lookUps := func() (out []string) {
		view(t, s, func(r store.Reader) error {
			for name, find := range map[string]func() (string, bool){
				"a": func() (string, bool) { return state.GroupBySigning(r, state.Thumbprint(a)) },
				"b": func() (string, bool) { return state.GroupBySigning(r, state.Thumbprint(b)) },
				"r": func() (string, bool) { return state.GroupByReference(r, "ROOT") },
			} {
				if id, ok := find(); ok {
					out = append(out, name+"="+id)
				}
			}
			for _, id := range state.SymmetricGroups(r) {
				out = append(out, "symmetric="+id)
			}
			return nil
		})
		slices.Sort(out)
		return out
	}
	var old state.Group
	for _, step := range []struct {
		group state.Group
		want  []string
	}{
		{group("G", wire.TypeX509, state.Certificates{Primary: a, Secondary: b}, nil), []string{"a=g", "b=g"}},
		{group("G", wire.TypeX509, state.Certificates{Secondary: a}, nil), []string{"a=g"}},
		{group("G", wire.TypeX509, state.Certificates{}, &wire.CAReferences{Secondary: "Root"}), []string{"r=g"}},
		{group("G", wire.TypeSymmetricKey, state.Certificates{}, nil), []string{"symmetric=g"}},
		{group("G", wire.TypeX509, state.Certificates{Primary: b, Secondary: b}, nil), []string{"b=g"}},
	} {
		update(t, s, func(tx store.Tx) error { return state.PutGroup(tx, old, step.group) })
		if diff := cmp.Diff(step.want, lookUps()); diff != "" {
			t.Error(diff)
		}
		old = step.group
	}
	update(t, s, func(tx store.Tx) error {
		state.DeleteGroup(tx, old)
		return nil
	})
	if got := lookUps(); got != nil {
		t.Errorf("deleted group is found by %v", got)
	}
}

func TestIndexFollowsEnrollment(t *testing.T) {
	s := store.NewMemory()
	e := state.Enrollment{Client: state.Certificates{Primary: []byte("a")}}
	e.RegistrationID, e.Attestation = "Dev", &wire.Attestation{Type: wire.TypeX509}
	next := e
	next.Client = state.Certificates{Primary: []byte("b")}
	owner := func(cert string) (id string) {
		view(t, s, func(r store.Reader) error {
			id, _ = state.EnrollmentOf(r, state.Thumbprint([]byte(cert)))
			return nil
		})
		return id
	}
	update(t, s, func(tx store.Tx) error { return state.PutEnrollment(tx, state.Enrollment{}, e) })
	update(t, s, func(tx store.Tx) error { return state.PutEnrollment(tx, e, next) })
	if owner("a") != "" || owner("b") != "dev" {
		t.Errorf("a belongs to %q, b to %q", owner("a"), owner("b"))
	}
	update(t, s, func(tx store.Tx) error {
		state.DeleteEnrollment(tx, next)
		return nil
	})
	if owner("b") != "" {
		t.Error("deleted enrollment is found")
	}
}

func TestPages(t *testing.T) {
	s := store.NewMemory()
	var want []string
	update(t, s, func(tx store.Tx) error {
		for i := range 25 {
			id := fmt.Sprintf("G%02d", i)
			want = append(want, id)
			if err := state.PutGroup(tx, state.Group{}, group(id, wire.TypeSymmetricKey, state.Certificates{}, nil)); err != nil {
				return err
			}
			reg := state.Registration{RegistrationID: id, GroupID: "Fleet"}
			if err := state.PutRegistration(tx, state.Registration{}, reg); err != nil {
				return err
			}
		}
		return state.PutRegistration(tx, state.Registration{}, state.Registration{RegistrationID: "other", GroupID: "Fleet-2"})
	})
	for _, size := range []int{1, 7, 24, 25, 26} {
		var groups, regs []string
		view(t, s, func(r store.Reader) error {
			for after, more := "", true; more; more = after != "" {
				page, next, err := state.Groups(r, after, size)
				if err != nil {
					return err
				}
				for _, g := range page {
					groups = append(groups, g.EnrollmentGroupID)
				}
				after = next
			}
			for after, more := "", true; more; more = after != "" {
				page, next, err := state.Registrations(r, "FLEET", after, size)
				if err != nil {
					return err
				}
				for _, reg := range page {
					regs = append(regs, reg.RegistrationID)
				}
				after = next
			}
			return nil
		})
		if diff := cmp.Diff(want, groups); diff != "" {
			t.Errorf("groups by %d: %s", size, diff)
		}
		if diff := cmp.Diff(want, regs); diff != "" {
			t.Errorf("registrations by %d: %s", size, diff)
		}
	}
}

func TestOperationsAreBounded(t *testing.T) {
	s := store.NewMemory()
	start := time.Unix(1_700_000_000, 0)
	put := func(at time.Time) state.Operation {
		t.Helper()
		reg := state.Registration{RegistrationID: "Dev", OperationID: state.NewOperationID("Dev", at)}
		op := state.Operation{ID: reg.OperationID, Started: at, Result: reg}
		update(t, s, func(tx store.Tx) error { return state.PutOperation(tx, op) })
		return op
	}
	has := func(op state.Operation) (found bool) {
		t.Helper()
		view(t, s, func(r store.Reader) (err error) {
			_, found, err = state.GetOperation(r, "DEV", op.ID)
			return err
		})
		return found
	}
	first := put(start)
	second := put(start.Add(59 * time.Minute))
	if !has(first) || !has(second) {
		t.Error("operations of the last hour are gone")
	}
	put(start.Add(61 * time.Minute))
	if has(first) || !has(second) {
		t.Error("an operation older than an hour must go, a younger one stay")
	}
	var last state.Operation
	for i := range 300 {
		last = put(start.Add(62*time.Minute + time.Duration(i)*time.Millisecond))
	}
	if has(second) || !has(last) {
		t.Error("the oldest of more than 256 operations must go first")
	}
	view(t, s, func(r store.Reader) error {
		n := 0
		r.Ascend("operations", "", func(string, []byte) bool { n++; return true })
		if n != 256 {
			t.Errorf("%d operations are kept, want 256", n)
		}
		return nil
	})
}

func TestOperationIDsSortByTime(t *testing.T) {
	at := time.Unix(1_700_000_000, 0)
	last := ""
	for i := range 50 {
		id := state.NewOperationID("dev", at.Add(time.Duration(i)*time.Millisecond))
		if id <= last {
			t.Fatalf("%q after %q", id, last)
		}
		last = id
	}
	if state.NewOperationID("DEV", at)[:19] != state.NewOperationID("dev", at)[:19] {
		t.Error("the device part depends on case")
	}
}

func TestStateWhileAssigning(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	reg := state.Registration{
		RegistrationID: "dev", Status: wire.RegistrationFailed, ErrorCode: 400208, ErrorMessage: "x", ETag: "e",
		Created: now, Updated: now, ReadyAt: now.Add(time.Second),
	}
	if s := reg.State(now); s.Status != wire.RegistrationAssigning || s.ErrorCode != 0 {
		t.Errorf("before its time the state is %+v", s)
	}
	if s := reg.State(reg.ReadyAt); s.Status != wire.RegistrationFailed || s.ErrorCode != 400208 {
		t.Errorf("at its time the state is %+v", s)
	}
}

func TestDamagedRecords(t *testing.T) {
	s := store.NewMemory()
	update(t, s, func(tx store.Tx) error {
		tx.Put("groups", "g", []byte("{"))
		tx.Put("certificates", "c", []byte(`{"name":"c","der":"AAAA"}`))
		return nil
	})
	view(t, s, func(r store.Reader) error {
		if _, _, err := state.GetGroup(r, "g"); err == nil {
			t.Error("damaged group was read")
		}
		if _, _, err := state.Groups(r, "", 10); err == nil {
			t.Error("damaged group was listed")
		}
		ca, found, err := state.GetCA(r, "c")
		if err != nil || !found {
			t.Fatalf("GetCA = %v, %v", found, err)
		}
		if _, err := ca.Certificate(); err == nil {
			t.Error("damaged certificate was parsed")
		}
		return nil
	})
}
