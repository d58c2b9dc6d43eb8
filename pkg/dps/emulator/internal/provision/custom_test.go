package provision_test

import (
	"crypto/x509"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"testing"
	"time"

	"github.com/dpskit/dpskit/pkg/dps/emulator/internal/provision"
	"github.com/dpskit/dpskit/pkg/dps/emulator/internal/refuse"
	"github.com/dpskit/dpskit/pkg/dps/emulator/internal/state"
	"github.com/dpskit/dpskit/pkg/dps/emulator/internal/store"
	"github.com/dpskit/dpskit/pkg/dps/emulator/internal/webhook"
	"github.com/dpskit/dpskit/pkg/dps/emulator/internal/wire"
)

// TestTooManyWait asks those to come back for whom there is no room, and
// forgets nobody.
func TestTooManyWait(t *testing.T) {
	s := newSetting(t)
	hold := make(chan struct{})
	hook := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		<-hold
		_, _ = io.WriteString(w, `{"iotHubHostName":"hub"}`)
	}))
	t.Cleanup(hook.Close)
	const room = 8
	s.service.MaxWaiting = room
	s.service.Webhook = webhook.New(webhook.Config{Timeout: time.Minute})
	s.update(func(tx store.Tx) error {
		old := s.group
		s.group.ETag, s.group.AllocationPolicy = "custom", wire.AllocateCustom
		s.group.CustomAllocationDefinition = &wire.CustomAllocationDefinition{WebhookURL: hook.URL, APIVersion: "2021-10-01"}
		return state.PutGroup(tx, old, s.group)
	})
	call := func(n int) provision.Call {
		c := s.call
		c.RegistrationID = fmt.Sprint("dev-", n)
		c.Chain = []*x509.Certificate{s.issue(c.RegistrationID)}
		return c
	}
	var calls []provision.Call
	var ops []state.Operation
	for i := range room + 3 {
		c := call(i)
		op, err := s.service.Register(t.Context(), c)
		if i < room {
			if err != nil {
				t.Fatal(err)
			}
			calls, ops = append(calls, c), append(ops, op)
			continue
		}
		r, ok := refuse.As(err)
		if !ok || r.Status != 429 || r.Code != 429000 || r.Header.Get("Retry-After") == "" || r.Rule != provision.RuleWaiting {
			t.Fatalf("registration %d: %v, want 429 with Retry-After", i, err)
		}
		calls = append(calls, c)
	}
	close(hold)
	// Whoever was told to come back does, until everybody is assigned.
	for _, c := range calls[room:] {
		for deadline := time.Now().Add(20 * time.Second); ; {
			op, err := s.service.Register(t.Context(), c)
			if err == nil {
				ops = append(ops, op)
				break
			}
			if time.Now().After(deadline) {
				t.Fatal(err)
			}
			runtime.Gosched()
		}
	}
	for i, op := range ops {
		for deadline := time.Now().Add(20 * time.Second); ; {
			got, err := s.service.Poll(t.Context(), calls[i], op.ID)
			if err != nil {
				t.Fatal(err)
			}
			if got.Result.Status == wire.RegistrationAssigned {
				break
			}
			if time.Now().After(deadline) {
				t.Fatalf("registration %d: %+v", i, got.Result)
			}
			runtime.Gosched()
		}
	}
	s.service.Close()
	s.service.Close()
}
