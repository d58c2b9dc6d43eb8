package fleet_test

import (
	"encoding/csv"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dpskit/dpskit/pkg/pki/fleet"
)

func TestIndex(t *testing.T) {
	devices := []fleet.Device{
		{
			ID: "dev-1", Serial: "4A", NotBefore: time.Date(2026, 1, 2, 3, 4, 5, 0, time.FixedZone("x", 3600)), NotAfter: time.Date(2027, 1, 2, 3, 4, 5, 0, time.UTC),
			SHA1Thumbprint: "AB", SHA256Thumbprint: "CD",
			Files: fleet.Files{
				Certificate: fleet.File{Name: "c"}, FullChain: fleet.File{Name: "f"}, Key: fleet.File{Name: "k"},
				PFX: fleet.File{Name: "p"}, PFXPassword: fleet.File{Name: "w"},
			},
		},
		{ID: "-dash", Err: errors.New("one, \"two\"\nthree")},
	}
	for _, text := range []string{"=1+1", "+1", "@x", "\tx", "\rx", "＝1", "＋1", "－1", "＠x"} {
		devices = append(devices, fleet.Device{ID: "f", Err: errors.New(text)})
	}
	devices = append(devices, fleet.Device{ID: "f", Err: errors.New(" =harmless")})
	tests := []struct {
		raw  bool
		want string // what stands before a formula
	}{{false, "'"}, {true, ""}}
	for _, tt := range tests {
		var out strings.Builder
		x := fleet.NewIndex(&out, tt.raw)
		for i := range devices {
			if err := x.Write(&devices[i]); err != nil {
				t.Fatal(err)
			}
		}
		if err := x.Flush(); err != nil {
			t.Fatal(err)
		}
		rows, err := csv.NewReader(strings.NewReader(out.String())).ReadAll()
		if err != nil {
			t.Fatal(err)
		}
		none := make([]string, 10)
		want := [][]string{
			strings.Split("registrationId,certificate,fullChain,key,pfx,pfxPassword,serial,notBefore,notAfter,sha1Thumbprint,sha256Thumbprint,error", ","),
			{"dev-1", "c", "f", "k", "p", "w", "4A", "2026-01-02T02:04:05Z", "2027-01-02T03:04:05Z", "AB", "CD", ""},
			append(append([]string{tt.want + "-dash"}, none...), "one, \"two\"\nthree"),
		}
		for _, text := range []string{"=1+1", "+1", "@x", "\tx", "\rx", "＝1", "＋1", "－1", "＠x"} {
			want = append(want, append(append([]string{"f"}, none...), tt.want+text))
		}
		want = append(want, append(append([]string{"f"}, none...), " =harmless"))
		if diff := cmp.Diff(want, rows); diff != "" {
			t.Errorf("raw %v (-want +got):\n%s", tt.raw, diff)
		}
	}
}

type fullWriter struct{}

func (fullWriter) Write([]byte) (int, error) { return 0, errors.New("full") }

func TestIndexReportsWriteErrors(t *testing.T) {
	x := fleet.NewIndex(fullWriter{}, false)
	device := fleet.Device{ID: "x", Err: errors.New(strings.Repeat("y", 100_000))}
	if err := x.Write(&device); err == nil {
		t.Error("Write() = nil")
	}
	if err := x.Write(&device); err == nil {
		t.Error("a second Write() = nil")
	}
	if err := x.Flush(); err == nil || err.Error() != "write index: full" {
		t.Errorf("Flush() = %v", err)
	}
}
