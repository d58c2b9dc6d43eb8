package doctor

import (
	"crypto/x509"
	"fmt"
	"slices"
	"time"

	"github.com/dpskit/dpskit/pkg/pki"
)

// Severity says how much a finding matters.
type Severity string

// The severities, the worst first.
const (
	// SeverityFatal means that the service, or the TLS handshake before it, refuses the certificate.
	SeverityFatal Severity = "fatal"
	// SeverityWarning means that it works under conditions, not for long, or not with every program.
	SeverityWarning Severity = "warning"
	// SeverityInfo is worth knowing, such as what was assumed or could not be checked.
	SeverityInfo Severity = "info"
	// SeverityOK means that the check found nothing.
	SeverityOK Severity = "ok"
)

// AllSeverities returns every severity, the worst first.
func AllSeverities() []Severity {
	return []Severity{SeverityFatal, SeverityWarning, SeverityInfo, SeverityOK}
}

// CheckID names a check. The names are stable.
type CheckID string

// The checks, in the order in which the service would meet them.
const (
	CheckInput          CheckID = "input"              // every file can be read and holds certificates
	CheckRole           CheckID = "role"               // the certificate fits the place it is meant for
	CheckKeyMatch       CheckID = "key-match"          // the private key belongs to the certificate
	CheckChainOrder     CheckID = "chain-order"        // the certificate first, then each issuer of the one before
	CheckChainComplete  CheckID = "chain-complete"     // no intermediate is missing
	CheckChainSignature CheckID = "chain-signature"    // every certificate is signed by its issuer
	CheckChainKeyID     CheckID = "chain-key-id"       // authority key identifiers are those of the issuers
	CheckEnrolled       CheckID = "enrolled"           // the enrollment holds a certificate of this chain
	CheckCAList         CheckID = "ca-list"            // the chain leads to a CA that the service has verified
	CheckKeyType        CheckID = "key-type"           // the service takes keys of that type and size
	CheckValidity       CheckID = "validity"           // every certificate has begun and not ended
	CheckValidityMargin CheckID = "validity-margin"    // there is time left, and leeway for clocks
	CheckValidity2038   CheckID = "validity-2038"      // the end fits 32-bit clocks
	CheckValidityIssuer CheckID = "validity-issuer"    // no certificate outlives its issuer
	CheckSignatureHash  CheckID = "signature-hash"     // no signature with SHA-1 or MD5
	CheckVersion        CheckID = "version"            // X.509 version 3
	CheckSerial         CheckID = "serial"             // positive, at most 20 bytes, unique per issuer
	CheckExtensions     CheckID = "extensions"         // no critical extension that nobody knows; allowed names
	CheckCAFlag         CheckID = "ca-flag"            // CA:FALSE on the certificate of a device, CA:TRUE on its issuers
	CheckPathLength     CheckID = "path-length"        // the path lengths leave room for the CAs below
	CheckKeyUsage       CheckID = "key-usage"          // digitalSignature on the device, keyCertSign on its issuers
	CheckExtKeyUsage    CheckID = "extended-key-usage" // clientAuth on the device, or no such extension
	CheckRegistrationID CheckID = "registration-id"    // the common name can be, and is, the registration ID
	CheckCode           CheckID = "verification-code"  // the common name of a proof of possession is the code
	CheckChainFile      CheckID = "chain-file"         // one file holds what the device must present
	CheckDuplicate      CheckID = "chain-duplicate"    // no file holds a certificate twice
	CheckSurplus        CheckID = "chain-surplus"      // no certificate that does not belong to the chain
)

