package arm_test

import (
	"context"
	"crypto/x509"
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dpskit/dpskit/pkg/dps"
	"github.com/dpskit/dpskit/pkg/dps/arm"
	"github.com/dpskit/dpskit/pkg/pki"
)

func TestProve(t *testing.T) {
	_, c := start(t)
	root := newRoot(t)
	intermediate := must[*pki.Authority](t)(root.NewIntermediate(nil))
	steps := func(list *[]arm.ProveStep) *arm.ProveOptions {
		return &arm.ProveOptions{Progress: func(s arm.ProveStep) { *list = append(*list, s) }}
	}
	for name, ca := range map[string]*pki.Authority{"root": root, "intermediate": intermediate} {
		var seen []arm.ProveStep
		got := must[arm.ProveResult](t)(c.Prove(t.Context(), name, ca.Certificate(), signer(ca), steps(&seen)))
		if !got.Uploaded || got.AlreadyVerified || got.Code == "" || !got.Certificate.Verified || got.Certificate.Name != name {
			t.Errorf("%s: got %+v", name, got)
		}
		if !slices.Equal(seen, []arm.ProveStep{arm.ProveLookUp, arm.ProveUpload, arm.ProveCode, arm.ProveSign, arm.ProveVerify}) {
			t.Errorf("%s: steps %v", name, seen)
		}
		// Again: nothing is left to do, and nothing is signed.
		seen = nil
		never := func(context.Context, string) (*x509.Certificate, error) { return nil, errors.New("signed again") }
		again := must[arm.ProveResult](t)(c.Prove(t.Context(), name, ca.Certificate(), never, steps(&seen)))
		if again.Uploaded || !again.AlreadyVerified || again.Code != "" || again.Certificate.ETag != got.Certificate.ETag {
			t.Errorf("%s again: got %+v", name, again)
		}
		if !slices.Equal(seen, []arm.ProveStep{arm.ProveLookUp}) {
			t.Errorf("%s again: steps %v", name, seen)
		}
	}
}

func TestProveContinues(t *testing.T) {
	_, c := start(t)
	root := newRoot(t)
	// Interrupted while signing: the certificate is there, unverified.
	_, err := c.Prove(t.Context(), "root", root.Certificate(), func(context.Context, string) (*x509.Certificate, error) {
		return nil, context.Canceled
	}, nil)
	if !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), `prove CA certificate "root": sign`) {
		t.Errorf("got %v", err)
	}
	if got := must[arm.Certificate](t)(c.GetCertificate(t.Context(), "root")); got.Verified {
		t.Fatal("verified without a proof")
	}
	got := must[arm.ProveResult](t)(c.Prove(t.Context(), "root", root.Certificate(), signer(root), nil))
	if got.Uploaded || got.AlreadyVerified || !got.Certificate.Verified {
		t.Errorf("got %+v", got)
	}
}

func TestProveMeetsAnotherCertificate(t *testing.T) {
	_, c := start(t)
	root, other := newRoot(t), newRoot(t)
	must[arm.ProveResult](t)(c.Prove(t.Context(), "root", other.Certificate(), signer(other), nil))
	_, err := c.Prove(t.Context(), "root", root.Certificate(), signer(root), nil)
	wantError(t, err, dps.ErrConflict, 0)
	for _, want := range []string{pki.SHA1Thumbprint(root.Certificate()), pki.SHA1Thumbprint(other.Certificate())} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%s is not in %v", want, err)
		}
	}
	if got := must[arm.Certificate](t)(c.GetCertificate(t.Context(), "root")); got.Thumbprint != pki.SHA1Thumbprint(other.Certificate()) {
		t.Error("replaced without being asked")
	}
	got := must[arm.ProveResult](t)(c.Prove(t.Context(), "root", root.Certificate(), signer(root), &arm.ProveOptions{Replace: true}))
	if !got.Uploaded || !got.Certificate.Verified || got.Certificate.Thumbprint != pki.SHA1Thumbprint(root.Certificate()) {
		t.Errorf("got %+v", got)
	}
}

// TestProveChecksTheProof: what the service would refuse with few words is
// refused here with more, and nothing is sent.
func TestProveChecksTheProof(t *testing.T) {
	e, _ := start(t)
	root, other := newRoot(t), newRoot(t)
	intermediate := must[*pki.Authority](t)(root.NewIntermediate(nil))
	verifies := 0
	c := connect(t, e, func(next http.RoundTripper) http.RoundTripper {
		return roundTripper(func(req *http.Request) (*http.Response, error) {
			if strings.HasSuffix(req.URL.Path, "/verify") {
				verifies++
			}
			return next.RoundTrip(req)
		})
	})
	past := func(_ context.Context, code string) (*x509.Certificate, error) {
		b, err := root.Issue(pki.IssueRequest{Profile: pki.ProfileVerification, CommonName: code,
			Validity: pki.Validity{NotBefore: time.Now().Add(-4 * time.Minute), NotAfter: time.Now().Add(-2 * time.Minute)}})
		if err != nil {
			return nil, err
		}
		return b.Certificate, nil
	}
	for name, tt := range map[string]struct {
		sign func(context.Context, string) (*x509.Certificate, error)
		want string
	}{
		"another root of the same name": {signer(other), "not signed by the key of the CA"},
		"the intermediate":              {signer(intermediate), "is issued by"},
		"another code": {func(ctx context.Context, code string) (*x509.Certificate, error) { return signer(root)(ctx, "x"+code) },
			"not the code"},
		"nothing": {func(context.Context, string) (*x509.Certificate, error) { return nil, nil }, "no verification certificate"},
		"expired": {past, "has expired"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := c.Prove(t.Context(), "root", root.Certificate(), tt.sign, nil)
			wantError(t, err, arm.ErrProof, 0)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v", err)
			}
		})
	}
	if verifies != 0 {
		t.Errorf("%d proofs were sent", verifies)
	}
}

