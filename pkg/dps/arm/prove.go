package arm

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"

	"github.com/dpskit/dpskit/pkg/dps"
)

// ProveStep is a step of [CertificateClient.Prove], reported before it begins.
type ProveStep string

// The steps in their order. Upload is left out if the certificate is there, and
// everything after the look-up if it is verified.
const (
	ProveLookUp ProveStep = "look up"
	ProveUpload ProveStep = "upload"
	ProveCode   ProveStep = "code"
	ProveSign   ProveStep = "sign"
	ProveVerify ProveStep = "verify"
)

// ProveOptions are the choices of [CertificateClient.Prove].
type ProveOptions struct {
	// Replace allows the upload to replace another certificate of that name.
	// Without it such a certificate is refused with dps.ErrConflict.
	Replace bool
	// Progress is called before each step, if not nil.
	Progress func(step ProveStep)
}

// ProveResult is what [CertificateClient.Prove] did.
type ProveResult struct {
	// Certificate is as stored at the end; it is verified.
	Certificate Certificate
	// Code is the verification code, empty if none was needed.
	Code string
	// Uploaded says whether the certificate was stored by this call.
	Uploaded bool
	// AlreadyVerified says that nothing had to be done.
	AlreadyVerified bool
}

// Prove makes sure that the CA certificate is stored under name and verified:
// upload if absent, code, signature, verification. What is done already is not
// done again, so an interrupted or repeated call continues.
//
// The function sign returns a certificate with the code as its common name,
// signed by the key of ca. It is checked here before it is sent, because the
// service's refusals are hard to read. If someone else writes to the same
// certificate meanwhile, the certificate is read again and the proof repeated
// once, with a new code and another call of sign.
func (c *CertificateClient) Prove(ctx context.Context, name string, ca *x509.Certificate,
	sign func(ctx context.Context, code string) (*x509.Certificate, error), opts *ProveOptions) (ProveResult, error) {
	if opts == nil {
		opts = &ProveOptions{}
	}
	p := prover{client: c, name: name, ca: ca, sign: sign, opts: opts}
	if err := p.check(); err != nil {
		return ProveResult{}, err
	}
	for attempt := 0; ; attempt++ {
		err := p.run(ctx)
		if attempt > 0 || !errors.Is(err, dps.ErrPrecondition) {
			return p.result, err
		}
	}
}

// prover holds the state of one Prove.
type prover struct {
	client *CertificateClient
	name   string
	ca     *x509.Certificate
	sign   func(ctx context.Context, code string) (*x509.Certificate, error)
	opts   *ProveOptions
	result ProveResult
}

func (p *prover) op() string { return fmt.Sprintf("prove CA certificate %q", p.name) }

func (p *prover) check() error {
	if err := checkName(p.op(), p.name); err != nil {
		return err
	}
	if err := checkCA(p.ca); err != nil {
		return fmt.Errorf("%s: %w", p.op(), err)
	}
	if p.sign == nil {
		return fmt.Errorf("%s: no function to sign with", p.op())
	}
	return nil
}

func (p *prover) step(s ProveStep) {
	if p.opts.Progress != nil {
		p.opts.Progress(s)
	}
}

// run does what is left to do.
func (p *prover) run(ctx context.Context) error {
	cert, err := p.stored(ctx)
	if err != nil {
		return err
	}
	p.result.Certificate = cert
	if cert.Verified {
		p.result.AlreadyVerified = !p.result.Uploaded && p.result.Code == ""
		return nil
	}
	p.step(ProveCode)
	code, cert, err := p.client.GenerateCode(ctx, p.name, cert.ETag)
	if err != nil {
		return err
	}
	p.result.Code = code
	p.step(ProveSign)
	verification, err := p.sign(ctx, code)
	if err != nil {
		return fmt.Errorf("%s: sign verification certificate: %w", p.op(), err)
	}
	if err := p.checkProof(verification, code); err != nil {
		return proofError{fmt.Errorf("%s: %w", p.op(), err)}
	}
	p.step(ProveVerify)
	cert, err = p.client.VerifyCertificate(ctx, p.name, verification, cert.ETag)
	if err != nil {
		return err
	}
	if !cert.Verified {
		return proofError{fmt.Errorf("%s: the service took the proof but did not mark the certificate verified", p.op())}
	}
	p.result.Certificate = cert
	return nil
}

// stored returns the certificate of that name, uploading it if need be.
func (p *prover) stored(ctx context.Context) (Certificate, error) {
	p.step(ProveLookUp)
	cert, err := p.client.GetCertificate(ctx, p.name)
	switch {
	case errors.Is(err, dps.ErrNotFound):
		return p.upload(ctx, "")
	case err != nil:
		return Certificate{}, err
	case cert.Thumbprint == thumbprint(p.ca):
		return cert, nil
	case p.opts.Replace:
		return p.upload(ctx, cert.ETag)
	}
	return Certificate{}, fmt.Errorf("%s: %w: the name holds another certificate (SHA-1 thumbprint %q, not %s)",
		p.op(), dps.ErrConflict, cert.Thumbprint, thumbprint(p.ca))
}

func (p *prover) upload(ctx context.Context, etag string) (Certificate, error) {
	p.step(ProveUpload)
	cert, err := p.client.UploadCertificate(ctx, p.name, p.ca, &UploadOptions{IfMatch: etag})
	p.result.Uploaded = p.result.Uploaded || err == nil
	return cert, err
}

// checkProof finds the mistakes that the service answers with code 400053.
func (p *prover) checkProof(verification *x509.Certificate, code string) error {
	now := p.client.now()
	switch {
	case verification == nil:
		return errors.New("no verification certificate was made")
	case verification.Subject.CommonName != code:
		return fmt.Errorf("the verification certificate's common name is %q, not the code %q", verification.Subject.CommonName, code)
	case string(verification.RawIssuer) != string(p.ca.RawSubject):
		return fmt.Errorf("the verification certificate is issued by %q, not by the CA %q",
			verification.Issuer.String(), p.ca.Subject.String())
	case p.ca.CheckSignature(verification.SignatureAlgorithm, verification.RawTBSCertificate, verification.Signature) != nil:
		return errors.New("the verification certificate is not signed by the key of the CA")
	case now.After(verification.NotAfter):
		return errors.New("the verification certificate has expired")
	}
	return nil
}
