package armapi

import (
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"slices"

	"github.com/dpskit/dpskit/pkg/dps/emulator/internal/state"
	"github.com/dpskit/dpskit/pkg/dps/emulator/internal/web"
	"github.com/dpskit/dpskit/pkg/dps/emulator/internal/wire"
)

// answer describes ca, with the verification code if one was just made.
func (o owner) answer(req *web.Request, ca state.CA, code string) (*web.Response, error) {
	res, err := o.certificate(req, ca)
	if err != nil {
		return nil, err
	}
	if code != "" {
		res.Properties.VerificationCode = code
		if req.APIVersion >= certificateWithCode {
			res.Properties.Certificate = content(ca)
		}
	}
	return web.OK(res)
}

// certificateWithCode is the first version whose answer to a request for a code
// has the certificate in it.
const certificateWithCode = "2018-01-22"

// certificate describes ca as the api-version of req does: early versions do
// not know the certificate member, later ones send null, the latest the content.
func (o owner) certificate(req *web.Request, ca state.CA) (wire.CertificateResource, error) {
	cert, err := ca.Certificate()
	if err != nil {
		return wire.CertificateResource{}, err
	}
	res := wire.CertificateResource{
		Properties: wire.CertificateProperties{
			Subject:    subject(cert),
			Expiry:     wire.HTTPDate{Time: cert.NotAfter},
			Thumbprint: wire.SHA1(cert),
			IsVerified: ca.Verified,
			Created:    wire.HTTPDate{Time: ca.Created},
			Updated:    wire.HTTPDate{Time: ca.Updated},
		},
		ID: o.id + "/certificates/" + ca.Name, Name: ca.Name,
		Type: o.certificateType, ETag: ca.ETag,
	}
	switch o.member(req.APIVersion) {
	case memberFilled:
		res.Properties.Certificate = content(ca)
	case memberNull:
		res.Properties.Certificate = json.RawMessage("null")
	}
	return res, nil
}

// content is the certificate as it was uploaded, or base64 of DER if it was
// uploaded as PEM text.
func content(ca state.CA) json.RawMessage {
	text := ca.Content
	if text == "" {
		text = base64.StdEncoding.EncodeToString(ca.DER)
	}
	quoted, _ := json.Marshal(text) // a string always encodes
	return quoted
}

// subject is the bare common name, or the whole name if there is none.
func subject(cert *x509.Certificate) string {
	names := slices.DeleteFunc(wire.CommonNames(cert), func(s string) bool { return s == "" })
	if len(names) > 0 {
		return names[len(names)-1]
	}
	return wire.DistinguishedName(cert.RawSubject)
}
