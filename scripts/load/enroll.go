package main

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"time"

	"github.com/dpskit/dpskit/pkg/dps/arm"
	"github.com/dpskit/dpskit/pkg/dps/service"
	"github.com/dpskit/dpskit/pkg/pki"
)

// fleet is what devices are enrolled by.
type fleet struct {
	name    string // of the CA, of the group, and the beginning of every registration id
	issuer  *pki.Authority
	manager *arm.Client
	admin   *service.Client
	close   func()
}

// enroll makes a CA, has it verified, and puts a group on its intermediate. The
// names are new in each run, so that one emulator takes many runs.
func enroll(ctx context.Context, s *server) (*fleet, error) {
	root, err := pki.NewRoot(nil)
	if err != nil {
		return nil, err
	}
	f := &fleet{name: fmt.Sprintf("load-%x", time.Now().UnixMilli())}
	if f.issuer, err = root.NewIntermediate(nil); err != nil {
		return nil, err
	}
	client := s.client()
	f.close = client.CloseIdleConnections
	cred := arm.StaticToken(s.info.Token)
	f.manager, err = arm.NewClient(arm.Scope{
		SubscriptionID: s.info.SubscriptionID, ResourceGroup: s.info.ResourceGroup, ServiceName: s.info.Name,
	}, cred, &arm.ClientOptions{Endpoint: s.info.ARMEndpoint, HTTPClient: client})
	if err != nil {
		return nil, err
	}
	f.admin, err = service.NewClient(s.info.HostName, service.Token(cred), &service.ClientOptions{HTTPClient: client})
	if err != nil {
		return nil, err
	}
	if _, err := f.manager.UploadCertificate(ctx, f.name, root.Certificate(), &arm.UploadOptions{Verified: true}); err != nil {
		return nil, err
	}
	_, err = f.admin.PutGroup(ctx, service.EnrollmentGroup{
		EnrollmentGroupID: f.name, Attestation: service.SigningCertificate(f.issuer.Certificate(), nil),
	}, nil)
	return f, err
}

// remove takes group and CA away again; the records stay.
func (f *fleet) remove(ctx context.Context) error {
	defer f.close()
	return errors.Join(f.admin.DeleteGroup(ctx, f.name, nil), f.manager.DeleteCertificate(ctx, f.name, ""))
}

// records returns the registration records of the group by registration id, and
// how many there were.
func (f *fleet) records(ctx context.Context) (map[string]service.RegistrationState, int, error) {
	byID, n := map[string]service.RegistrationState{}, 0
	for rec, err := range f.admin.Registrations(ctx, f.name, &service.ListOptions{PageSize: 1000}) {
		if err != nil {
			return nil, 0, err
		}
		byID[rec.RegistrationID] = rec
		n++
	}
	return byID, n, nil
}

func encodePEM(cert *x509.Certificate) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw})
}
