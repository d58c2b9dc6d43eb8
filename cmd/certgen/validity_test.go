package main

import (
	"testing"
	"time"
)

var testNow = time.Date(2026, 3, 1, 12, 0, 0, 500, time.UTC)

func TestParseTime(t *testing.T) {
	tests := []struct {
		text string
		want time.Time
	}{
		{"2027-01-31", time.Date(2027, 1, 31, 0, 0, 0, 0, time.UTC)},
		{"2027-01-31T08:09:10Z", time.Date(2027, 1, 31, 8, 9, 10, 0, time.UTC)},
		{"2027-01-31T08:09:10+02:00", time.Date(2027, 1, 31, 6, 9, 10, 0, time.UTC)},
		{"2027-01-31 08:09:10", time.Date(2027, 1, 31, 8, 9, 10, 0, time.UTC)},
		{"9999-12-31", time.Date(9999, 12, 31, 0, 0, 0, 0, time.UTC)},
		{"7d", time.Date(2026, 3, 8, 12, 0, 0, 0, time.UTC)},
		{"1d12h", time.Date(2026, 3, 3, 0, 0, 0, 0, time.UTC)},
		{"36h", time.Date(2026, 3, 3, 0, 0, 0, 0, time.UTC)},
		{"-1d", time.Date(2026, 2, 28, 12, 0, 0, 0, time.UTC)},
		{"-90m", time.Date(2026, 3, 1, 10, 30, 0, 0, time.UTC)},
		{"0s", time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)},
	}
	for _, tt := range tests {
		got, err := parseTime(tt.text, testNow)
		if err != nil || !got.Equal(tt.want) || got.Location() != time.UTC {
			t.Errorf("parseTime(%q) = %v, %v; want %v", tt.text, got, err, tt.want)
		}
	}
	for _, text := range []string{
		"", "-", "d", "7", "7 d", "7days", "+7d", "--7d", "1d-2h", "x", "tomorrow", "2027-13-01", "2027-02-30",
		"0001-01-01", "1949-12-31", "99999999999d", "200000000000h", "4294967296d", "-9000d9999999h", "106751d24h", "\x00", "٧d",
	} {
		if got, err := parseTime(text, testNow); err == nil {
			t.Errorf("parseTime(%q) = %v, want an error", text, got)
		}
	}
}

func FuzzParseTime(f *testing.F) {
	for _, seed := range []string{"2027-01-31", "7d", "-1d12h", "36h", "9999-12-31T23:59:59Z", "1e9h"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got, err := parseTime(text, testNow)
		if err == nil && (got.Year() < 1950 || got.Year() > 9999 || got.Nanosecond() != 0) {
			t.Errorf("parseTime(%q) = %v", text, got)
		}
	})
}

func TestRemaining(t *testing.T) {
	tests := []struct {
		left time.Duration
		want string
	}{
		{-time.Second, "expired"},
		{0, "expired"},
		{90 * time.Minute, "in 90 minutes"},
		{47 * time.Hour, "in 47 hours"},
		{30 * 24 * time.Hour, "in 30 days"},
		{30*24*time.Hour - time.Second, "in 30 days"},
		{29*24*time.Hour + 11*time.Hour, "in 29 days"},
	}
	for _, tt := range tests {
		if got := remaining(testNow.Add(tt.left), testNow); got != tt.want {
			t.Errorf("remaining(%v) = %q, want %q", tt.left, got, tt.want)
		}
	}
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	if got, want := remaining(time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC), now), "in 2912443 days"; got != want {
		t.Errorf("the last moment that a certificate can name is %q, want %q", got, want)
	}
}
