package doctor

import (
	"fmt"
	"strings"
	"time"
)

const (
	// soon is when an end is worth a warning; certificates of few days get a third of their lifetime.
	soon = 7 * 24 * time.Hour
	// skew is how far clocks differ without anybody noticing.
	skew = 5 * time.Minute
	// outlived is by how much a certificate may outlive its issuer without a warning: certificates made one after the
	// other for the same number of days do so by seconds.
	outlived = 24 * time.Hour
)

// end2038 is where 32-bit clocks turn over.
var end2038 = time.Unix(1<<31-1, 0)

// checkValidity checks that every certificate of the chain is valid now.
func (e *exam) checkValidity() {
	for _, it := range e.judged() {
		f := Finding{Severity: SeverityFatal, Check: CheckValidity, Predicted: &answerInvalid}
		switch cert := it.cert; {
		case cert.NotAfter.Before(cert.NotBefore):
			f.What = fmt.Sprintf("%s ends (%s) before it begins (%s)", name(cert), stamp(cert.NotAfter), stamp(cert.NotBefore))
			f.Why = "it is valid at no time"
			f.Fix = "issue it again"
		case e.now.Before(cert.NotBefore):
			f.What = fmt.Sprintf("%s is not valid yet: it begins %s, in %s", name(cert), stamp(cert.NotBefore),
				span(e.now, cert.NotBefore))
			f.Why = "every clock that checks it must have passed its beginning; a clock that runs behind sees the same"
			f.Fix = "check the clock of this machine; else wait, or issue it again with an earlier beginning"
		case e.now.After(cert.NotAfter):
			f.What = fmt.Sprintf("%s has expired: it ended %s, %s ago", name(cert), stamp(cert.NotAfter),
				span(cert.NotAfter, e.now))
			f.Why = "an expired certificate anywhere in the chain ends the registration, and the connection to the hub"
			f.Fix = "issue it again; a new CA needs new certificates below it, and its place in the service"
		default:
			continue
		}
		e.add(f, it)
	}
	e.ok(CheckValidity, "every certificate of the chain is valid now; the first to end is valid until %s", stamp(e.firstEnd()))
}

// firstEnd returns when the first certificate of the chain ends.
func (e *exam) firstEnd() time.Time {
	end := e.subject.cert.NotAfter
	for _, it := range e.judged() {
		if it.cert.NotAfter.Before(end) {
			end = it.cert.NotAfter
		}
	}
	return end
}

// checkMargins checks how close to its limits each certificate is.
func (e *exam) checkMargins() {
	levels := e.judged()
	for i, it := range levels {
		e.checkMargin(it)
		if i+1 < len(levels) && it.cert.NotAfter.After(levels[i+1].cert.NotAfter.Add(outlived)) {
			e.add(Finding{
				Severity: SeverityWarning, Check: CheckValidityIssuer,
				What: fmt.Sprintf("%s outlives its issuer %s, which ends %s", name(it.cert), name(levels[i+1].cert),
					stamp(levels[i+1].cert.NotAfter)),
				Why: "from then on it is refused, whatever end it names itself",
				Fix: "issue it again with an end no later than that of its issuer",
			}, it)
		}
	}
	e.ok(CheckValidityMargin, "there is time left, and leeway for clocks")
	e.check2038(levels)
	if len(levels) > 1 {
		e.ok(CheckValidityIssuer, "no certificate outlives its issuer")
	}
}

func (e *exam) checkMargin(it *item) {
	cert := it.cert
	left, lifetime := cert.NotAfter.Sub(e.now), cert.NotAfter.Sub(cert.NotBefore)
	if left > 0 && left < min(soon, lifetime/3) && !e.now.Before(cert.NotBefore) {
		e.add(Finding{
			Severity: SeverityWarning, Check: CheckValidityMargin,
			What: fmt.Sprintf("%s ends %s, in %s", name(cert), stamp(cert.NotAfter), span(e.now, cert.NotAfter)),
			Why:  "after that the device is refused; a device also registers again whenever it loses its hub",
			Fix:  "issue it again soon",
		}, it)
	}
	if age := e.now.Sub(cert.NotBefore); age >= 0 && age < skew {
		e.add(Finding{
			Severity: SeverityWarning, Check: CheckValidityMargin,
			What: fmt.Sprintf("%s began %s ago", name(cert), span(cert.NotBefore, e.now)),
			Why: "a service or device whose clock runs a little behind refuses it, which looks like a failure that comes and " +
				"goes right after the certificate was made",
			Fix: "wait five minutes, or issue it with a beginning in the past",
		}, it)
	}
}

// check2038 looks for ends that 32-bit clocks cannot hold, and says so once for the whole chain.
func (e *exam) check2038(levels []*item) {
	var late []*item
	for _, it := range levels {
		if it.cert.NotAfter.After(end2038) {
			late = append(late, it)
		}
	}
	if len(late) == 0 {
		e.ok(CheckValidity2038, "no certificate ends after January 2038")
		return
	}
	var parts []string
	for i, it := range late {
		if i == 5 {
			parts = append(parts, fmt.Sprintf("%d more", len(late)-i))
			break
		}
		parts = append(parts, fmt.Sprintf("%s (%s)", name(it.cert), stamp(it.cert.NotAfter)))
	}
	e.add(Finding{
		Severity: SeverityWarning, Check: CheckValidity2038,
		What: "after 19 January 2038 ends " + strings.Join(parts, ", "),
		Why:  "devices with 32-bit clocks take such an end for one in the past and refuse the chain; the service does not mind",
		Fix:  "issue with an end before that day what such devices check",
	}, late[0])
}

func stamp(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 UTC") }

// span is a time as a person says how long it is.
func span(from, to time.Time) string {
	switch d := to.Sub(from); { // a Duration ends after 292 years
	case d < time.Minute:
		return fmt.Sprintf("%d seconds", int(d/time.Second))
	case d < 2*time.Hour:
		return fmt.Sprintf("%d minutes", int(d/time.Minute))
	case d < 48*time.Hour:
		return fmt.Sprintf("%d hours", int(d/time.Hour))
	}
	return fmt.Sprintf("%d days", (to.Unix()-from.Unix())/(24*60*60))
}
