package doctor_test

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"testing"

	"github.com/dpskit/dpskit/pkg/dps"
	"github.com/dpskit/dpskit/pkg/dps/arm"
	"github.com/dpskit/dpskit/pkg/dps/device"
	"github.com/dpskit/dpskit/pkg/dps/dpstest"
	"github.com/dpskit/dpskit/pkg/dps/service"
	"github.com/dpskit/dpskit/pkg/pki"
	"github.com/dpskit/dpskit/pkg/pki/doctor"
)

// situation is a device, with what it presents, in front of a service.
type situation struct {
	name       string
	device     *pki.Bundle // its issuers are what it presents besides its certificate
	individual bool
	enrolled   *x509.Certificate
	verified   []*x509.Certificate
}

// register sets up a service of its own, lets the device register, and returns the refusal, "" for none.
func (s situation) register(t *testing.T) string {
	t.Helper()
	emu := dpstest.Start(t)
	info, client := emu.Info(), emu.HTTPClient()
	t.Cleanup(client.CloseIdleConnections)
	cred := arm.StaticToken(info.Token)
	manager, err := arm.NewClient(arm.Scope{
		SubscriptionID: info.SubscriptionID, ResourceGroup: info.ResourceGroup, ServiceName: info.Name,
	}, cred, &arm.ClientOptions{Endpoint: info.ARMEndpoint, HTTPClient: client})
	if err != nil {
		t.Fatal(err)
	}
	for i, ca := range s.verified {
		if _, err := manager.UploadCertificate(t.Context(), fmt.Sprintf("ca%d", i), ca, &arm.UploadOptions{Verified: true}); err != nil {
			t.Fatal(err)
		}
	}
	admin, err := service.NewClient(info.HostName, service.Token(cred), &service.ClientOptions{HTTPClient: client})
	if err != nil {
		t.Fatal(err)
	}
	id := s.device.Certificate.Subject.CommonName
	if s.individual {
		_, err = admin.PutEnrollment(t.Context(), service.IndividualEnrollment{RegistrationID: id, Attestation: service.ClientCertificate(s.enrolled, nil)}, nil)
	} else {
		_, err = admin.PutGroup(t.Context(), service.EnrollmentGroup{EnrollmentGroupID: "g", Attestation: service.SigningCertificate(s.enrolled, nil)}, nil)
	}
	if err != nil {
		t.Fatal(err)
	}
	cert := tls.Certificate{Certificate: [][]byte{s.device.Certificate.Raw}, PrivateKey: s.device.Key}
	for _, c := range s.device.Issuers {
		cert.Certificate = append(cert.Certificate, c.Raw)
	}
	d, err := device.NewClient(info.IDScope, id, device.X509(cert), &device.ClientOptions{Host: info.HostName, RootCAs: emu.CAPool(), MaxRetries: -1})
	if err != nil {
		t.Fatal(err)
	}
	_, err = d.Register(t.Context(), nil)
	var refusal *dps.Error
	switch {
	case err == nil:
		return ""
	case errors.As(err, &refusal):
		return fmt.Sprintf("%d %s", refusal.Code, refusal.Message)
	}
	t.Fatal(err)
	return ""
}

// predict is what the doctor expects of the same.
func (s situation) predict() (string, *doctor.Report) {
	role := doctor.RoleDevice
	if s.individual {
		role = doctor.RoleIndividual
	}
	r := doctor.Check([]doctor.Source{{
		Name: "chain", Format: doctor.FormatPEM, Key: s.device.Key,
		Certificates: append([]*x509.Certificate{s.device.Certificate}, s.device.Issuers...),
	}}, &doctor.Options{Role: role, Enrolled: s.enrolled, CAs: s.verified, RegistrationID: s.device.Certificate.Subject.CommonName})
	if r.Predicted == nil {
		return "", r
	}
	return r.Predicted.String(), r
}

