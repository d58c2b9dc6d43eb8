package arm_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/dpskit/dpskit/pkg/dps"
	"github.com/dpskit/dpskit/pkg/dps/arm"
	"github.com/dpskit/dpskit/pkg/pki"
)

func TestCertificateLifeCycle(t *testing.T) {
	_, c := start(t)
	root := newRoot(t)
	if list := must[[]arm.Certificate](t)(c.ListCertificates(t.Context())); list == nil || len(list) != 0 {
		t.Errorf("got %v, want an empty list", list)
	}
	up := must[arm.Certificate](t)(c.UploadCertificate(t.Context(), "root", root.Certificate(), nil))
	if up.Name != "root" || up.Verified || up.ETag == "" || up.Thumbprint != pki.SHA1Thumbprint(root.Certificate()) ||
		!strings.Contains(up.Subject, root.Certificate().Subject.CommonName) || !up.Expiry.Equal(root.Certificate().NotAfter) {
		t.Errorf("got %+v", up)
	}
	code, coded, err := c.GenerateCode(t.Context(), "root", up.ETag)
	if err != nil || code == "" || coded.ETag == up.ETag || coded.Thumbprint != up.Thumbprint {
		t.Fatalf("code %q, %+v, %v", code, coded, err)
	}
	verified := must[arm.Certificate](t)(c.VerifyCertificate(t.Context(), "root", proof(t, root, code), coded.ETag))
	if !verified.Verified || verified.ETag == coded.ETag {
		t.Errorf("got %+v", verified)
	}
	got := must[arm.Certificate](t)(c.GetCertificate(t.Context(), "root"))
	if !got.Verified || got.ETag != verified.ETag {
		t.Errorf("got %+v", got)
	}
	if got.Certificate != nil && !got.Certificate.Equal(root.Certificate()) {
		t.Error("another certificate came back")
	}
	list := must[[]arm.Certificate](t)(c.ListCertificates(t.Context()))
	if len(list) != 1 || list[0].Name != "root" || !list[0].Verified {
		t.Errorf("got %+v", list)
	}
	if err := c.DeleteCertificate(t.Context(), "root", verified.ETag); err != nil {
		t.Fatal(err)
	}
	_, err = c.GetCertificate(t.Context(), "root")
	wantError(t, err, dps.ErrNotFound, 0)
}

