package arm

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/dpskit/dpskit/pkg/dps"
	"github.com/dpskit/dpskit/pkg/dps/internal/oneline"
	"github.com/dpskit/dpskit/pkg/dps/internal/rest"
)

// Sentinels of this package, reached with errors.Is.
var (
	// ErrInvalidName marks a certificate name that the service cannot accept.
	ErrInvalidName = errors.New("invalid certificate name: 1 to 64 letters, digits, '-', '.', '_'")
	// ErrNotCA marks a certificate that says it is no CA, or none at all.
	ErrNotCA = errors.New("not a CA certificate")
	// ErrProof marks a proof of possession that failed, here or at the service.
	ErrProof = errors.New("proof of possession failed")
)

// proofError lets an error match ErrProof without changing its text.
type proofError struct{ error }

func (proofError) Is(target error) bool { return target == ErrProof }
func (e proofError) Unwrap() error      { return e.error }

var certificateName = regexp.MustCompile(`^[A-Za-z0-9._-]{1,64}$`)

// noBlindRetry is the code of an internal error that the service repeats for as
// long as it gets the same upload.
const noBlindRetry = 500019

// CertificateClient manages the CA certificates of one provisioning service or
// one IoT hub. It is part of [Client] and [HubClient], and safe for concurrent
// use.
type CertificateClient struct {
	plane
	certificates backend
}

// newCall starts an operation on a certificate.
func newCall(format string, args ...any) *rest.Call {
	return &rest.Call{Op: fmt.Sprintf(format, args...), FinalCodes: []int{noBlindRetry}}
}

// CheckName refuses a name that no CA certificate can have, with
// [ErrInvalidName]. Nothing is sent.
func CheckName(name string) error {
	return checkName(fmt.Sprintf("check CA certificate name %q", name), name)
}

func checkName(op, name string) error {
	if !certificateName.MatchString(name) || strings.Trim(name, ".") == "" {
		return fmt.Errorf("%s: %w", op, ErrInvalidName)
	}
	return nil
}

// finish turns what the official client returns into an error of ours: it
// passes *dps.Error on from the pipeline, and adds errors of decoding.
func finish(op string, err error) error {
	var refusal *dps.Error
	if err == nil || errors.As(err, &refusal) {
		return err
	}
	return &dps.Error{Op: op, Message: "the answer cannot be read: " + oneline.Clean(err.Error(), 256), Err: dps.ErrUnexpectedAnswer}
}

// ListCertificates returns the CA certificates, in no particular order.
func (c *CertificateClient) ListCertificates(ctx context.Context) ([]Certificate, error) {
	call := newCall("list CA certificates")
	ctx, cancel := c.config.Start(ctx, call)
	defer cancel()
	list, err := c.certificates.list(ctx)
	if err != nil {
		return nil, finish(call.Op, err)
	}
	return list, nil
}

// GetCertificate returns the CA certificate with this name.
func (c *CertificateClient) GetCertificate(ctx context.Context, name string) (Certificate, error) {
	call := newCall("get CA certificate %q", name)
	if err := checkName(call.Op, name); err != nil {
		return Certificate{}, err
	}
	ctx, cancel := c.config.Start(ctx, call)
	defer cancel()
	cert, err := c.certificates.get(ctx, name)
	return result(call, cert, err)
}

// result checks that an answer is a certificate at all.
func result(call *rest.Call, cert Certificate, err error) (Certificate, error) {
	if err == nil && cert.ETag == "" {
		err = errors.New("no etag in it")
	}
	if err != nil {
		return Certificate{}, finish(call.Op, err)
	}
	return cert, nil
}

// UploadOptions are the choices of an upload.
type UploadOptions struct {
	// IfMatch replaces the certificate that has this ETag. Empty creates; a name
	// that is taken is refused with dps.ErrPrecondition.
	IfMatch string
	// Verified vouches for the certificate, so that no proof is needed.
	Verified bool
}

// UploadCertificate stores a CA certificate under a name. A certificate that
// says it is no CA is refused before anything is sent; one without basic
// constraints, as old roots are, passes if it is self-signed.
func (c *CertificateClient) UploadCertificate(ctx context.Context, name string, ca *x509.Certificate, opts *UploadOptions) (Certificate, error) {
	if opts == nil {
		opts = &UploadOptions{}
	}
	call := newCall("upload CA certificate %q", name)
	if err := checkName(call.Op, name); err != nil {
		return Certificate{}, err
	}
	if err := checkCA(ca); err != nil {
		return Certificate{}, fmt.Errorf("%s: %w", call.Op, err)
	}
	callCtx, cancel := c.config.Start(ctx, call)
	defer cancel()
	cert, err := c.certificates.put(callCtx, name, ca, opts.Verified, opts.IfMatch)
	if call.Ambiguous() && errors.Is(err, dps.ErrPrecondition) {
		// The first attempt may have stored it, and its acknowledgement got lost.
		stored, getErr := c.GetCertificate(ctx, name)
		if getErr == nil && stored.Thumbprint == thumbprint(ca) && (stored.Verified || !opts.Verified) {
			return stored, nil
		}
	}
	return result(call, cert, err)
}