// What the doctor predicts is what the emulator of this module answers.
func TestAgreesWithTheEmulator(t *testing.T) {
	root := must(pki.NewRoot(nil))(t)
	sub := must(root.NewIntermediate(nil))(t)
	sub2 := must(sub.NewIntermediate(&pki.CAOptions{CommonName: "sub-2"}))(t)
	other := must(pki.NewRoot(&pki.CAOptions{CommonName: "Other Root"}))(t)
	again := must(root.NewIntermediate(nil))(t) // another CA of the same name
	rootCert, subCert, sub2Cert := root.Certificate(), sub.Certificate(), sub2.Certificate()
	issue := func(ca *pki.Authority, id string, present ...*x509.Certificate) *pki.Bundle {
		b := must(ca.Issue(pki.IssueRequest{CommonName: id}))(t)
		b.Issuers = present
		return b
	}
	list := func(certs ...*x509.Certificate) []*x509.Certificate { return certs }
	self := must(pki.SelfSigned(pki.IssueRequest{CommonName: "alone"}))(t)
	renewed := must(pki.SelfSigned(pki.IssueRequest{CommonName: "alone"}))(t)
	situations := []situation{
		{"sound", issue(sub, "a", subCert), false, subCert, list(rootCert)},
		{"sound, with root", issue(sub, "a", subCert, rootCert), false, subCert, list(rootCert)},
		{"sound, upper case", issue(sub, "A", subCert), false, subCert, list(rootCert)},
		{"sound, group of the root", issue(sub, "a", subCert), false, rootCert, list(rootCert)},
		{"sound, below the root", issue(root, "a"), false, rootCert, list(rootCert)},
		{"sound, intermediate verified", issue(sub, "a", subCert), false, subCert, list(subCert)},
		{"sound, two intermediates", issue(sub2, "a", sub2Cert, subCert), false, sub2Cert, list(rootCert)},
		{"sound, wrong order", issue(sub2, "a", rootCert, subCert, sub2Cert), false, subCert, list(rootCert)},
		{"intermediate not sent", issue(sub, "a"), false, subCert, list(rootCert)},
		{"intermediate not sent, group of the root", issue(sub, "a"), false, rootCert, list(rootCert)},
		{"intermediate not sent, but the root", issue(sub, "a", rootCert), false, rootCert, list(rootCert)},
		{"upper intermediate not sent", issue(sub2, "a", sub2Cert), false, sub2Cert, list(rootCert)},
		{"lower intermediate not sent", issue(sub2, "a", subCert), false, subCert, list(rootCert)},
		{"root not verified", issue(sub, "a", subCert), false, subCert, list(other.Certificate())},
		{"root not verified, but sent", issue(sub, "a", subCert, rootCert), false, subCert, []*x509.Certificate{}},
		{"verified below the group", issue(sub, "a", subCert), false, rootCert, list(subCert)},
		{"group of another CA", issue(sub, "a", subCert), false, again.Certificate(), list(rootCert)},
		{"group of another CA, nothing verified", issue(sub, "a", subCert), false, again.Certificate(), list(other.Certificate())},
		{"CA made anew is sent", issue(sub, "a", again.Certificate()), false, subCert, list(rootCert)},
		{"CA as device", &pki.Bundle{Certificate: sub2Cert, Key: sub2.Key(), Issuers: list(subCert)}, false, subCert, list(rootCert)},
		{"self-signed in a group", self, false, rootCert, list(rootCert)},
		{"individual", self, true, self.Certificate, nil},
		{"individual, CA-signed", issue(sub, "a", subCert), true, nil, list(rootCert)},
		{"individual, older certificate", renewed, true, self.Certificate, nil},
		{"individual, root", issue(sub, "a", subCert), true, rootCert, list(rootCert)},
	}
	for _, fault := range pki.AllFaults() {
		b := must(sub.IssueBroken(pki.IssueRequest{CommonName: "a"}, fault))(t)
		situations = append(situations, situation{"group, " + string(fault), b, false, subCert, list(rootCert)})
		if !fault.InChain() {
			b := must(pki.SelfSignedBroken(pki.IssueRequest{CommonName: "a"}, fault))(t)
			situations = append(situations, situation{"individual, " + string(fault), b, true, b.Certificate, nil})
		}
	}
	agree(t, situations)
}

// agree holds the prediction against the answer in every situation.
func agree(t *testing.T, situations []situation) {
	t.Helper()
	for _, s := range situations {
		t.Run(s.name, func(t *testing.T) {
			if s.enrolled == nil {
				s.enrolled = s.device.Certificate
			}
			want, r := s.predict()
			if got := s.register(t); got != want {
				t.Errorf("the emulator answers %q, the doctor predicts %q:\n%s", got, want, describe(r))
			}
		})
	}
}

// must ends the test on an error.
func must[T any](v T, err error) func(*testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}