func TestCertificateRefusals(t *testing.T) {
	e, c := start(t)
	root, other := newRoot(t), newRoot(t)
	first := must[arm.Certificate](t)(c.UploadCertificate(t.Context(), "root", root.Certificate(), nil))
	code, coded, err := c.GenerateCode(t.Context(), "root", first.ETag)
	if err != nil {
		t.Fatal(err)
	}
	t.Run("name is taken", func(t *testing.T) {
		_, err := c.UploadCertificate(t.Context(), "root", other.Certificate(), nil)
		wantError(t, err, dps.ErrPrecondition, 412001)
	})
	t.Run("stale etag", func(t *testing.T) {
		_, err := c.UploadCertificate(t.Context(), "root", other.Certificate(), &arm.UploadOptions{IfMatch: first.ETag})
		wantError(t, err, dps.ErrPrecondition, 412001)
		_, _, err = c.GenerateCode(t.Context(), "root", first.ETag)
		wantError(t, err, dps.ErrPrecondition, 412001)
		_, err = c.VerifyCertificate(t.Context(), "root", proof(t, root, code), first.ETag)
		wantError(t, err, dps.ErrPrecondition, 412001)
		wantError(t, c.DeleteCertificate(t.Context(), "root", first.ETag), dps.ErrPrecondition, 412001)
	})
	t.Run("wrong code", func(t *testing.T) {
		_, err := c.VerifyCertificate(t.Context(), "root", proof(t, root, "0000"), coded.ETag)
		wantError(t, err, arm.ErrProof, 0)
		wantError(t, err, dps.ErrBadRequest, 0)
	})
	t.Run("wrong CA", func(t *testing.T) {
		current := must[arm.Certificate](t)(c.GetCertificate(t.Context(), "root"))
		_, err := c.VerifyCertificate(t.Context(), "root", proof(t, other, code), current.ETag)
		wantError(t, err, arm.ErrProof, 400053)
		if got := must[arm.Certificate](t)(c.GetCertificate(t.Context(), "root")); got.Verified {
			t.Error("verified nevertheless")
		}
	})
	t.Run("absent", func(t *testing.T) {
		_, err := c.GetCertificate(t.Context(), "none")
		wantError(t, err, dps.ErrNotFound, 0)
		_, _, err = c.GenerateCode(t.Context(), "none", "")
		wantError(t, err, dps.ErrNotFound, 0)
		_, err = c.VerifyCertificate(t.Context(), "none", proof(t, root, "x"), "")
		wantError(t, err, dps.ErrNotFound, 0)
		wantError(t, c.DeleteCertificate(t.Context(), "none", ""), dps.ErrNotFound, 0)
	})
	t.Run("names that no service accepts", func(t *testing.T) {
		for _, name := range []string{"", "..", "a/b", "a b", strings.Repeat("x", 65)} {
			_, err := c.GetCertificate(t.Context(), name)
			wantError(t, err, arm.ErrInvalidName, 0)
			_, err = c.UploadCertificate(t.Context(), name, root.Certificate(), nil)
			wantError(t, err, arm.ErrInvalidName, 0)
			_, _, err = c.GenerateCode(t.Context(), name, "e")
			wantError(t, err, arm.ErrInvalidName, 0)
			_, err = c.VerifyCertificate(t.Context(), name, root.Certificate(), "e")
			wantError(t, err, arm.ErrInvalidName, 0)
			wantError(t, c.DeleteCertificate(t.Context(), name, "e"), arm.ErrInvalidName, 0)
		}
	})
	t.Run("wrong token", func(t *testing.T) {
		_, err := connectAs(t, e, scopeOf(e), staticToken("secret-but-wrong")).ListCertificates(t.Context())
		if wantError(t, err, dps.ErrUnauthorized, 0); strings.Contains(err.Error(), "secret-but-wrong") {
			t.Errorf("the token is in %v", err)
		}
		_, err = connectAs(t, e, scopeOf(e), staticToken("")).ListCertificates(t.Context())
		wantError(t, err, dps.ErrUnauthorized, 0)
	})
	t.Run("another service", func(t *testing.T) {
		scope := scopeOf(e)
		scope.ServiceName = "no-such-service"
		_, err := connectAs(t, e, scope, staticToken(e.Info().Token)).ListCertificates(t.Context())
		wantError(t, err, dps.ErrNotFound, 0)
		var refusal *dps.Error
		if errors.As(err, &refusal) && refusal.ErrorCode != "ResourceNotFound" {
			t.Errorf("got %+v", refusal)
		}
	})
}

func TestUploadOfWhatIsNoCA(t *testing.T) {
	s, c := scriptedClient(t, nil, answer{status: 500})
	root := newRoot(t)
	leaf := must[*pki.Bundle](t)(root.Issue(pki.IssueRequest{CommonName: "dev-1"}))
	own := must[*pki.Bundle](t)(pki.SelfSigned(pki.IssueRequest{CommonName: "dev-1"}))
	_, err := c.UploadCertificate(t.Context(), "x", leaf.Certificate, nil)
	wantError(t, err, arm.ErrNotCA, 0)
	_, err = c.UploadCertificate(t.Context(), "x", own.Certificate, nil)
	wantError(t, err, arm.ErrNotCA, 0)
	_, err = c.UploadCertificate(t.Context(), "x", nil, nil)
	wantError(t, err, arm.ErrNotCA, 0)
	bare := *leaf.Certificate // as a leaf without extensions
	bare.BasicConstraintsValid = false
	_, err = c.UploadCertificate(t.Context(), "x", &bare, nil)
	wantError(t, err, arm.ErrNotCA, 0)
	_, err = c.VerifyCertificate(t.Context(), "x", nil, "e")
	if err == nil || len(s.requests) != 0 {
		t.Errorf("%d requests, %v", len(s.requests), err)
	}
}

