package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestIndexesThatShareIDs has a fleet folder with two indexes of the same 30,000
// devices: each is registered once, and what is left out is said in a few lines.
func TestIndexesThatShareIDs(t *testing.T) {
	dir := t.TempDir()
	rows := strings.Builder{}
	rows.WriteString("registrationId,certificate,fullChain,key,error\n")
	for i := range 30000 {
		fmt.Fprintf(&rows, "p-%05d,certs/%d.pem,certs/%d.chain.pem,private/%d.pem,\n", i, i, i, i)
	}
	for name, content := range map[string]string{"fleet.json": "{}", "fleet-1-of-2.json": "{}", "index.csv": rows.String(), "index-1-of-2.csv": rows.String()} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	open := func() *deviceFolder {
		f, err := openDevices(dir, nil, time.Now)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(f.close)
		return f
	}
	f := open()
	line := func(i int) string {
		return fmt.Sprintf("left out %s: another certificate is for the registration ID \"p-%05d\", too", filepath.Join(dir, "certs", fmt.Sprint(i)+".chain.pem"), i)
	}
	want := []string{line(0), line(1), line(2), "left out 29997 more, as other certificates are for the same registration IDs"}
	if diff := cmp.Diff(want, f.texts()); diff != "" || f.Len() != 30000 {
		t.Errorf("%d devices; notes (-want +got):\n%s", f.Len(), diff)
	}
	for _, tt := range []struct {
		glob string
		want []string
	}{
		{"p-0001*", []string{line(10), line(11), line(12), "left out 7 more, as other certificates are for the same registration IDs"}},
		{"P-00017", []string{line(17)}},
		{"p-*", want},
		{"q-*", nil},
	} {
		f := open()
		f.choose([]string{tt.glob})
		f.settleNotes()
		if diff := cmp.Diff(tt.want, f.texts()); diff != "" {
			t.Errorf("%s: notes (-want +got):\n%s", tt.glob, diff)
		}
	}
}
