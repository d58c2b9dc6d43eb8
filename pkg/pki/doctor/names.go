package doctor

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"strings"

	"github.com/dpskit/dpskit/pkg/pki"
)

var oidCommonName = asn1.ObjectIdentifier{2, 5, 4, 3}

// commonNames returns every common name of the subject. One certificate may have several, or none.
func commonNames(cert *x509.Certificate) []string {
	var out []string
	for _, attribute := range cert.Subject.Names {
		if value, ok := attribute.Value.(string); ok && attribute.Type.Equal(oidCommonName) {
			out = append(out, value)
		}
	}
	return out
}

// subject is the name of the holder as text. That of crypto/x509 drops all common names but the last.
func subject(cert *x509.Certificate) string {
	var all pkix.RDNSequence
	if len(commonNames(cert)) > 1 {
		if rest, err := asn1.Unmarshal(cert.RawSubject, &all); err == nil && len(rest) == 0 {
			return all.String()
		}
	}
	return cert.Subject.String()
}

// checkRegistrationID checks the common name of a device, which is its registration ID.
func (e *exam) checkRegistrationID() {
	if e.role != RoleDevice && e.role != RoleIndividual {
		return
	}
	cert := e.subject.cert
	names := commonNames(cert)
	if len(names) != 1 || names[0] == "" {
		e.add(Finding{
			Severity: SeverityFatal, Check: CheckRegistrationID, Predicted: &answerInvalid,
			What: fmt.Sprintf("the subject %s has %d common names, want exactly one", quote(subject(cert)), len(names)),
			Why:  "the common name is the registration id of the device",
			Fix:  "issue it again with the registration id as the only common name",
		}, e.subject)
		return
	}
	cn := names[0]
	if err := pki.CheckRegistrationID(cn); err != nil {
		e.add(Finding{
			Severity: SeverityFatal, Check: CheckRegistrationID, Predicted: &answerBadID,
			What: fmt.Sprintf("the common name cannot be a registration id: %s", idCause(err)),
			Why:  "the device registers under its common name, and the service refuses that name",
			Fix:  "issue it again under another name; lower-case letters, digits and '-' are safe everywhere",
		}, e.subject)
		return
	}
	if id := e.opts.RegistrationID; id != "" && !strings.EqualFold(id, cn) {
		e.add(Finding{
			Severity: SeverityFatal, Check: CheckRegistrationID, Predicted: &answerInvalid,
			What: fmt.Sprintf("the device registers as %s, and the common name of its certificate is %s", quote(id), name(cert)),
			Why:  "the two must be equal, apart from upper and lower case",
			Fix:  fmt.Sprintf("register as %s, or issue the certificate for %s", name(cert), quote(id)),
		}, e.subject)
	}
	e.checkNameHabits(cn)
	e.ok(CheckRegistrationID, "the common name %s can be the registration id", quote(cn))
}

// checkNameHabits warns of names that the service accepts and something else may not.
func (e *exam) checkNameHabits(cn string) {
	cert := e.subject.cert
	if cn != strings.ToLower(cn) {
		e.add(Finding{
			Severity: SeverityWarning, Check: CheckRegistrationID,
			What: fmt.Sprintf("the common name %s has upper-case letters", quote(cn)),
			Why: "the service compares without regard to case today; until 2020 it refused them with 400004 \"Invalid " +
				"RegistrationId\", and some programs beside it compare letter by letter",
			Fix: "use lower-case names for new devices",
		}, e.subject)
	}
	if len(cert.DNSNames) > 0 && !strings.EqualFold(cert.DNSNames[0], cn) {
		e.add(Finding{
			Severity: SeverityWarning, Check: CheckRegistrationID,
			What: fmt.Sprintf("the first DNS name %s is not the common name %s", quote(cert.DNSNames[0]), quote(cn)),
			Why:  "the C# device SDK takes the first DNS name, if there is one, for the registration id; the service wants the common name",
			Fix:  "issue it again without DNS names, or with the common name as the first",
		}, e.subject)
	}
}

// idCause is the text of an error of [pki.CheckRegistrationID] without its beginning, which the finding says.
func idCause(err error) string {
	text := strings.TrimPrefix(err.Error(), "check registration id")
	text = strings.Replace(text, pki.ErrInvalidID.Error()+": ", "", 1)
	return strings.TrimSpace(strings.TrimPrefix(text, ": "))
}
