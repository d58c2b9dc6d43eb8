package desired

import (
	"context"
	"crypto/x509"
	"strings"

	"github.com/dpskit/dpskit/pkg/dps/arm"
	"github.com/dpskit/dpskit/pkg/dps/enrollment"
	"github.com/dpskit/dpskit/pkg/pki"
)

// Certificates is what Compare and Apply need of an *arm.Client.
type Certificates interface {
	ListCertificates(ctx context.Context) ([]arm.Certificate, error)
	UploadCertificate(ctx context.Context, name string, ca *x509.Certificate, opts *arm.UploadOptions) (arm.Certificate, error)
	Prove(ctx context.Context, name string, ca *x509.Certificate,
		sign func(ctx context.Context, code string) (*x509.Certificate, error), opts *arm.ProveOptions) (arm.ProveResult, error)
	DeleteCertificate(ctx context.Context, name, etag string) error
}

func (c *comparison) certificates(ctx context.Context, doc *Document) error {
	if !doc.Sections[KindCertificate] {
		return nil
	}
	list, err := c.target.Certificates.ListCertificates(ctx)
	if err != nil {
		return err
	}
	stored, listed := make(map[string]arm.Certificate, len(list)), map[string]bool{}
	for _, cert := range list {
		stored[strings.ToLower(cert.Name)] = cert
	}
	for _, wanted := range doc.Certificates {
		folded := strings.ToLower(wanted.Name)
		listed[folded] = true
		cert, exists := stored[folded]
		c.add(c.certificate(wanted, cert, exists))
	}
	if !c.prune {
		return nil
	}
	for _, cert := range list {
		if !listed[strings.ToLower(cert.Name)] {
			c.add(c.pruneCertificate(cert))
		}
	}
	return nil
}

// certificate returns the change for one CA; nil if it is as wanted. A CA that
// is verified although nobody asked for it is as wanted.
func (c *comparison) certificate(wanted Certificate, stored arm.Certificate, exists bool) *Change {
	change := &Change{Kind: KindCertificate, ID: wanted.Name, Action: Create}
	before := ""
	switch {
	case !exists:
	case stored.Thumbprint != pki.SHA1Thumbprint(wanted.Certificate):
		change.Action = Replace
		before = describeStored(stored)
	case wanted.Verified && !stored.Verified:
		change.Action = Verify
	default:
		return nil
	}
	if change.Action != Verify {
		change.Differences = append(change.Differences, enrollment.Difference{Member: "certificate", Before: before, After: describe(wanted.Certificate)})
	}
	if wanted.Verified {
		how := "vouched for"
		if wanted.Key != nil {
			how = "by proof of possession"
		}
		change.Differences = append(change.Differences, enrollment.Difference{Member: "isVerified", Before: verifiedText(stored, exists), After: how})
	}
	change.run = func(ctx context.Context) error { return c.writeCertificate(ctx, wanted, stored) }
	return change
}

func describeStored(cert arm.Certificate) string {
	return `"` + strings.TrimPrefix(cert.Subject, "CN=") + `" (SHA-1 ` + cert.Thumbprint + ")"
}

func verifiedText(cert arm.Certificate, exists bool) string {
	switch {
	case !exists:
		return ""
	case cert.Verified:
		return "true"
	}
	return "false"
}

// writeCertificate uploads and verifies, under the condition that the stored
// certificate is the one that was compared.
func (c *comparison) writeCertificate(ctx context.Context, wanted Certificate, stored arm.Certificate) error {
	client := c.target.Certificates
	same := stored.Thumbprint == pki.SHA1Thumbprint(wanted.Certificate)
	if !same || wanted.Key == nil {
		upload := &arm.UploadOptions{IfMatch: stored.ETag, Verified: wanted.Verified && wanted.Key == nil}
		if _, err := client.UploadCertificate(ctx, wanted.Name, wanted.Certificate, upload); err != nil {
			return err
		}
	}
	if wanted.Key == nil {
		return nil
	}
	authority, err := pki.LoadAuthority([]*x509.Certificate{wanted.Certificate}, wanted.Key)
	if err != nil {
		return err
	}
	sign := func(_ context.Context, code string) (*x509.Certificate, error) {
		b, err := authority.Issue(pki.IssueRequest{Profile: pki.ProfileVerification, CommonName: code})
		if err != nil {
			return nil, err
		}
		return b.Certificate, nil
	}
	_, err = client.Prove(ctx, wanted.Name, wanted.Certificate, sign, nil)
	return err
}

func (c *comparison) pruneCertificate(cert arm.Certificate) *Change {
	before := []enrollment.Difference{{Member: "certificate", Before: describeStored(cert)}}
	return &Change{Kind: KindCertificate, ID: cert.Name, Action: Delete, Differences: before, run: func(ctx context.Context) error {
		return c.target.Certificates.DeleteCertificate(ctx, cert.Name, cert.ETag)
	}}
}
