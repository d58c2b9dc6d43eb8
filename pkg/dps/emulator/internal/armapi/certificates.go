package armapi

import (
	"crypto/rand"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"net/http"
	"regexp"
	"strings"

	"github.com/dpskit/dpskit/pkg/dps/emulator/internal/attest"
	"github.com/dpskit/dpskit/pkg/dps/emulator/internal/certtext"
	"github.com/dpskit/dpskit/pkg/dps/emulator/internal/refuse"
	"github.com/dpskit/dpskit/pkg/dps/emulator/internal/state"
	"github.com/dpskit/dpskit/pkg/dps/emulator/internal/store"
	"github.com/dpskit/dpskit/pkg/dps/emulator/internal/web"
	"github.com/dpskit/dpskit/pkg/dps/emulator/internal/wire"
)

// maxBody bounds upload and verify bodies: a certificate in base64 of PEM, with
// room for a chain.
const maxBody = 256 << 10

// Rules of this package.
const (
	ruleETag        refuse.Rule = "etag"
	ruleNotFound    refuse.Rule = "certificate-not-found"
	ruleName        refuse.Rule = "certificate-name"
	ruleCertificate refuse.Rule = "certificate-content"
	ruleQuota       refuse.Rule = "certificate-quota"
)

var nameForm = regexp.MustCompile(`^[A-Za-z0-9._-]{1,64}$`)

