package fleet_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/dpskit/dpskit/pkg/pki"
	"github.com/dpskit/dpskit/pkg/pki/fleet"
)

// A fleet goes on with the lifetime that it has, however much later, and with no other.
func TestResumeLifetime(t *testing.T) {
	start := time.Now().UTC().Truncate(time.Second)
	at := func(d time.Duration) time.Time { return start.Add(d) }
	const day = 24 * time.Hour
	tests := []struct {
		name   string
		before pki.Validity
		later  time.Duration
		after  pki.Validity
		text   string // "": it goes on
	}{
		{"as before", pki.Validity{Days: 20}, 0, pki.Validity{Days: 20}, ""},
		{"a day later", pki.Validity{Days: 20}, day, pki.Validity{Days: 20}, ""},
		{"default days in words", pki.Validity{}, day, pki.Validity{Days: pki.DefaultDays}, ""},
		{"the same date", pki.Validity{NotAfter: at(20 * day)}, day, pki.Validity{NotAfter: at(20 * day)}, ""},
		{"as far away", pki.Validity{NotAfter: at(10 * day)}, day, pki.Validity{NotAfter: at(11*day - time.Minute)}, ""},
		{"the same beginning", pki.Validity{NotBefore: at(-time.Hour)}, day, pki.Validity{NotBefore: at(-time.Hour)}, ""},
		{"fewer days", pki.Validity{}, 0, pki.Validity{Days: 5}, "it expires after 30 days, not after 5 days"},
		{"default days", pki.Validity{Days: 5}, 0, pki.Validity{}, "it expires after 5 days, not after 30 days"},
		{"a date", pki.Validity{Days: 5}, 0, pki.Validity{NotAfter: at(5 * day)}, "it expires after 5 days, not at 20"},
		{"no date", pki.Validity{NotAfter: at(5 * day)}, 0, pki.Validity{Days: 5}, "not after 5 days"},
		{"another date", pki.Validity{NotAfter: at(5 * day)}, time.Hour, pki.Validity{NotAfter: at(6 * day)}, "it expires at 20"},
		{"another beginning", pki.Validity{}, 0, pki.Validity{NotBefore: at(-time.Hour)}, "it is valid at once, not from 20"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			target := fleet.Target{Path: filepath.Join(t.TempDir(), "f")}
			opts := options(t, 3)
			opts.Validity, opts.Now = tt.before, func() time.Time { return start }
			if _, err := fleet.Write(t.Context(), opts, target); err != nil {
				t.Fatal(err)
			}
			opts.Validity, opts.Now = tt.after, func() time.Time { return at(tt.later) }
			result, err := fleet.Write(t.Context(), opts, target)
			switch {
			case tt.text == "" && (err != nil || result.Kept != 3):
				t.Errorf("Write() = %+v, %v; want 3 kept", result, err)
			case tt.text != "" && (!errors.Is(err, fleet.ErrExists) || !strings.Contains(err.Error(), tt.text)):
				t.Errorf("Write() = %v, want ErrExists and %q", err, tt.text)
			}
		})
	}
}

// A fleet of before lifetimes were recorded goes on.
func TestResumeWithoutLifetime(t *testing.T) {
	target := fleet.Target{Path: filepath.Join(t.TempDir(), "f")}
	if _, err := fleet.Write(t.Context(), options(t, 3), target); err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(target.Path, "fleet.json")
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	members := map[string]any{}
	if err := json.Unmarshal(data, &members); err != nil {
		t.Fatal(err)
	}
	if _, ok := members["lifetime"]; !ok {
		t.Fatalf("no lifetime in %s", bytes.TrimSpace(data))
	}
	delete(members, "lifetime")
	if data, err = json.Marshal(members); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, data, 0o600); err != nil {
		t.Fatal(err)
	}
	opts := options(t, 3)
	opts.Validity.Days = 5
	if result, err := fleet.Write(t.Context(), opts, target); err != nil || result.Kept != 3 {
		t.Errorf("Write() = %+v, %v; want 3 kept", result, err)
	}
}
