package arm

import (
	"context"
	"crypto/x509"
	"encoding/base64"
	"strings"
	"time"

	armdps "github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/deviceprovisioningservices/armdeviceprovisioningservices"
	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/iothub/armiothub"
)

// backend is one of the two official clients of CA certificates. They differ in
// names, in the order of arguments and in the encoding of an upload, and in
// nothing else.
type backend interface {
	list(ctx context.Context) ([]Certificate, error)
	get(ctx context.Context, name string) (Certificate, error)
	put(ctx context.Context, name string, ca *x509.Certificate, verified bool, etag string) (Certificate, error)
	remove(ctx context.Context, name, etag string) error
	code(ctx context.Context, name, etag string) (string, Certificate, error)
	verify(ctx context.Context, name, etag string, proof *x509.Certificate) (Certificate, error)
}

// encode returns the text that goes over the wire: base64 of PEM.
func encode(cert *x509.Certificate) *string {
	text := base64.StdEncoding.EncodeToString(encodePEM(cert))
	return &text
}

// optional leaves out what is zero.
func optional[T comparable](v T) *T {
	if v == *new(T) {
		return nil
	}
	return &v
}

// validity holds the dates of an answer.
type validity struct{ expiry, created, updated time.Time }

// stored converts the members that both services send.
func stored(name, etag, subject, thumbprint *string, verified *bool, dates validity, content []byte) Certificate {
	return Certificate{
		Name: deref(name), ETag: deref(etag),
		Subject: deref(subject), Thumbprint: strings.ToUpper(deref(thumbprint)), Verified: deref(verified),
		Expiry: known(dates.expiry), Created: known(dates.created), Updated: known(dates.updated), Certificate: parse(content),
	}
}

// serviceBackend is that of a provisioning service.
type serviceBackend struct {
	client *armdps.DpsCertificateClient
	scope  Scope
}

func (b serviceBackend) list(ctx context.Context) ([]Certificate, error) {
	resp, err := b.client.List(ctx, b.scope.ResourceGroup, b.scope.ServiceName, nil)
	if err != nil {
		return nil, err
	}
	list, _, err := listed(resp.Value, nil, fromService)
	return list, err
}

func (b serviceBackend) get(ctx context.Context, name string) (Certificate, error) {
	resp, err := b.client.Get(ctx, name, b.scope.ResourceGroup, b.scope.ServiceName, nil)
	return fromService(resp.CertificateResponse), err
}

// put passes PEM: this client encodes the upload by itself.
func (b serviceBackend) put(ctx context.Context, name string, ca *x509.Certificate, verified bool, etag string) (Certificate, error) {
	body := armdps.CertificateResponse{Properties: &armdps.CertificateProperties{Certificate: encodePEM(ca), IsVerified: optional(verified)}}
	resp, err := b.client.CreateOrUpdate(ctx, b.scope.ResourceGroup, b.scope.ServiceName, name, body,
		&armdps.DpsCertificateClientCreateOrUpdateOptions{IfMatch: optional(etag)})
	return fromService(resp.CertificateResponse), err
}

func (b serviceBackend) remove(ctx context.Context, name, etag string) error {
	_, err := b.client.Delete(ctx, b.scope.ResourceGroup, etag, b.scope.ServiceName, name, nil)
	return err
}

func (b serviceBackend) code(ctx context.Context, name, etag string) (string, Certificate, error) {
	resp, err := b.client.GenerateVerificationCode(ctx, name, etag, b.scope.ResourceGroup, b.scope.ServiceName, nil)
	p := deref(resp.Properties)
	// The official client leaves these dates as text.
	dates := validity{rfc1123(deref(p.Expiry)), rfc1123(deref(p.Created)), rfc1123(deref(p.Updated))}
	return deref(p.VerificationCode), stored(resp.Name, resp.Etag, p.Subject, p.Thumbprint, p.IsVerified, dates, p.Certificate), err
}

// verify passes base64 of PEM: this client does not encode the proof.
func (b serviceBackend) verify(ctx context.Context, name, etag string, proof *x509.Certificate) (Certificate, error) {
	resp, err := b.client.VerifyCertificate(ctx, name, etag, b.scope.ResourceGroup, b.scope.ServiceName,
		armdps.VerificationCodeRequest{Certificate: encode(proof)}, nil)
	return fromService(resp.CertificateResponse), err
}

func fromService(r armdps.CertificateResponse) Certificate {
	p := deref(r.Properties)
	return stored(r.Name, r.Etag, p.Subject, p.Thumbprint, p.IsVerified, validity{deref(p.Expiry), deref(p.Created), deref(p.Updated)}, p.Certificate)
}

// hubBackend is that of an IoT hub. This client encodes nothing.
type hubBackend struct {
	client *armiothub.CertificatesClient
	scope  HubScope
}

func (b hubBackend) list(ctx context.Context) ([]Certificate, error) {
	resp, err := b.client.ListByIotHub(ctx, b.scope.ResourceGroup, b.scope.HubName, nil)
	if err != nil {
		return nil, err
	}
	list, _, err := listed(resp.Value, nil, fromHub)
	return list, err
}

func (b hubBackend) get(ctx context.Context, name string) (Certificate, error) {
	resp, err := b.client.Get(ctx, b.scope.ResourceGroup, b.scope.HubName, name, nil)
	return fromHub(resp.CertificateDescription), err
}

func (b hubBackend) put(ctx context.Context, name string, ca *x509.Certificate, verified bool, etag string) (Certificate, error) {
	body := armiothub.CertificateDescription{Properties: &armiothub.CertificateProperties{Certificate: encode(ca), IsVerified: optional(verified)}}
	resp, err := b.client.CreateOrUpdate(ctx, b.scope.ResourceGroup, b.scope.HubName, name, body,
		&armiothub.CertificatesClientCreateOrUpdateOptions{IfMatch: optional(etag)})
	return fromHub(resp.CertificateDescription), err
}

func (b hubBackend) remove(ctx context.Context, name, etag string) error {
	_, err := b.client.Delete(ctx, b.scope.ResourceGroup, b.scope.HubName, name, etag, nil)
	return err
}

func (b hubBackend) code(ctx context.Context, name, etag string) (string, Certificate, error) {
	resp, err := b.client.GenerateVerificationCode(ctx, b.scope.ResourceGroup, b.scope.HubName, name, etag, nil)
	p := deref(resp.Properties)
	dates := validity{deref(p.Expiry), deref(p.Created), deref(p.Updated)}
	return deref(p.VerificationCode), stored(resp.Name, resp.Etag, p.Subject, p.Thumbprint, p.IsVerified, dates, []byte(deref(p.Certificate))), err
}

func (b hubBackend) verify(ctx context.Context, name, etag string, proof *x509.Certificate) (Certificate, error) {
	resp, err := b.client.Verify(ctx, b.scope.ResourceGroup, b.scope.HubName, name, etag,
		armiothub.CertificateVerificationDescription{Certificate: encode(proof)}, nil)
	return fromHub(resp.CertificateDescription), err
}

func fromHub(r armiothub.CertificateDescription) Certificate {
	p := deref(r.Properties)
	dates := validity{deref(p.Expiry), deref(p.Created), deref(p.Updated)}
	return stored(r.Name, r.Etag, p.Subject, p.Thumbprint, p.IsVerified, dates, []byte(deref(p.Certificate)))
}
