package refuse_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dpskit/dpskit/pkg/dps/emulator/internal/refuse"
	"github.com/dpskit/dpskit/pkg/pki"
)

// record logs r at a level and returns what came out; nil means nothing.
func record(t *testing.T, level slog.Level, r *refuse.Refusal) map[string]any {
	t.Helper()
	var buf bytes.Buffer
	logger := slog.New(slog.NewJSONHandler(&buf, &slog.HandlerOptions{Level: level, ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}}))
	refuse.Log(t.Context(), logger, r, slog.String("plane", "device"))
	if buf.Len() == 0 {
		return nil
	}
	var out map[string]any
	if err := json.Unmarshal(buf.Bytes(), &out); err != nil {
		t.Fatal(err)
	}
	return out
}

func TestLog(t *testing.T) {
	root, err := pki.NewRoot(&pki.CAOptions{CommonName: "root"})
	if err != nil {
		t.Fatal(err)
	}
	full := (&refuse.Refusal{
		Status: 401, Code: 401002, ErrorCode: "unused", Message: "Invalid certificate.", Rule: "expired",
		Expected: "a valid one", Fix: "renew it",
	}).About(root.Certificate(), 2)
	want := map[string]any{
		"level": "WARN", "msg": "request refused", "plane": "device", "rule": "expired", "status": 401.0, "code": 401002.0,
		"answer": "Invalid certificate.", "expected": "a valid one", "fix": "renew it",
		"certificate_subject": "CN=root", "certificate_position": 2.0,
		"certificate_thumbprint": pki.SHA1Thumbprint(root.Certificate()),
	}
	if diff := cmp.Diff(want, record(t, slog.LevelDebug, full)); diff != "" {
		t.Error(diff)
	}
	bare := &refuse.Refusal{Status: 404, ErrorCode: "ResourceNotFound", Message: "Gone.", Rule: "route"}
	want = map[string]any{
		"level": "DEBUG", "msg": "request refused", "plane": "device", "rule": "route", "status": 404.0,
		"error_code": "ResourceNotFound", "answer": "Gone.",
		"expected": "a path of the service, device or resource manager plane", "fix": "check the path, and the id scope in it",
	}
	if diff := cmp.Diff(want, record(t, slog.LevelDebug, bare)); diff != "" {
		t.Error(diff)
	}
	if got := record(t, slog.LevelWarn, bare); got != nil {
		t.Errorf("a 404 is logged as a warning: %v", got)
	}
}

// TestInfo: the body of an error explains what the log does; a rule that has
// nothing to say in general adds nothing.
func TestInfo(t *testing.T) {
	for _, tt := range []struct {
		refusal refuse.Refusal
		want    map[string]string
	}{
		{refuse.Refusal{}, nil},
		{refuse.Refusal{Rule: "of its own"}, map[string]string{"rule": "of its own"}},
		{refuse.Refusal{Rule: "method", Expected: "one of GET"},
			map[string]string{"rule": "method", "expected": "one of GET", "fix": "use one of those in the Allow header"}},
	} {
		if diff := cmp.Diff(tt.want, tt.refusal.Info()); diff != "" {
			t.Error(diff)
		}
	}
}

func TestAs(t *testing.T) {
	r := &refuse.Refusal{Rule: "x", Message: "No."}
	if got, ok := refuse.As(fmt.Errorf("wrapped: %w", r)); !ok || got != r {
		t.Errorf("As = %v, %v", got, ok)
	}
	if got, ok := refuse.As(errors.New("other")); ok {
		t.Errorf("As of another error = %v", got)
	}
	if r.Error() != "x: No." {
		t.Errorf("Error() = %q", r)
	}
}

func TestCertificateOfNothing(t *testing.T) {
	if got := refuse.CertificateOf(nil, -1); got != (refuse.Certificate{Position: -1}) {
		t.Errorf("CertificateOf(nil) = %+v", got)
	}
}