func TestUploadVerified(t *testing.T) {
	_, c := start(t)
	root, next := newRoot(t), newRoot(t)
	up := must[arm.Certificate](t)(c.UploadCertificate(t.Context(), "root", root.Certificate(), &arm.UploadOptions{Verified: true}))
	if !up.Verified {
		t.Errorf("got %+v", up)
	}
	replaced := must[arm.Certificate](t)(c.UploadCertificate(t.Context(), "root", next.Certificate(), &arm.UploadOptions{IfMatch: up.ETag}))
	if replaced.Thumbprint != pki.SHA1Thumbprint(next.Certificate()) {
		t.Errorf("got %+v", replaced)
	}
}

func TestEmptyETagMeansCurrent(t *testing.T) {
	_, c := start(t)
	root := newRoot(t)
	must[arm.Certificate](t)(c.UploadCertificate(t.Context(), "root", root.Certificate(), nil))
	code, _, err := c.GenerateCode(t.Context(), "root", "")
	if err != nil {
		t.Fatal(err)
	}
	if got := must[arm.Certificate](t)(c.VerifyCertificate(t.Context(), "root", proof(t, root, code), "")); !got.Verified {
		t.Errorf("got %+v", got)
	}
	if err := c.DeleteCertificate(t.Context(), "root", ""); err != nil {
		t.Error(err)
	}
}

func TestEmptyETagReadsAgainOnce(t *testing.T) {
	stale := answer{412, `{"code":412001,"httpStatusCode":"PreconditionFailed","message":"Invalid ETag supplied."}`}
	s, c := scriptedClient(t, nil, answer{200, `{"etag":"e1","properties":{}}`}, stale,
		answer{200, `{"etag":"e2","properties":{}}`}, answer{200, ""})
	if err := c.DeleteCertificate(t.Context(), "root", ""); err != nil {
		t.Fatal(err)
	}
	if got := s.requests[3].Header.Get("If-Match"); got != "e2" || len(s.requests) != 4 {
		t.Errorf("If-Match %q after %d requests", got, len(s.requests))
	}
	s, c = scriptedClient(t, nil, answer{200, `{"etag":"e1","properties":{}}`}, stale, answer{200, `{"etag":"e2","properties":{}}`}, stale)
	wantError(t, c.DeleteCertificate(t.Context(), "root", ""), dps.ErrPrecondition, 412001)
	if len(s.requests) != 4 {
		t.Errorf("%d requests", len(s.requests))
	}
}