func (a *api) listCertificates(req *web.Request) (*web.Response, error) {
	list := wire.List[wire.CertificateResource]{Value: []wire.CertificateResource{}}
	o := a.owner(req)
	err := a.Store.View(req.Context(), func(r store.Reader) error {
		cas, err := o.cas.All(r)
		if err != nil {
			return err
		}
		for _, ca := range cas {
			res, err := o.certificate(req, ca)
			if err != nil {
				return err
			}
			list.Value = append(list.Value, res)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return web.OK(list)
}

func (a *api) getCertificate(req *web.Request) (*web.Response, error) {
	var ca state.CA
	err := a.Store.View(req.Context(), func(r store.Reader) (err error) {
		ca, err = a.existing(r, req)
		return err
	})
	if err != nil {
		return nil, err
	}
	return a.owner(req).answer(req, ca, "")
}

func (a *api) putCertificate(req *web.Request) (*web.Response, error) {
	o := a.owner(req)
	upload, err := o.readUpload(req)
	if err != nil {
		return nil, err
	}
	var ca state.CA
	err = a.Store.Update(req.Context(), func(tx store.Tx) error {
		old, found, err := o.cas.Get(tx, req.Param("certificate"))
		if err != nil {
			return err
		}
		if found {
			if err := checkETag(req, old); err != nil {
				return err
			}
		} else if err := o.checkQuota(tx); err != nil {
			return err
		}
		ca = upload
		ca.Updated = a.Now()
		ca.Created, ca.ETag = ca.Updated, state.NewETag(ca.Updated)
		if found { // a new upload starts over: not verified, no open code
			ca.Name, ca.Created = old.Name, old.Created
		}
		return o.cas.Put(tx, ca)
	})
	if err != nil {
		return nil, err
	}
	return o.answer(req, ca, "")
}

// readUpload reads either shape of body, as the api-version says.
func (o owner) readUpload(req *web.Request) (state.CA, error) {
	name := req.Param("certificate")
	if !nameForm.MatchString(name) {
		return state.CA{}, provider(http.StatusBadRequest, 400000, ruleName,
			"Certificate name can contain only alphanumeric characters, '-', '.' and '_', and must be 1 to 64 characters long.")
	}
	var body wire.CertificateUpload
	if err := req.JSON(maxBody, &body); err != nil {
		return state.CA{}, err
	}
	text, verified := body.Certificate, body.IsVerified
	if req.APIVersion >= o.nestedSince {
		text, verified = "", nil
		if body.Properties != nil {
			text, verified = body.Properties.Certificate, body.Properties.IsVerified
		}
	}
	if text == "" {
		r := provider(http.StatusBadRequest, 400099, ruleCertificate,
			fmt.Sprintf("NewCertificate is null or empty, certificateName:%s.", name))
		r.Expected = "the certificate under properties from api-version " + o.nestedSince + " on, at the top of the body before that"
		return state.CA{}, r
	}
	cert, err := parse(text)
	if err != nil {
		return state.CA{}, err
	}
	ca := state.CA{Name: name, DER: cert.Raw, Content: text}
	if certtext.IsPEM([]byte(text)) {
		ca.Content = ""
	}
	ca.Verified = verified != nil && *verified && req.APIVersion >= o.verifiedSince
	return ca, nil
}

func parse(text string) (*x509.Certificate, error) {
	cert, err := certtext.Parse(text)
	if err != nil {
		r := provider(http.StatusBadRequest, 400000, ruleCertificate, "The certificate could not be read.")
		r.Expected, r.Fix = "one X.509 certificate: base64 of PEM, base64 of DER, or PEM", "send the .cert.pem file"
		return nil, r
	}
	return cert, nil
}

func (a *api) deleteCertificate(req *web.Request) (*web.Response, error) {
	status, o := http.StatusOK, a.owner(req)
	err := a.Store.Update(req.Context(), func(tx store.Tx) error {
		ca, found, err := o.cas.Get(tx, req.Param("certificate"))
		if err != nil {
			return err
		}
		if !found {
			status = http.StatusNoContent
			return nil
		}
		if err := checkETag(req, ca); err != nil {
			return err
		}
		o.cas.Delete(tx, ca.Name)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &web.Response{Status: status}, nil
}

func (a *api) generateCode(req *web.Request) (*web.Response, error) {
	var random [24]byte
	_, _ = rand.Read(random[:]) // never fails
	code := strings.ToUpper(hex.EncodeToString(random[:]))
	ca, err := a.change(req, func(ca *state.CA) error {
		ca.Code = code
		return nil
	})
	if err != nil {
		return nil, err
	}
	return a.owner(req).answer(req, ca, code)
}

func (a *api) verify(req *web.Request) (*web.Response, error) {
	var body wire.VerificationRequest
	if err := req.JSON(maxBody, &body); err != nil {
		return nil, err
	}
	proof, err := parse(body.Certificate)
	if err != nil {
		return nil, err
	}
	ca, err := a.change(req, func(ca *state.CA) error {
		cert, err := ca.Certificate()
		if err != nil {
			return err
		}
		if r := attest.Proof(cert, proof, ca.Code, a.Now()); r != nil {
			return r
		}
		ca.Verified, ca.Code = true, ""
		return nil
	})
	if err != nil {
		return nil, err
	}
	return a.owner(req).answer(req, ca, "")
}

// change updates one certificate under its etag and gives it a new one.
func (a *api) change(req *web.Request, fn func(*state.CA) error) (ca state.CA, err error) {
	err = a.Store.Update(req.Context(), func(tx store.Tx) (err error) {
		if ca, err = a.existing(tx, req); err != nil {
			return err
		}
		if err := checkETag(req, ca); err != nil {
			return err
		}
		if err := fn(&ca); err != nil {
			return err
		}
		ca.Updated = a.Now()
		ca.ETag = state.NewETag(ca.Updated)
		return a.owner(req).cas.Put(tx, ca)
	})
	return ca, err
}

func (a *api) existing(r store.Reader, req *web.Request) (state.CA, error) {
	name := req.Param("certificate")
	ca, found, err := a.owner(req).cas.Get(r, name)
	if err == nil && !found {
		err = provider(http.StatusNotFound, 404000, ruleNotFound, fmt.Sprintf("Certificate not found: %s.", name))
	}
	return ca, err
}

// checkETag wants the etag of the latest answer in If-Match, or `*`.
func checkETag(req *web.Request, ca state.CA) error {
	match := req.Header.Get("If-Match")
	if match == "*" || match == ca.ETag {
		return nil
	}
	r := provider(http.StatusPreconditionFailed, 412001, ruleETag, "Invalid ETag supplied.")
	r.Expected = "If-Match with the etag of the latest answer about this certificate"
	r.Fix = "upload, generateVerificationCode and verify each return a new etag: pass that one on"
	return r
}

func (o owner) checkQuota(tx store.Tx) error {
	cas, err := o.cas.All(tx)
	if err != nil || len(cas) < state.MaxCAs {
		return err
	}
	return provider(http.StatusBadRequest, 400000, ruleQuota,
		fmt.Sprintf("The maximum number of certificates, %d, has been reached.", state.MaxCAs))
}
