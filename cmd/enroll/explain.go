package main

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/dpskit/dpskit/cmd/internal/cliapp"
	"github.com/dpskit/dpskit/pkg/dps"
	"github.com/dpskit/dpskit/pkg/dps/device"
	"github.com/dpskit/dpskit/pkg/pki/doctor"
)

// maxCauses bounds the findings that are printed after a refusal.
const maxCauses = 3

// sentChain is what a device presented when it was refused.
type sentChain struct {
	registrationID string
	file           string
	certs          []*x509.Certificate // empty for a symmetric key
	now            func() time.Time
}

// explainRegistration adds to a registration that did not succeed what is known
// of the cause: the enrollment that decided, what the service says beyond its
// message, and what is wrong with the certificates that were sent. Other errors
// stay as they are.
func explainRegistration(err error, sent sentChain) error {
	for _, line := range slices.Backward(sent.explain(err)) { // the outermost hint is printed first
		err = cliapp.WithHint(err, "%s", line)
	}
	return err
}

// explain returns the lines of explainRegistration; nil if the common explanation
// does it. A guess has no place beside what an emulator says, which knows.
func (s sentChain) explain(err error) []string {
	answer := answerOf(err)
	lines := append(enrollmentLines(err), infoLines(answer.info)...)
	causes := s.causes(answer)
	switch {
	case answer.isExact() && len(causes) == 0:
		return append(lines, answer.seenFromHere()...)
	case len(causes) > 0:
		return append(lines, causes...)
	case len(lines) == 0 && !answer.aboutChain:
		return nil
	}
	lines = append(lines, hints(err)...)
	if answer.aboutChain && answer.info["rule"] == "" && len(s.certs) > 0 {
		lines = append(lines, s.healthy())
	}
	return lines
}

// answerSeen is the part of an answer that says why a device has no hub.
type answerSeen struct {
	status  int // 0 if the answer came late, or not at all
	code    int
	message string
	detail  string
	info    map[string]string
	// refused: the certificates may have caused it. aboutChain: they, or what is
	// enrolled, did.
	refused, aboutChain bool
}

// answerOf finds out what the service said: at once, while the device waited, or
// in the TLS handshake.
func answerOf(err error) answerSeen {
	var (
		late  *device.RegistrationError
		atOne *dps.Error
		alert tls.AlertError
	)
	switch {
	case errors.As(err, &late):
		about := late.Code/1000 == 401
		return answerSeen{code: late.Code, message: late.Message, refused: about, aboutChain: about}
	case errors.As(err, &atOne) && atOne.StatusCode != 0:
		about := atOne.StatusCode == http.StatusUnauthorized || atOne.StatusCode == http.StatusForbidden
		return answerSeen{status: atOne.StatusCode, code: atOne.Code, message: atOne.Message, detail: atOne.Detail, info: atOne.Info,
			refused: about || atOne.StatusCode == http.StatusBadRequest, aboutChain: about}
	}
	about := errors.As(err, &alert)
	return answerSeen{refused: about, aboutChain: about}
}

// ruleFault is the rule of an emulator that was told to refuse.
const ruleFault = "fault"

// lateRule is in the message of a registration that an emulator refused later,
// followed by what it expected and how to fix it.
const lateRule = "[emulator: rule "

// isExact reports whether the answer says what is wrong and what to do.
func (a answerSeen) isExact() bool {
	if strings.Contains(a.message, lateRule) {
		return true
	}
	return a.info["rule"] != "" && (a.info["rule"] == ruleFault || a.info["expected"] != "" || a.info["fix"] != "")
}

// seenFromHere is what the device can add to the rule of an emulator.
func (a answerSeen) seenFromHere() []string {
	if rule := a.info["rule"]; a.detail == "" || rule == ruleFault || rule == "id-scope" || rule == "api-version" {
		return nil
	}
	return []string{"seen from here: " + a.detail}
}