func TestLostAcknowledgements(t *testing.T) {
	e, plain := start(t)
	root, other := newRoot(t), newRoot(t)
	lossy := func(lost *int, method, suffix string) *arm.Client {
		return connect(t, e, loseAnswer(lost, isMethod(method, suffix)))
	}
	t.Run("upload", func(t *testing.T) {
		lost := 0
		up := must[arm.Certificate](t)(lossy(&lost, http.MethodPut, "").UploadCertificate(t.Context(), "root", root.Certificate(), nil))
		if got := must[arm.Certificate](t)(plain.GetCertificate(t.Context(), "root")); lost != 1 || got.ETag != up.ETag {
			t.Errorf("%d lost, %+v", lost, got)
		}
	})
	t.Run("upload over another", func(t *testing.T) {
		lost := 0
		_, err := lossy(&lost, http.MethodPut, "").UploadCertificate(t.Context(), "root", other.Certificate(), nil)
		if wantError(t, err, dps.ErrPrecondition, 412001); lost != 1 {
			t.Errorf("%d lost", lost)
		}
	})
	t.Run("verified upload over an unverified one", func(t *testing.T) {
		lost := 0
		_, err := lossy(&lost, http.MethodPut, "").UploadCertificate(t.Context(), "root", root.Certificate(), &arm.UploadOptions{Verified: true})
		if wantError(t, err, dps.ErrPrecondition, 412001); lost != 1 {
			t.Errorf("%d lost", lost)
		}
	})
	t.Run("code", func(t *testing.T) {
		lost := 0
		code, _, err := lossy(&lost, http.MethodPost, "/generateVerificationCode").GenerateCode(t.Context(), "root", "")
		if err != nil || code == "" || lost != 1 {
			t.Errorf("%d lost, %v", lost, err)
		}
	})
	t.Run("verify", func(t *testing.T) {
		code, coded, err := plain.GenerateCode(t.Context(), "root", "")
		if err != nil {
			t.Fatal(err)
		}
		lost := 0
		got := must[arm.Certificate](t)(lossy(&lost, http.MethodPost, "/verify").VerifyCertificate(t.Context(), "root", proof(t, root, code), coded.ETag))
		if lost != 1 || !got.Verified {
			t.Errorf("%d lost, %+v", lost, got)
		}
	})
	t.Run("delete", func(t *testing.T) {
		lost := 0
		if err := lossy(&lost, http.MethodDelete, "").DeleteCertificate(t.Context(), "root", ""); err != nil || lost != 1 {
			t.Errorf("%d lost, %v", lost, err)
		}
	})
}

// TestAmbiguousVerify: after a lost answer a stale etag is looked into. Only a
// certificate that is verified makes it a success.
func TestAmbiguousVerify(t *testing.T) {
	root := newRoot(t)
	stale := answer{412, `{"code":412001,"message":"Invalid ETag supplied."}`}
	for stored, want := range map[string]error{
		`{"etag":"e3","properties":{"isVerified":true}}`:  nil,
		`{"etag":"e3","properties":{"isVerified":false}}`: dps.ErrPrecondition,
		``: dps.ErrPrecondition,
	} {
		s, c := scriptedClient(t, nil, answer{502, ""}, stale, answer{200, stored})
		_, err := c.VerifyCertificate(t.Context(), "root", proof(t, root, "code"), "e2")
		if !errors.Is(err, want) || len(s.requests) != 3 {
			t.Errorf("%s: %d requests, %v", stored, len(s.requests), err)
		}
	}
	// Without a lost answer a stale etag is just that.
	s, c := scriptedClient(t, nil, stale, answer{200, `{"etag":"e3","properties":{"isVerified":true}}`})
	_, err := c.VerifyCertificate(t.Context(), "root", proof(t, root, "code"), "e2")
	if wantError(t, err, dps.ErrPrecondition, 412001); len(s.requests) != 1 {
		t.Errorf("%d requests", len(s.requests))
	}
}

func TestAmbiguousDelete(t *testing.T) {
	gone, there := answer{404, `{"code":404000}`}, answer{200, `{"etag":"e3","properties":{}}`}
	stale := answer{412, `{"code":412001}`}
	for name, tt := range map[string]struct {
		answers []answer
		want    error
	}{
		"it is gone":              {[]answer{{503, ""}, gone, gone}, nil},
		"its etag is gone":        {[]answer{{503, ""}, stale, gone}, nil},
		"it is there again":       {[]answer{{503, ""}, stale, there}, dps.ErrPrecondition},
		"it was never there":      {[]answer{gone, gone}, dps.ErrNotFound},
		"nobody knows":            {[]answer{{503, ""}, gone, {401, ""}}, dps.ErrNotFound},
		"throttled, then missing": {[]answer{{429, ""}, gone, gone}, dps.ErrNotFound},
	} {
		_, c := scriptedClient(t, nil, tt.answers...)
		if err := c.DeleteCertificate(t.Context(), "root", "e1"); !errors.Is(err, tt.want) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}