func TestProveRefusesBeforeTheNetwork(t *testing.T) {
	s, c := scriptedClient(t, nil, answer{status: 500})
	root := newRoot(t)
	leaf := must[*pki.Bundle](t)(root.Issue(pki.IssueRequest{CommonName: "dev-1"}))
	_, err := c.Prove(t.Context(), "root", leaf.Certificate, signer(root), nil)
	wantError(t, err, arm.ErrNotCA, 0)
	_, err = c.Prove(t.Context(), "a/b", root.Certificate(), signer(root), nil)
	wantError(t, err, arm.ErrInvalidName, 0)
	_, err = c.Prove(t.Context(), "root", root.Certificate(), nil, nil)
	if err == nil || len(s.requests) != 0 {
		t.Errorf("%d requests, %v", len(s.requests), err)
	}
}

// TestProveMeetsAnotherWriter lets someone else take a code between ours and
// our proof, which makes our etag stale and our code void.
func TestProveMeetsAnotherWriter(t *testing.T) {
	e, c := start(t)
	root := newRoot(t)
	rival := connect(t, e)
	signs := 0
	interrupted := func(times int) func(context.Context, string) (*x509.Certificate, error) {
		signs = 0
		return func(ctx context.Context, code string) (*x509.Certificate, error) {
			if signs++; signs <= times {
				if _, _, err := rival.GenerateCode(ctx, "root", ""); err != nil {
					return nil, err
				}
			}
			return signer(root)(ctx, code)
		}
	}
	got := must[arm.ProveResult](t)(c.Prove(t.Context(), "root", root.Certificate(), interrupted(1), nil))
	if !got.Certificate.Verified || signs != 2 || !got.Uploaded || got.AlreadyVerified {
		t.Errorf("signed %d times, %+v", signs, got)
	}
	if err := c.DeleteCertificate(t.Context(), "root", ""); err != nil {
		t.Fatal(err)
	}
	_, err := c.Prove(t.Context(), "root", root.Certificate(), interrupted(99), nil)
	if wantError(t, err, dps.ErrPrecondition, 412001); signs != 2 {
		t.Errorf("signed %d times", signs)
	}
}

func TestProveSurvivesLostAnswers(t *testing.T) {
	for _, tt := range []struct{ method, suffix string }{
		{http.MethodGet, "/root"}, {http.MethodPut, "/root"},
		{http.MethodPost, "/generateVerificationCode"}, {http.MethodPost, "/verify"},
	} {
		t.Run(tt.method+tt.suffix, func(t *testing.T) {
			e, plain := start(t)
			root := newRoot(t)
			lost := 0
			c := connect(t, e, loseAnswer(&lost, isMethod(tt.method, tt.suffix)))
			got, err := c.Prove(t.Context(), "root", root.Certificate(), signer(root), nil)
			if err != nil || lost != 1 || !got.Certificate.Verified {
				t.Fatalf("%d lost, %+v, %v", lost, got, err)
			}
			list := must[[]arm.Certificate](t)(plain.ListCertificates(t.Context()))
			if len(list) != 1 || !list[0].Verified {
				t.Errorf("stored %+v", list)
			}
		})
	}
}

func TestProveRefusedByTheService(t *testing.T) {
	const stored = `{"etag":"e1","name":"root","properties":{"thumbprint":"%s","isVerified":false}}`
	root := newRoot(t)
	cert := strings.Replace(stored, "%s", strings.ToLower(pki.SHA1Thumbprint(root.Certificate())), 1)
	code := answer{200, `{"etag":"e2","properties":{"verificationCode":"ABCD"}}`}
	_, c := scriptedClient(t, nil, answer{200, cert}, code,
		answer{400, `{"code":400053,"httpStatusCode":"BadRequest","message":"Proof-Of-Possession failed."}`})
	_, err := c.Prove(t.Context(), "root", root.Certificate(), signer(root), nil)
	wantError(t, err, arm.ErrProof, 400053)
	_, c = scriptedClient(t, nil, answer{200, cert}, code, answer{200, cert})
	_, err = c.Prove(t.Context(), "root", root.Certificate(), signer(root), nil)
	wantError(t, err, arm.ErrProof, 0)
}
