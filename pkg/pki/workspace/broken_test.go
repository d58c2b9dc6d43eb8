package workspace_test

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dpskit/dpskit/pkg/pki"
	"github.com/dpskit/dpskit/pkg/pki/workspace"
)

// Every broken certificate is marked in the manifest, can be read as it is, and stays marked when another process
// opens the folder.
func TestIssueBroken(t *testing.T) {
	w := ready(t)
	for _, fault := range pki.AllFaults() {
		b, paths, err := w.Issue(t.Context(), workspace.IssueOptions{
			Request: pki.IssueRequest{CommonName: string(fault)}, Fault: fault, PFX: &pki.PFXOptions{},
		})
		if err != nil {
			t.Fatalf("%s: %v", fault, err)
		}
		if paths.PFX == "" || b.Key == nil {
			t.Errorf("%s: paths %+v", fault, paths)
		}
		for _, ws := range []*workspace.Workspace{w, open(t, w.Dir())} {
			e, err := ws.Lookup(string(fault))
			if err != nil || e.Broken != fault || e.CA != "intermediate" {
				t.Errorf("%s: entry %+v, %v", fault, e, err)
			}
			got, err := ws.Bundle(string(fault))
			if err != nil {
				t.Errorf("%s: %v", fault, err)
				continue
			}
			if !got.Certificate.Equal(b.Certificate) || len(got.Issuers) != len(b.Issuers) || !got.Issuers[0].Equal(b.Issuers[0]) {
				t.Errorf("%s: another chain was read back", fault)
			}
			if (got.Key == nil) != (fault == pki.FaultWeakKey) {
				t.Errorf("%s: key %T", fault, got.Key)
			}
		}
	}
	if e, err := w.Lookup("dev-1"); err != nil || e.Broken != "" {
		t.Errorf("a sound certificate is marked: %+v, %v", e, err)
	}
}

// A manifest that is made anew keeps the marks when the old one still tells them, and else what the files tell.
func TestRebuildKeepsBrokenMarks(t *testing.T) {
	told := []pki.Fault{
		pki.FaultCATrue, pki.FaultWrongIssuer, pki.FaultWeakKey, pki.FaultBadSignature, pki.FaultReordered, pki.FaultNoIntermediate,
	}
	tests := map[string]struct {
		damage func(data []byte) []byte
		want   []pki.Fault
	}{
		"whole": {func(data []byte) []byte { return data }, pki.AllFaults()},
		"torn":  {func(data []byte) []byte { return data[:len(data)-4] }, pki.AllFaults()},
		"no version": {func(data []byte) []byte {
			return bytes.Replace(data, []byte(`"version": 1`), []byte(`"version": x`), 1)
		}, pki.AllFaults()},
		"overwritten": {func(data []byte) []byte { return bytes.Repeat([]byte("{"), len(data)) }, told},
		"gone":        {nil, told},
	}
	all := ready(t)
	for _, fault := range pki.AllFaults() {
		if _, _, err := all.Issue(t.Context(), workspace.IssueOptions{
			Request: pki.IssueRequest{CommonName: string(fault)}, Fault: fault,
		}); err != nil {
			t.Fatal(err)
		}
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			w := open(t, copyDir(t, all.Dir()))
			before := w.Entries()
			path := filepath.Join(w.Dir(), "certgen.json")
			data, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if tt.damage == nil {
				err = os.Remove(path)
			} else {
				err = os.WriteFile(path, tt.damage(data), 0o644)
			}
			if err != nil {
				t.Fatal(err)
			}
			again, err := workspace.Rebuild(t.Context(), w.Dir())
			if err != nil {
				t.Fatal(err)
			}
			for _, old := range before {
				e, err := again.Lookup(old.Name)
				if err != nil {
					t.Fatal(err)
				}
				want := old
				if !slices.Contains(tt.want, old.Broken) {
					want.Broken, want.Profile = "", e.Profile
				} else if len(tt.want) < len(pki.AllFaults()) && old.Broken == pki.FaultWrongIssuer {
					want.CA = ""
				}
				if diff := cmp.Diff(want, e); diff != "" {
					t.Errorf("%q (-want +got):\n%s", old.Name, diff)
				}
				if _, err := again.Chain(old.Name); err != nil {
					t.Error(err)
				}
			}
		})
	}
}

func TestIssueBrokenReplaces(t *testing.T) {
	w := ready(t)
	opts := workspace.IssueOptions{Request: pki.IssueRequest{CommonName: "dev-1"}, Fault: pki.FaultExpired, SelfSigned: true, Force: true}
	if _, _, err := w.Issue(t.Context(), opts); err != nil {
		t.Fatal(err)
	}
	if e, _ := w.Lookup("dev-1"); e.Broken != pki.FaultExpired || e.CA != "" {
		t.Errorf("got %+v", e)
	}
	opts.Fault = ""
	if _, _, err := w.Issue(t.Context(), opts); err != nil {
		t.Fatal(err)
	}
	if e, _ := w.Lookup("dev-1"); e.Broken != "" {
		t.Errorf("the mark outlived the certificate: %+v", e)
	}
}

func TestIssueBrokenRefuses(t *testing.T) {
	w := ready(t)
	before := snapshot(t, w.Dir())
	for name, opts := range map[string]workspace.IssueOptions{
		"known faults":             {Request: pki.IssueRequest{CommonName: "x"}, Fault: "rusty"},
		"needs an intermediate CA": {Request: pki.IssueRequest{CommonName: "x"}, Fault: pki.FaultNoIntermediate, CA: "root"},
		"self-signed":              {Request: pki.IssueRequest{CommonName: "x"}, Fault: pki.FaultWrongIssuer, SelfSigned: true},
		"signs nothing":            {Request: pki.IssueRequest{CommonName: "x", Profile: pki.ProfileEdgeCA}, Fault: pki.FaultExpired},
	} {
		if _, _, err := w.Issue(t.Context(), opts); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("got %v, want an error with %q", err, name)
		}
	}
	if diff := cmp.Diff(before, snapshot(t, w.Dir())); diff != "" {
		t.Errorf("a refusal changed files (-before +after)\n%s", diff)
	}
	if _, _, err := w.Issue(t.Context(), workspace.IssueOptions{Request: pki.IssueRequest{CommonName: "x"}, Fault: pki.FaultBadSignature}); err != nil {
		t.Fatal(err)
	}
	if _, _, err := w.Renew(t.Context(), workspace.RenewOptions{Name: "x"}); err == nil || !strings.Contains(err.Error(), "broken on purpose (bad-signature)") {
		t.Errorf("renew: got %v", err)
	}
	fresh := filepath.Join(t.TempDir(), "new")
	if _, _, err := open(t, fresh).Issue(t.Context(), workspace.IssueOptions{
		Request: pki.IssueRequest{CommonName: "x"}, Fault: "rusty", SelfSigned: true,
	}); err == nil {
		t.Error("an unknown fault was taken")
	}
	if len(snapshot(t, filepath.Dir(fresh))) != 0 {
		t.Error("a refusal made a folder")
	}
}
