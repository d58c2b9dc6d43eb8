package enrollment_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/dpskit/dpskit/pkg/dps/enrollment"
	"github.com/dpskit/dpskit/pkg/dps/service"
	"github.com/dpskit/dpskit/pkg/pki"
	"github.com/dpskit/dpskit/pkg/pki/pkitest"
)

func TestWarnings(t *testing.T) {
	dev, ca := pkitest.Device(t, "dev-1"), pkitest.Intermediate(t)
	now := time.Now()
	tags := func(text string) func(*service.IndividualEnrollment) {
		return func(e *service.IndividualEnrollment) {
			e.InitialTwin = &service.InitialTwin{Tags: json.RawMessage(text)}
		}
	}
	const primary, secondary = "attestation.x509.clientCertificates.primary", "attestation.x509.clientCertificates.secondary"
	tests := []struct {
		name   string
		change func(*service.IndividualEnrollment)
		now    time.Time
		want   []string
		says   string
	}{
		{name: "a good certificate", change: func(e *service.IndividualEnrollment) {}},
		{name: "expired", change: func(e *service.IndividualEnrollment) {}, now: dev.Certificate.NotAfter.Add(time.Second),
			want: []string{primary}, says: "it expired on"},
		{name: "not yet valid", change: func(e *service.IndividualEnrollment) {}, now: dev.Certificate.NotBefore.Add(-time.Second),
			want: []string{primary}, says: "not valid before"},
		{name: "another common name", change: func(e *service.IndividualEnrollment) { e.RegistrationID = "dev-2" },
			want: []string{primary}, says: `"dev-1" is not the registration id "dev-2"`},
		{name: "the same twice", change: func(e *service.IndividualEnrollment) {
			e.Attestation = service.ClientCertificate(dev.Certificate, dev.Certificate)
		}, want: []string{secondary}, says: "once more"},
		{name: "the stored one once more", change: func(e *service.IndividualEnrollment) {
			e.Attestation = service.ClientCertificate(dev.Certificate, dev.Certificate)
			e.Attestation.X509.ClientCertificates.Primary = &service.X509CertificateWithInfo{
				Info: &service.X509CertificateInfo{SHA256Thumbprint: pki.SHA256Thumbprint(dev.Certificate)}}
		}, want: []string{secondary}, says: "once more"},
		{name: "unreadable ones are the business of Check", change: func(e *service.IndividualEnrollment) {
			e.Attestation.X509.ClientCertificates.Primary.Certificate = "x"
		}},
		{name: "ten levels", change: tags(strings.Repeat(`{"a":`, 9) + `{"a":1}` + strings.Repeat("}", 9))},
		{name: "eleven levels", change: tags(strings.Repeat(`{"a":`, 10) + `{"a":1}` + strings.Repeat("}", 10)),
			want: []string{"initialTwin.tags"}, says: "deeper than 10"},
		{name: "a dot in a name", change: tags(`{"a.b":1}`), want: []string{"initialTwin.tags"}, says: `"a.b"`},
		{name: "a dollar in a name", change: tags(`{"a":{"$version":1}}`), want: []string{"initialTwin.tags"}, says: "$version"},
		{name: "a long name", change: tags(`{"` + strings.Repeat("n", 1025) + `":1}`), want: []string{"initialTwin.tags"}, says: "1025"},
		{name: "a long text", change: tags(`{"a":"` + strings.Repeat("x", 4097) + `"}`), want: []string{"initialTwin.tags"}, says: "4097"},
		{name: "8 KiB of tags", change: tags(`{"a":"` + strings.Repeat("x", 4096) + `","b":"` + strings.Repeat("x", 4094) + `"}`)},
		{name: "more than 8 KiB of tags", change: tags(`{"a":"` + strings.Repeat("x", 4096) + `","b":["` + strings.Repeat("x", 4083) + `",true,1]}`),
			want: []string{"initialTwin.tags"}, says: "8193 bytes"},
		{name: "properties take four times as much", change: func(e *service.IndividualEnrollment) {
			e.InitialTwin = &service.InitialTwin{Properties: &service.InitialTwinProperties{
				Desired: json.RawMessage(`{"a":["` + strings.Repeat(strings.Repeat("x", 4000)+`","`, 5) + `"]}`)}}
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			e := service.IndividualEnrollment{RegistrationID: "dev-1", Attestation: service.ClientCertificate(dev.Certificate, nil)}
			tt.change(&e)
			if tt.now.IsZero() {
				tt.now = now
			}
			expect(t, enrollment.Warnings(e, tt.now), tt.want, tt.says)
		})
	}
	g := service.EnrollmentGroup{EnrollmentGroupID: "g", Attestation: service.SigningCertificate(ca.Certificate(), nil)}
	expect(t, enrollment.Warnings(g, now), nil, "")
	expect(t, enrollment.Warnings(g, ca.Certificate().NotAfter.AddDate(0, 0, 1)), []string{"attestation.x509.signingCertificates.primary"}, "expired")
}
