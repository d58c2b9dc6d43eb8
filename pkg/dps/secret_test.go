package dps_test

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/dpskit/dpskit/pkg/dps"
)

func TestSecretIsNeverShown(t *testing.T) {
	secret := dps.Secret(canary)
	holder := struct {
		Key  dps.Secret
		Keys map[string]dps.Secret
	}{secret, map[string]dps.Secret{"a": secret}}
	var shown bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%t", "%10s", "%-3v"} {
		for _, value := range []any{secret, &holder, holder, []dps.Secret{secret}, any(secret)} {
			fmt.Fprintf(&shown, verb+"\n", value)
		}
	}
	for _, value := range []any{secret, &holder, holder} {
		out, err := json.Marshal(value)
		if err != nil {
			t.Fatal(err)
		}
		shown.Write(out)
	}
	type element struct{ Key dps.Secret }
	out, err := xml.Marshal(element{secret})
	if err != nil {
		t.Fatal(err)
	}
	shown.Write(out)
	for _, handler := range []slog.Handler{slog.NewTextHandler(&shown, nil), slog.NewJSONHandler(&shown, nil)} {
		slog.New(handler).Info("m", "key", secret, "holder", holder)
	}
	for _, form := range []string{canary, fmt.Sprintf("%x", canary), fmt.Sprintf("%X", canary)} {
		if strings.Contains(shown.String(), form) {
			t.Errorf("shown: %s", shown.String())
		}
	}
	if n := strings.Count(shown.String(), "REDACTED"); n < 50 {
		t.Errorf("only %d renderings say REDACTED", n)
	}
}

func TestSecretRevealsWhenAsked(t *testing.T) {
	if got := dps.Secret(canary).Reveal(); got != canary {
		t.Errorf("got %q", got)
	}
	if !dps.Secret("").IsZero() || dps.Secret("x").IsZero() {
		t.Error("IsZero is wrong")
	}
	if got := dps.Secret("").String(); got != "REDACTED" {
		t.Errorf("the empty secret shows itself: %q", got)
	}
}
