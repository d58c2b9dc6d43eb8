package dps_test

import (
	"math"
	"testing"
	"time"

	"github.com/dpskit/dpskit/pkg/dps"
)

func TestParseRetryAfter(t *testing.T) {
	now := time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
	tests := []struct {
		name, value string
		want        time.Duration
		ok          bool
	}{
		{"seconds", "3", 3 * time.Second, true},
		{"spaces", " 12\t", 12 * time.Second, true},
		{"zero", "0", 0, true},
		{"a billion", "1000000000", 1e9 * time.Second, true},
		{"beyond a duration", "99999999999", math.MaxInt64, true},
		{"beyond an integer", "99999999999999999999999999", math.MaxInt64, true},
		{"date", "Wed, 04 Mar 2026 05:06:37 GMT", 30 * time.Second, true},
		{"date of RFC 850", "Wednesday, 04-Mar-26 05:06:17 GMT", 10 * time.Second, true},
		{"date of asctime", "Wed Mar  4 05:07:07 2026", time.Minute, true},
		{"date in the past", "Wed, 04 Mar 2026 05:06:06 GMT", 0, true},
		{"absent", "", 0, false},
		{"negative", "-1", 0, false},
		{"plus", "+1", 0, false},
		{"fraction", "1.5", 0, false},
		{"text", "soon", 0, false},
		{"two values", "3, 4", 0, false},
		{"other digits", "٣", 0, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, ok := dps.ParseRetryAfter(tt.value, now)
			if got != tt.want || ok != tt.ok {
				t.Errorf("got %v, %v; want %v, %v", got, ok, tt.want, tt.ok)
			}
		})
	}
}

func FuzzParseRetryAfter(f *testing.F) {
	for _, seed := range []string{"3", "0", "-1", "1000000000", "99999999999999999999", "", "soon", " 7 ",
		"Wed, 04 Mar 2026 05:06:37 GMT", "Wednesday, 04-Mar-26 05:06:17 GMT", "Wed Mar  4 05:07:07 2026"} {
		f.Add(seed, int64(1772600767))
	}
	f.Fuzz(func(t *testing.T, value string, now int64) {
		delay, ok := dps.ParseRetryAfter(value, time.Unix(now, 0))
		if delay < 0 || !ok && delay != 0 {
			t.Fatalf("%q: %v, %v", value, delay, ok)
		}
	})
}