// enrollmentLines name the enrollment that a late refusal is about.
func enrollmentLines(err error) []string {
	var late *device.RegistrationError
	if !errors.As(err, &late) {
		return nil
	}
	kind, id := "group", late.Result.EnrollmentGroupID
	line := fmt.Sprintf("the enrollment group %q decided this", id)
	if late.Individual {
		kind, id = "individual", late.Result.RegistrationID
		line = fmt.Sprintf("the individual enrollment %q decided this, as no group is named", id)
	}
	if id == "" {
		return nil
	}
	switch {
	case dps.CheckID(id) != nil: // not fit for a command line
	case strings.EqualFold(late.Status, device.StatusDisabled):
		line += fmt.Sprintf(": 'enroll %s update %s --%s enabled' enables it", kind, id, flagProvisioning)
	case late.Code/1000 != http.StatusNotFound:
		line += fmt.Sprintf(": 'enroll %s show %s' shows it", kind, id)
	}
	return []string{line}
}

// infoLines render the member info of a refusal: in one sentence what the
// emulator puts there, by name what anybody else does.
func infoLines(info map[string]string) []string {
	if len(info) == 0 {
		return nil
	}
	if info["rule"] == "" {
		var parts []string
		for _, name := range slices.Sorted(maps.Keys(info)) {
			parts = append(parts, name+": "+info[name])
		}
		return []string{"the service adds: " + strings.Join(parts, "; ")}
	}
	text := fmt.Sprintf("the emulator's rule is %q", info["rule"])
	if info["rule"] == ruleFault {
		text += ": it refuses this on purpose, as its --" + flagFault + " says"
	}
	if info["certificateThumbprint"] != "" {
		where := ""
		if p := info["certificatePosition"]; p == "0" {
			where = "the device's own, "
		} else if p != "" {
			where = "number " + p + " above the device's, "
		}
		text += fmt.Sprintf(", about certificate %q (%sSHA-1 %s)", info["certificateSubject"], where, info["certificateThumbprint"])
	}
	lines := []string{text}
	if info["expected"] != "" {
		lines = append(lines, "it expected: "+info["expected"])
	}
	if info["fix"] != "" {
		lines = append(lines, "to fix it: "+info["fix"])
	}
	return lines
}

// check runs the doctor on what was sent, as what it was sent for: a CA that is
// sent is meant to be a device's.
func (s sentChain) check() *doctor.Report {
	role := doctor.RoleDevice
	if bytes.Equal(s.certs[0].RawIssuer, s.certs[0].RawSubject) {
		role = doctor.RoleIndividual
	}
	return doctor.Check([]doctor.Source{{Name: s.file, Format: doctor.FormatPEM, Certificates: s.certs}},
		&doctor.Options{Role: role, RegistrationID: s.registrationID, Now: s.now})
}

// causes are what the doctor finds. Findings that predict the very answer of the
// service come first; where it is not about certificates, no others come.
func (s sentChain) causes(answer answerSeen) []string {
	if !answer.refused || len(s.certs) == 0 || answer.info["rule"] == ruleFault {
		return nil
	}
	fatal := slices.DeleteFunc(s.check().Findings, func(f doctor.Finding) bool {
		return f.Severity != doctor.SeverityFatal || !answer.aboutChain && answer.fit(f) == 0
	})
	slices.SortStableFunc(fatal, func(a, b doctor.Finding) int { return answer.fit(b) - answer.fit(a) })
	var lines []string
	for _, f := range fatal[:min(len(fatal), maxCauses)] {
		lines = append(lines, fmt.Sprintf("%s: %s", f.What, f.Why))
		if f.Fix != "" {
			lines = append(lines, "to fix it: "+f.Fix)
		}
	}
	return lines
}

// healthy says that the certificates are in order, as far as that can be told
// without the root.
func (s sentChain) healthy() string {
	const text = "the certificates that were sent have no fault that shows from here"
	if f := s.check().Find(doctor.CheckChainComplete); f != nil && f.Severity != doctor.SeverityOK {
		return text + ", but " + f.What + ": if that is an intermediate, it has to be sent, too; if it is the root, DPS has to have it, verified"
	}
	return text + ": what the enrollment holds and which CAs are verified decides"
}

// fit says how well a finding explains the answer.
func (a answerSeen) fit(f doctor.Finding) int {
	switch {
	case f.Predicted == nil || f.Predicted.Code != a.code:
		return 0
	case strings.EqualFold(strings.Trim(f.Predicted.Message, "."), strings.Trim(a.message, ".")):
		return 2
	}
	return 1
}
