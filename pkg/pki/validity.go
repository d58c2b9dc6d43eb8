package pki

import (
	"crypto/x509"
	"fmt"
	"time"
)

const (
	// DefaultDays is the lifetime of a certificate when none is asked for, the same as in the original scripts.
	DefaultDays = 30
	// Backdate is how far a certificate begins in the past by default, so that a device whose clock is a little
	// behind accepts it.
	Backdate = 5 * time.Minute

	maxDays = 3_000_000 // keeps the arithmetic far from overflow; the year is checked afterwards
	maxYear = 9999      // GeneralizedTime, RFC 5280 section 4.1.2.5.2
)

// Validity is the lifetime of a certificate. The zero value is 5 minutes back to 30 days ahead.
//
// Times are cut to seconds and kept in UTC. An end later than that of the issuer is moved to the issuer's end; a
// default beginning earlier than that of the issuer is moved to the issuer's beginning.
type Validity struct {
	NotBefore time.Time // zero: 5 minutes before now
	NotAfter  time.Time // zero: Days after the beginning (or after now, when NotBefore is zero)
	Days      int       // zero: 30; not together with NotAfter
}

// resolve returns the dates of a certificate issued now by issuer, which is nil for a self-signed one.
func (v Validity) resolve(now time.Time, issuer *x509.Certificate) (notBefore, notAfter time.Time, err error) {
	switch {
	case v.Days != 0 && !v.NotAfter.IsZero():
		return notBefore, notAfter, fmt.Errorf("set validity: give a number of days or an end, not both")
	case v.Days < 0 || v.Days > maxDays:
		return notBefore, notAfter, fmt.Errorf("set validity: %d days, want 1 to %d", v.Days, maxDays)
	}
	days := v.Days
	if days == 0 {
		days = DefaultDays
	}
	notBefore, notAfter = v.NotBefore, v.NotAfter
	start := notBefore
	if notBefore.IsZero() {
		start = now
		notBefore = now.Add(-Backdate)
		if issuer != nil && notBefore.Before(issuer.NotBefore) {
			notBefore = issuer.NotBefore
		}
	}
	if notAfter.IsZero() {
		notAfter = start.AddDate(0, 0, days)
	}
	if issuer != nil && notAfter.After(issuer.NotAfter) {
		notAfter = issuer.NotAfter
	}
	notBefore, notAfter = notBefore.UTC().Truncate(time.Second), notAfter.UTC().Truncate(time.Second)
	switch {
	case issuer != nil && !notBefore.Before(issuer.NotAfter):
		return notBefore, notAfter, fmt.Errorf("set validity: it would begin at %s, and its issuer %q ends at %s",
			notBefore.Format(time.RFC3339), subjectName(issuer), issuer.NotAfter.UTC().Format(time.RFC3339))
	case !notAfter.After(notBefore):
		return notBefore, notAfter, fmt.Errorf("set validity: the end %s is not after the beginning %s",
			notAfter.Format(time.RFC3339), notBefore.Format(time.RFC3339))
	case notBefore.Year() < 1 || notAfter.Year() > maxYear:
		return notBefore, notAfter, fmt.Errorf("set validity: year %d is outside of what a certificate can hold",
			max(notAfter.Year(), notBefore.Year()))
	}
	return notBefore, notAfter, nil
}

// checkDates reports whether now is within the lifetime of cert.
func checkDates(cert *x509.Certificate, now time.Time) error {
	switch {
	case now.Before(cert.NotBefore):
		return fmt.Errorf("certificate %q: %w: it begins at %s and the time is %s", subjectName(cert), ErrNotYetValid,
			cert.NotBefore.UTC().Format(time.RFC3339), now.UTC().Format(time.RFC3339))
	case now.After(cert.NotAfter):
		return fmt.Errorf("certificate %q: %w: it ended at %s and the time is %s", subjectName(cert), ErrExpired,
			cert.NotAfter.UTC().Format(time.RFC3339), now.UTC().Format(time.RFC3339))
	}
	return nil
}

func clock(now func() time.Time) time.Time {
	if now == nil {
		return time.Now()
	}
	return now()
}
