package doctor_test

import (
	"crypto/x509"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dpskit/dpskit/pkg/pki/doctor"
)

// place is a placement without its text.
type place struct {
	Place         doctor.Place
	Subjects      []string
	File, KeyFile string
}

func placesOf(r *doctor.Report) []place {
	var out []place
	for _, p := range r.Placements {
		q := place{Place: p.Place, File: p.File, KeyFile: p.KeyFile}
		for _, c := range p.Certificates {
			q.Subjects = append(q.Subjects, strings.TrimPrefix(c.Subject, "CN="))
		}
		out = append(out, q)
	}
	return out
}

func TestPlacements(t *testing.T) {
	f := newFamily(t, nil, nil, nil)
	self := mint(t, template("dev-9", false), nil, nil)
	proof := mint(t, template("CODE", false), f.root, nil)
	cas := []doctor.Source{source("root.pem", nil, f.root), source("sub.pem", nil, f.sub)}
	both := []string{"dev-1", "Test Sub"}
	tests := []struct {
		name    string
		sources []doctor.Source
		opts    doctor.Options
		want    []place
	}{
		{"device, everything there", one(source("dev.pem", nil, f.leaf), f.chain(), source("dev.key", f.leaf.key)), doctor.Options{Known: cas}, []place{
			{doctor.PlaceHandshake, both, "chain.pem", "chain.pem"},
			{doctor.PlaceGroup, []string{"Test Sub"}, "sub.pem", ""},
			{doctor.PlaceCAList, []string{"Test Root"}, "root.pem", ""},
		}},
		{"device, chain alone", one(source("c.pem", nil, f.leaf, f.sub), source("k.pem", f.leaf.key)), doctor.Options{}, []place{
			{doctor.PlaceHandshake, both, "c.pem", "k.pem"},
			{doctor.PlaceGroup, []string{"Test Sub"}, "", ""},
			{doctor.PlaceCAList, nil, "", ""},
		}},
		{"device, leaf alone, the CAs are known", one(source("dev.pem", nil, f.leaf)), doctor.Options{Role: doctor.RoleDevice, Known: cas}, []place{
			{doctor.PlaceHandshake, both, "", ""},
			{doctor.PlaceGroup, []string{"Test Sub"}, "sub.pem", ""},
			{doctor.PlaceCAList, []string{"Test Root"}, "root.pem", ""},
		}},
		{"device, leaf alone", one(source("dev.pem", nil, f.leaf)), doctor.Options{Role: doctor.RoleDevice}, []place{
			{doctor.PlaceHandshake, []string{"dev-1"}, "dev.pem", ""},
			{doctor.PlaceGroup, nil, "", ""},
			{doctor.PlaceCAList, nil, "", ""},
		}},
		{"device, wrong order", one(source("c.pem", nil, f.leaf, f.root, f.sub)), doctor.Options{}, []place{
			{doctor.PlaceHandshake, both, "", ""},
			{doctor.PlaceGroup, []string{"Test Sub"}, "", ""},
			{doctor.PlaceCAList, []string{"Test Root"}, "", ""},
		}},
		{"device, PFX", one(doctor.Source{Name: "d.pfx", Format: doctor.FormatPFX, Certificates: certs(f.leaf, f.sub, f.root), Key: f.leaf.key}), doctor.Options{}, []place{
			{doctor.PlaceHandshake, both, "d.pfx", "d.pfx"},
			{doctor.PlaceGroup, []string{"Test Sub"}, "", ""},
			{doctor.PlaceCAList, []string{"Test Root"}, "", ""},
		}},
		{"self-signed", one(source("dev.pem", self.key, self)), doctor.Options{}, []place{
			{doctor.PlaceHandshake, []string{"dev-9"}, "dev.pem", "dev.pem"},
			{doctor.PlaceIndividual, []string{"dev-9"}, "dev.pem", ""},
		}},
		{"individual, CA-signed", one(f.chain(), source("dev.pem", nil, f.leaf)), doctor.Options{Role: doctor.RoleIndividual, Known: cas}, []place{
			{doctor.PlaceHandshake, []string{"dev-1"}, "dev.pem", "chain.pem"},
			{doctor.PlaceIndividual, []string{"dev-1"}, "dev.pem", ""},
			{doctor.PlaceCAList, []string{"Test Root"}, "root.pem", ""},
		}},
		{"group", one(cas...), doctor.Options{}, []place{
			{doctor.PlaceGroup, []string{"Test Sub"}, "sub.pem", ""},
			{doctor.PlaceCAList, []string{"Test Root"}, "root.pem", ""},
		}},
		{"proof", one(source("proof.pem", nil, proof)), doctor.Options{Role: doctor.RoleVerification}, []place{
			{doctor.PlaceProof, []string{"CODE"}, "proof.pem", ""},
		}},
		{"a device is no group", one(source("dev.pem", nil, f.leaf)), doctor.Options{Role: doctor.RoleGroup, Known: cas}, []place{
			{doctor.PlaceCAList, []string{"Test Root"}, "root.pem", ""},
		}},
		{"nothing", one(), doctor.Options{}, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := check(tt.sources, tt.opts)
			if diff := cmp.Diff(tt.want, placesOf(r)); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
			for _, p := range r.Placements {
				if p.File != "" && !strings.Contains(p.Text, `use "`+p.File+`"`) {
					t.Errorf("the text does not name the file %q: %s", p.File, p.Text)
				}
			}
		})
	}
}

// The report of nothing is a report, too.
func TestNothing(t *testing.T) {
	for name, sources := range map[string][]doctor.Source{
		"no source": nil, "empty source": {{Name: "x"}}, "key alone": {source("k", newKey(t))},
		"nil certificate": {{Name: "x", Certificates: []*x509.Certificate{nil}}},
	} {
		r := doctor.Check(sources, nil)
		if !r.Fatal() || r.Certificate != nil || r.Findings[0].Check != doctor.CheckInput || r.Placements == nil {
			t.Errorf("%s: got %+v", name, r)
		}
		checkTexts(t, r)
	}
}
