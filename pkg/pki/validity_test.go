package pki_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/dpskit/dpskit/pkg/pki"
)

func at(s string) time.Time {
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		panic(err)
	}
	return t
}

func fixed(s string) func() time.Time { return func() time.Time { return at(s) } }

func TestValidity(t *testing.T) {
	const now = "2026-03-01T12:00:00.9Z"
	root, err := pki.NewRoot(&pki.CAOptions{
		Now: fixed("2026-02-28T00:00:00Z"), Validity: pki.Validity{Days: 365},
	})
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name         string
		validity     pki.Validity
		before, past string // empty past: an error with the text of before
	}{
		{"default", pki.Validity{}, "2026-03-01T11:55:00Z", "2026-03-31T12:00:00Z"},
		{"days", pki.Validity{Days: 1}, "2026-03-01T11:55:00Z", "2026-03-02T12:00:00Z"},
		{"clamped to the issuer", pki.Validity{Days: 9999}, "2026-03-01T11:55:00Z", "2027-02-28T00:00:00Z"},
		{"end", pki.Validity{NotAfter: at("2026-06-01T00:00:00+02:00")}, "2026-03-01T11:55:00Z", "2026-05-31T22:00:00Z"},
		{
			"expired already", pki.Validity{NotBefore: at("2025-01-01T00:00:00Z"), Days: 30},
			"2025-01-01T00:00:00Z", "2025-01-31T00:00:00Z",
		},
		{
			"begins later", pki.Validity{NotBefore: at("2026-04-01T00:00:00Z"), Days: 10},
			"2026-04-01T00:00:00Z", "2026-04-11T00:00:00Z",
		},
		{"days and end", pki.Validity{Days: 1, NotAfter: at("2026-06-01T00:00:00Z")}, "not both", ""},
		{"negative days", pki.Validity{Days: -1}, "-1 days", ""},
		{"days beyond all years", pki.Validity{Days: 1 << 40}, "want 1 to", ""},
		{"end before beginning", pki.Validity{NotAfter: at("2020-01-01T00:00:00Z")}, "is not after the beginning", ""},
		{"begins after the issuer ends", pki.Validity{NotBefore: at("2030-01-01T00:00:00Z")}, "and its issuer", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b, err := root.Issue(pki.IssueRequest{CommonName: "d", Validity: tt.validity, Now: fixed(now)})
			if tt.past == "" {
				if err == nil || !strings.Contains(err.Error(), tt.before) {
					t.Errorf("got %v, want an error with %q", err, tt.before)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			c := b.Certificate
			if !c.NotBefore.Equal(at(tt.before)) || !c.NotAfter.Equal(at(tt.past)) {
				t.Errorf("got %s to %s, want %s to %s", c.NotBefore, c.NotAfter, tt.before, tt.past)
			}
		})
	}
}

func TestValidityOfCA(t *testing.T) {
	tests := []struct {
		name     string
		validity pki.Validity
		want     string // end, or text of the error
	}{
		{"across 2050", pki.Validity{NotAfter: at("2049-12-31T23:59:59Z")}, "2049-12-31T23:59:59Z"},
		{"GeneralizedTime", pki.Validity{NotAfter: at("2050-01-01T00:00:00Z")}, "2050-01-01T00:00:00Z"},
		{"last second", pki.Validity{NotAfter: at("9999-12-31T23:59:59Z")}, "9999-12-31T23:59:59Z"},
		{"year 10000", pki.Validity{NotAfter: at("9999-12-31T23:59:59Z").Add(time.Hour)}, "year 10000"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			root, err := pki.NewRoot(&pki.CAOptions{Validity: tt.validity})
			if err != nil {
				if !strings.Contains(err.Error(), tt.want) {
					t.Errorf("got %v, want %q", err, tt.want)
				}
				return
			}
			if got := root.Certificate().NotAfter.Format(time.RFC3339); got != tt.want {
				t.Errorf("got the end %s, want %s", got, tt.want)
			}
		})
	}
}

func TestIssueBelowExpiredCA(t *testing.T) {
	root, err := pki.NewRoot(&pki.CAOptions{Now: fixed("2020-01-01T00:00:00Z")})
	if err != nil {
		t.Fatal(err)
	}
	mid, err := root.NewIntermediate(&pki.CAOptions{Now: fixed("2020-01-02T00:00:00Z")})
	if err != nil {
		t.Fatal(err)
	}
	if !mid.Certificate().NotAfter.Equal(root.Certificate().NotAfter) {
		t.Error("the intermediate outlives the root")
	}
	for _, ca := range []*pki.Authority{root, mid} {
		if _, err := ca.Issue(pki.IssueRequest{CommonName: "d"}); !errors.Is(err, pki.ErrExpired) ||
			!strings.Contains(err.Error(), "2020-01-31T00:00:00Z") {
			t.Errorf("got %v, want ErrExpired with the date", err)
		}
		if _, err := ca.NewIntermediate(nil); !errors.Is(err, pki.ErrExpired) {
			t.Errorf("got %v, want ErrExpired", err)
		}
		early := fixed("2019-01-01T00:00:00Z")
		if _, err := ca.Issue(pki.IssueRequest{CommonName: "d", Now: early}); !errors.Is(err, pki.ErrNotYetValid) {
			t.Errorf("got %v, want ErrNotYetValid", err)
		}
		if _, err := ca.Issue(pki.IssueRequest{CommonName: "d", Now: fixed("2020-01-03T00:00:00Z")}); err != nil {
			t.Errorf("within the lifetime: %v", err)
		}
	}
}