// checkCA refuses what is plainly no CA.
func checkCA(ca *x509.Certificate) error {
	switch {
	case ca == nil || len(ca.Raw) == 0:
		return fmt.Errorf("%w: no certificate", ErrNotCA)
	case ca.BasicConstraintsValid && !ca.IsCA:
		return fmt.Errorf("%w: %q is marked CA:FALSE", ErrNotCA, ca.Subject.CommonName)
	case !ca.BasicConstraintsValid && ca.Subject.String() != ca.Issuer.String():
		return fmt.Errorf("%w: %q has no basic constraints and is not self-signed", ErrNotCA, ca.Subject.CommonName)
	}
	return nil
}

// DeleteCertificate deletes the certificate that has this ETag; an empty one
// means whatever is stored now.
func (c *CertificateClient) DeleteCertificate(ctx context.Context, name, etag string) error {
	call := newCall("delete CA certificate %q", name)
	if err := checkName(call.Op, name); err != nil {
		return err
	}
	_, err := withCurrent(ctx, c, name, etag, func(etag string) (struct{}, error) {
		callCtx, cancel := c.config.Start(ctx, call)
		defer cancel()
		return struct{}{}, finish(call.Op, c.certificates.remove(callCtx, name, etag))
	})
	if call.Ambiguous() && (errors.Is(err, dps.ErrNotFound) || errors.Is(err, dps.ErrPrecondition)) {
		if _, getErr := c.GetCertificate(ctx, name); errors.Is(getErr, dps.ErrNotFound) {
			return nil
		}
	}
	return err
}

// withCurrent runs do with the given etag, or with the current one; then a
// change in between is met by reading once more.
func withCurrent[T any](ctx context.Context, c *CertificateClient, name, etag string, do func(etag string) (T, error)) (T, error) {
	if etag != "" {
		return do(etag)
	}
	for attempt := 0; ; attempt++ {
		current, err := c.GetCertificate(ctx, name)
		if err != nil {
			return *new(T), err
		}
		value, err := do(current.ETag)
		if attempt > 0 || !errors.Is(err, dps.ErrPrecondition) {
			return value, err
		}
	}
}

// GenerateCode asks for a new verification code for the certificate that has
// this ETag; an empty one means whatever is stored now. The returned
// certificate carries the ETag that VerifyCertificate needs.
func (c *CertificateClient) GenerateCode(ctx context.Context, name, etag string) (code string, cert Certificate, err error) {
	call := newCall("get verification code of CA certificate %q", name)
	if err := checkName(call.Op, name); err != nil {
		return "", Certificate{}, err
	}
	cert, err = withCurrent(ctx, c, name, etag, func(etag string) (cert Certificate, err error) {
		callCtx, cancel := c.config.Start(ctx, call)
		defer cancel()
		code, cert, err = c.certificates.code(callCtx, name, etag)
		return cert, finish(call.Op, err)
	})
	if err != nil {
		return "", Certificate{}, err
	}
	if code == "" || cert.ETag == "" {
		return "", Certificate{}, finish(call.Op, errors.New("no code or no etag in it"))
	}
	return code, cert, nil
}

// VerifyCertificate completes the proof: verification has the code as its
// common name and is signed by the CA's key. The ETag is the one that came with
// the code; an empty one means whatever is stored now. A refused proof matches
// [ErrProof].
func (c *CertificateClient) VerifyCertificate(ctx context.Context, name string, verification *x509.Certificate, etag string) (Certificate, error) {
	call := newCall("verify CA certificate %q", name)
	if err := checkName(call.Op, name); err != nil {
		return Certificate{}, err
	}
	if verification == nil {
		return Certificate{}, fmt.Errorf("%s: no verification certificate", call.Op)
	}
	cert, err := withCurrent(ctx, c, name, etag, func(etag string) (Certificate, error) {
		callCtx, cancel := c.config.Start(ctx, call)
		defer cancel()
		cert, err := c.certificates.verify(callCtx, name, etag, verification)
		return result(call, cert, err)
	})
	if call.Ambiguous() && errors.Is(err, dps.ErrPrecondition) {
		if stored, getErr := c.GetCertificate(ctx, name); getErr == nil && stored.Verified {
			return stored, nil // the lost acknowledgement was that of a success
		}
	}
	if errors.Is(err, dps.ErrBadRequest) {
		return cert, proofError{err}
	}
	return cert, err
}
