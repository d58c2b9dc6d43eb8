package arm

import (
	"context"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"regexp"
	"strings"

	armdps "github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/deviceprovisioningservices/armdeviceprovisioningservices"
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

// newCall starts an operation on a certificate.
func newCall(format string, args ...any) *rest.Call {
	return &rest.Call{Op: fmt.Sprintf(format, args...), FinalCodes: []int{noBlindRetry}}
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
func (c *Client) ListCertificates(ctx context.Context) ([]Certificate, error) {
	call := newCall("list CA certificates")
	ctx, cancel := c.config.Start(ctx, call)
	defer cancel()
	resp, err := c.certificates.List(ctx, c.scope.ResourceGroup, c.scope.ServiceName, nil)
	if err != nil {
		return nil, finish(call.Op, err)
	}
	list := make([]Certificate, 0, len(resp.Value))
	for _, item := range resp.Value {
		list = append(list, fromResponse(deref(item)))
	}
	return list, nil
}

// GetCertificate returns the CA certificate with this name.
func (c *Client) GetCertificate(ctx context.Context, name string) (Certificate, error) {
	call := newCall("get CA certificate %q", name)
	if err := checkName(call.Op, name); err != nil {
		return Certificate{}, err
	}
	ctx, cancel := c.config.Start(ctx, call)
	defer cancel()
	resp, err := c.certificates.Get(ctx, name, c.scope.ResourceGroup, c.scope.ServiceName, nil)
	return c.result(call, resp.CertificateResponse, err)
}

// result checks that an answer is a certificate at all.
func (c *Client) result(call *rest.Call, r armdps.CertificateResponse, err error) (Certificate, error) {
	if err == nil && deref(r.Etag) == "" {
		err = errors.New("no etag in it")
	}
	if err != nil {
		return Certificate{}, finish(call.Op, err)
	}
	return fromResponse(r), nil
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
func (c *Client) UploadCertificate(ctx context.Context, name string, ca *x509.Certificate, opts *UploadOptions) (Certificate, error) {
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
	properties := &armdps.CertificateProperties{Certificate: encodePEM(ca)}
	if opts.Verified {
		properties.IsVerified = &opts.Verified
	}
	var azOptions armdps.DpsCertificateClientCreateOrUpdateOptions
	if opts.IfMatch != "" {
		azOptions.IfMatch = &opts.IfMatch
	}
	callCtx, cancel := c.config.Start(ctx, call)
	defer cancel()
	resp, err := c.certificates.CreateOrUpdate(callCtx, c.scope.ResourceGroup, c.scope.ServiceName, name,
		armdps.CertificateResponse{Properties: properties}, &azOptions)
	if call.Ambiguous() && errors.Is(err, dps.ErrPrecondition) {
		// The first attempt may have stored it, and its acknowledgement got lost.
		stored, getErr := c.GetCertificate(ctx, name)
		if getErr == nil && stored.Thumbprint == thumbprint(ca) && (stored.Verified || !opts.Verified) {
			return stored, nil
		}
	}
	return c.result(call, resp.CertificateResponse, err)
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
func (c *Client) DeleteCertificate(ctx context.Context, name, etag string) error {
	call := newCall("delete CA certificate %q", name)
	if err := checkName(call.Op, name); err != nil {
		return err
	}
	_, err := withCurrent(ctx, c, name, etag, func(etag string) (struct{}, error) {
		callCtx, cancel := c.config.Start(ctx, call)
		defer cancel()
		_, err := c.certificates.Delete(callCtx, c.scope.ResourceGroup, etag, c.scope.ServiceName, name, nil)
		return struct{}{}, finish(call.Op, err)
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
func withCurrent[T any](ctx context.Context, c *Client, name, etag string, do func(etag string) (T, error)) (T, error) {
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
func (c *Client) GenerateCode(ctx context.Context, name, etag string) (code string, cert Certificate, err error) {
	call := newCall("get verification code of CA certificate %q", name)
	if err := checkName(call.Op, name); err != nil {
		return "", Certificate{}, err
	}
	resp, err := withCurrent(ctx, c, name, etag, func(etag string) (armdps.VerificationCodeResponse, error) {
		callCtx, cancel := c.config.Start(ctx, call)
		defer cancel()
		resp, err := c.certificates.GenerateVerificationCode(callCtx, name, etag, c.scope.ResourceGroup, c.scope.ServiceName, nil)
		return resp.VerificationCodeResponse, finish(call.Op, err)
	})
	if err != nil {
		return "", Certificate{}, err
	}
	code = deref(deref(resp.Properties).VerificationCode)
	if code == "" || deref(resp.Etag) == "" {
		return "", Certificate{}, finish(call.Op, errors.New("no code or no etag in it"))
	}
	return code, fromCode(resp), nil
}

// VerifyCertificate completes the proof: verification has the code as its
// common name and is signed by the CA's key. The ETag is the one that came with
// the code; an empty one means whatever is stored now. A refused proof matches
// [ErrProof].
func (c *Client) VerifyCertificate(ctx context.Context, name string, verification *x509.Certificate, etag string) (Certificate, error) {
	call := newCall("verify CA certificate %q", name)
	if err := checkName(call.Op, name); err != nil {
		return Certificate{}, err
	}
	if verification == nil {
		return Certificate{}, fmt.Errorf("%s: no verification certificate", call.Op)
	}
	// The official client encodes the upload by itself, but not this one.
	text := base64.StdEncoding.EncodeToString(encodePEM(verification))
	cert, err := withCurrent(ctx, c, name, etag, func(etag string) (Certificate, error) {
		callCtx, cancel := c.config.Start(ctx, call)
		defer cancel()
		resp, err := c.certificates.VerifyCertificate(callCtx, name, etag, c.scope.ResourceGroup, c.scope.ServiceName,
			armdps.VerificationCodeRequest{Certificate: &text}, nil)
		return c.result(call, resp.CertificateResponse, err)
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
