package attest

import (
	"bytes"
	"crypto/subtle"
	"crypto/x509"
	"fmt"
	"net/http"
	"time"

	"github.com/dpskit/dpskit/pkg/dps/emulator/internal/refuse"
	"github.com/dpskit/dpskit/pkg/dps/emulator/internal/wire"
)

// Proof judges a verification certificate: it must name ca as its issuer, be
// signed by ca's key, carry code as its only common name, and both must be
// valid at now. Extensions do not matter, neither on proof nor on ca.
func Proof(ca, proof *x509.Certificate, code string, now time.Time) *refuse.Refusal {
	if code == "" {
		return possession(RuleProofNoCode, "No verification code is pending.",
			"a code asked for after the last upload, and not used yet",
			"ask for a verification code first").About(proof, 0)
	}
	if !bytes.Equal(proof.RawIssuer, ca.RawSubject) {
		return possession(RuleProofIssuer,
			fmt.Sprintf("Issuer certificate '%s' cannot be found in the certificate chain.", wire.DistinguishedName(proof.RawIssuer)),
			fmt.Sprintf("issuer %q, the uploaded certificate", wire.DistinguishedName(ca.RawSubject)),
			"sign the verification certificate with the key of the certificate that was uploaded").About(proof, 0)
	}
	for i, c := range []*x509.Certificate{proof, ca} {
		if problem, expected := checkKey(c); problem != "" {
			return possession(RuleKey, "Certificate key is not supported.", expected, "use another key: "+problem).About(c, i)
		}
	}
	if err := checkSignature(proof, ca); err != nil {
		return possession(RuleProofSignature,
			fmt.Sprintf("Issuer certificate '%s' cannot be found in the certificate chain.", wire.DistinguishedName(proof.RawIssuer)),
			fmt.Sprintf("a signature by the key of the uploaded certificate (%v)", err),
			"sign with the key of the uploaded certificate; another CA with the same name does not do").About(proof, 0)
	}
	return proofContent(ca, proof, code, now)
}

// proofContent checks what the signature vouches for.
func proofContent(ca, proof *x509.Certificate, code string, now time.Time) *refuse.Refusal {
	names := wire.CommonNames(proof)
	if len(names) != 1 || subtle.ConstantTimeCompare([]byte(names[0]), []byte(code)) != 1 {
		return possession(RuleProofCode, "The certificate subject does not match the verification code.",
			"exactly one common name, equal to the latest verification code in every letter",
			"ask for a code, sign a certificate with it as common name, send it before asking again").About(proof, 0)
	}
	for i, c := range []*x509.Certificate{proof, ca} {
		if rule, expected := checkDates(c, now); rule != "" {
			return possession(rule, "The certificate is not within its validity period.", expected,
				"issue the certificate again").About(c, i)
		}
	}
	return nil
}

func possession(rule refuse.Rule, message, expected, fix string) *refuse.Refusal {
	return &refuse.Refusal{
		Status: http.StatusBadRequest, Code: 400053, Message: "Proof-Of-Possession failed. " + message,
		Rule: rule, Expected: expected, Fix: fix,
	}
}
