package main

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"maps"
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

// explainRegistration adds to a refused registration its likely cause: what the
// service says beyond its message, and what is wrong with the certificates that
// were sent. Other errors stay as they are.
func explainRegistration(err error, sent sentChain) error {
	answer, refused := refusalOf(err)
	if !refused {
		return err
	}
	lines := infoLines(answer.info)
	causes := sent.causes(answer)
	if len(causes) == 0 {
		causes = hints(err)
		if len(sent.certs) > 0 {
			causes = append(causes, "the certificates that were sent have no fault that shows from here: what the enrollment holds and which CAs are verified decides")
		}
	}
	if lines == nil && sent.certs == nil {
		return err // the common explanation does it
	}
	for _, line := range slices.Backward(append(lines, causes...)) { // the outermost hint is printed first
		err = cliapp.WithHint(err, "%s", line)
	}
	return err
}

// answerSeen is the part of a refusal that says why.
type answerSeen struct {
	code    int
	message string
	info    map[string]string
}

// refusalOf finds out whether err is a refusal that the certificates may have
// caused: at once, while waiting, or in the TLS handshake.
func refusalOf(err error) (answerSeen, bool) {
	var (
		late  *device.RegistrationError
		atOne *dps.Error
		alert tls.AlertError
	)
	switch {
	case errors.As(err, &late):
		return answerSeen{code: late.Code, message: late.Message}, late.Code/1000 == 401
	case errors.As(err, &atOne) && (atOne.StatusCode == 400 || atOne.StatusCode == 401 || atOne.StatusCode == 403):
		return answerSeen{atOne.Code, atOne.Message, atOne.Info}, true
	}
	return answerSeen{}, errors.As(err, &alert)
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

// causes runs the doctor on what was sent. Findings that predict the very answer
// of the service come first.
func (s sentChain) causes(answer answerSeen) []string {
	if len(s.certs) == 0 {
		return nil
	}
	report := doctor.Check([]doctor.Source{{Name: s.file, Format: doctor.FormatPEM, Certificates: s.certs}},
		&doctor.Options{RegistrationID: s.registrationID, Now: s.now})
	fatal := slices.DeleteFunc(slices.Clone(report.Findings), func(f doctor.Finding) bool { return f.Severity != doctor.SeverityFatal })
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