// Finding is the result of one check on one certificate. Its texts are one line each, without a final period.
type Finding struct {
	Severity Severity `json:"severity"`
	Check    CheckID  `json:"check"`
	// What says what was found, Why why it matters, Fix what to do. Why and Fix are empty when nothing is wrong.
	What string `json:"what"`
	Why  string `json:"why,omitempty"`
	Fix  string `json:"fix,omitempty"`
	// Certificate is the one that the finding is about, if it is about one.
	Certificate *CertificateRef `json:"certificate,omitempty"`
	// Predicted is what the service would answer to a device because of this, if that is known.
	Predicted *Answer `json:"predicted,omitempty"`
}

// CertificateRef points at a certificate in the input.
type CertificateRef struct {
	Subject        string `json:"subject"`        // RFC 2253 text
	SHA1Thumbprint string `json:"sha1Thumbprint"` // as the portal shows it
	Source         string `json:"source"`         // the name of its [Source]
	Position       int    `json:"position"`       // in that source, from 1
}

// Answer is what comes back instead of a registration.
type Answer struct {
	// Code is the six-digit code of the service; 0 when TLS fails before the service answers.
	Code int `json:"code"`
	// Message is the text of the service, or says what happens instead.
	Message string `json:"message"`
}

// String returns the code and the message in one line.
func (a Answer) String() string {
	if a.Code == 0 {
		return a.Message
	}
	return fmt.Sprintf("%d %s", a.Code, a.Message)
}

// Report is the result of [Check].
type Report struct {
	// Role is the role that was checked, and RoleGuessed says that the certificates suggested it.
	Role        Role `json:"role"`
	RoleGuessed bool `json:"roleGuessed"`
	// Time is the moment for which the report holds.
	Time time.Time `json:"time"`
	// Certificate is the one in question; nil when there was none.
	Certificate *CertificateRef `json:"certificate,omitempty"`
	// Findings are sorted by severity, and within one by the order in which the service would meet them.
	Findings []Finding `json:"findings"`
	// Predicted is what the service would answer; nil when nothing was found that it refuses.
	Predicted *Answer `json:"predicted,omitempty"`
	// Placements say which certificate belongs where.
	Placements []Placement `json:"placements"`
}

// Fatal reports whether there is a fatal finding.
func (r *Report) Fatal() bool { return r.Count(SeverityFatal) > 0 }

// Count returns the number of findings of a severity.
func (r *Report) Count(s Severity) int {
	n := 0
	for _, f := range r.Findings {
		if f.Severity == s {
			n++
		}
	}
	return n
}

// Find returns the first finding of a check, nil when it did not apply.
func (r *Report) Find(id CheckID) *Finding {
	i := slices.IndexFunc(r.Findings, func(f Finding) bool { return f.Check == id })
	if i < 0 {
		return nil
	}
	return &r.Findings[i]
}

// Answers of the service. Its documentation names none of them; they are those that devices got.
var (
	answerInvalid   = Answer{401002, "Invalid certificate."}
	answerUnknownCA = Answer{401002, "CA certificate not found."}
	answerNoGroup   = Answer{401002, "Signing certificate info did not match chain elements."}
	answerBadID     = Answer{400004, "Invalid RegistrationId"}
	answerNoTLS     = Answer{0, "none: the TLS handshake fails before the service sees the certificate"}
	answerNoProof   = Answer{400053, "Proof-Of-Possession failed."}
)

// name is how texts call a certificate: its common name, or the whole subject when it has none, in quotes.
func name(cert *x509.Certificate) string {
	if cert.Subject.CommonName != "" {
		return quote(cert.Subject.CommonName)
	}
	return quote(cert.Subject.String())
}

// count is a number of things.
func count(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}

// quote makes text from a certificate or a file safe and short.
func quote(s string) string {
	const limit = 80
	if r := []rune(s); len(r) > limit {
		s = string(r[:limit]) + "…"
	}
	return fmt.Sprintf("%q", s)
}

func (i *item) ref() *CertificateRef {
	return &CertificateRef{
		Subject: subject(i.cert), SHA1Thumbprint: pki.SHA1Thumbprint(i.cert), Source: i.source.Name,
		Position: i.position,
	}
}
