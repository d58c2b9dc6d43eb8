package doctor_test

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"strings"
	"testing"

	"github.com/dpskit/dpskit/pkg/pki/doctor"
)

// TestSubjectHasEveryCommonName: crypto/x509 keeps the last one only, and the
// others are what is wrong.
func TestSubjectHasEveryCommonName(t *testing.T) {
	cn := asn1.ObjectIdentifier{2, 5, 4, 3}
	f := newFamily(t, nil, nil, func(c *x509.Certificate) {
		c.Subject = pkix.Name{ExtraNames: []pkix.AttributeTypeAndValue{{Type: cn, Value: "dev-1"}, {Type: cn, Value: "other"}}}
	})
	r := check(one(f.chain()), doctor.Options{RegistrationID: "dev-1"})
	expect(t, r, doctor.CheckRegistrationID, doctor.SeverityFatal, "CN=other,CN=dev-1", invalid)
	if got := r.Certificate.Subject; !strings.Contains(got, "CN=dev-1") || !strings.Contains(got, "CN=other") {
		t.Errorf("subject %q", got)
	}
	// One alone is as it was.
	if got := check(one(newFamily(t, nil, nil, nil).chain()), doctor.Options{}).Certificate.Subject; got != "CN=dev-1" {
		t.Errorf("subject %q", got)
	}
}
