package main

import (
	"crypto/x509"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/dpskit/dpskit/cmd/internal/cliapp"
	"github.com/dpskit/dpskit/pkg/dps/rollout"
)

// maxGroups bounds the reasons that are shown; the report has all.
const maxGroups = 5

// refusedDevices explains why devices of a run have no hub.
type refusedDevices struct {
	folder *deviceFolder // nil if they have symmetric keys
	now    func() time.Time
}

func (r refusedDevices) sent(i int, id string) sentChain {
	s := sentChain{registrationID: id, now: r.now}
	if r.folder != nil {
		s.file, s.certs = r.folder.file(i), withoutRoot(r.folder.chain(i))
	}
	return s
}

// withoutRoot is what was sent of a chain.
func withoutRoot(chain []*x509.Certificate) []*x509.Certificate {
	if n := len(chain); n > 1 && string(chain[n-1].RawIssuer) == string(chain[n-1].RawSubject) {
		return chain[:n-1]
	}
	return chain
}

// reason says in one line what is wrong with the certificates of a device that
// was refused, or the rule that an emulator applied; "" if neither is known.
func (r refusedDevices) reason(i int, err error) string {
	answer := answerOf(err)
	if r.folder != nil {
		if causes := r.sent(i, r.folder.ID(i)).causes(answer); len(causes) > 0 {
			return causes[0]
		}
	}
	if lines := infoLines(answer.info); len(lines) > 0 {
		return lines[0]
	}
	return ""
}

// show prints a line for each reason, the most frequent first.
func (r refusedDevices) show(env *cliapp.Env, s *rollout.Summary) {
	for n, reason := range s.Reasons {
		if n == maxGroups {
			env.Notef("… and more")
			return
		}
		text := reason.Text
		if reason.Code != 0 {
			text = fmt.Sprintf("%d %s", reason.Code, text)
		}
		verb := "failed"
		if reason.Status == rollout.Skipped {
			verb = "skipped"
		}
		env.Notef("%s %s (%s): %s", plural(reason.Count, "device"), verb, examples(reason), text)
	}
}

func examples(r rollout.Reason) string {
	text := strings.Join(r.IDs, ", ")
	if r.Count > len(r.IDs) {
		text += ", …"
	}
	return text
}

// failed says what was refused and why, and what to do about it.
func (r refusedDevices) failed(env *cliapp.Env, report string, s *rollout.Summary) error {
	r.show(env, s)
	text := fmt.Sprintf("register devices: %d of %s failed", s.Failed, plural(s.Devices, "device"))
	if report != "" {
		text += "; see " + report
	}
	err := cliapp.WithCode(errors.New(text), r.code(s))
	last := "the same command again tries those that failed once more"
	if report == "" {
		last = "--" + flagReport + " FILE writes what became of each device"
	}
	err = cliapp.WithHint(err, "%s", last)
	var lines []string
	told := map[string]bool{}
	for _, reason := range s.Reasons[:min(len(s.Reasons), maxGroups)] {
		if reason.Status == rollout.Skipped {
			continue
		}
		for _, line := range r.hints(reason) {
			if !told[line] {
				told[line] = true
				lines = append(lines, reason.IDs[0]+": "+line)
			}
		}
	}
	for i := len(lines) - 1; i >= 0; i-- { // the outermost hint is printed first
		err = cliapp.WithHint(err, "%s", lines[i])
	}
	return err
}

// hints say what is wrong with the first device of a reason and how to mend it.
func (r refusedDevices) hints(reason rollout.Reason) []string {
	lines := r.sent(reason.Index, reason.IDs[0]).explain(reason.Err)
	if len(lines) == 0 {
		lines = hints(reason.Err)
	}
	return lines[:min(len(lines), 4)]
}

// code is that of the refusal if all devices were refused for reasons with one
// code, else that of work that is done in part.
func (r refusedDevices) code(s *rollout.Summary) int {
	if s.Assigned+s.Earlier+s.Skipped > 0 {
		return cliapp.ExitPartial
	}
	code := 0
	for _, reason := range s.Reasons {
		own := exitCodeOf(refusedRegistration(reason.Err))
		if code == 0 {
			code = own
		}
		if own == 0 || own != code {
			return cliapp.ExitPartial
		}
	}
	return code
}
