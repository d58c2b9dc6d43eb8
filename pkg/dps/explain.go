package dps

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/dpskit/dpskit/pkg/dps/internal/oneline"
)

// Explanation is advice on one error, each part one line without a final period
// and fit for a terminal.
type Explanation struct {
	// What says what happened, in words that the service does not use.
	What string
	// Why says the usual cause.
	Why string
	// Fix says what to do.
	Fix string
}

// maxClockSkew is the difference of clocks that the service tolerates.
const maxClockSkew = 5 * time.Minute

// Explain returns advice on an error of this module. It knows every code of the
// service, the device API and Azure Resource Manager that is documented or has
// been reported, connection strings of the wrong service, servers that are not
// trusted or not there, and a wrong local clock if the answer carried a Date.
// The result is false for an error that needs no advice or that it cannot place.
func Explain(err error) (Explanation, bool) {
	if err == nil || errors.Is(err, context.Canceled) {
		return Explanation{}, false
	}
	var (
		refusal *Error
		late    interface {
			error
			RegistrationStatus() string
			ErrorCode() int
			ErrorMessage() string
		}
	)
	switch {
	case errors.As(err, &late):
		return explainLate(facts{
			code: late.ErrorCode(), message: strings.ToLower(late.ErrorMessage()),
			registration: strings.ToLower(late.RegistrationStatus()),
		}), true
	case errors.As(err, &refusal) && refusal.StatusCode >= 400:
		return explainRefusal(refusal)
	case errors.Is(err, ErrIoTHubConnectionString):
		return iotHubMixUp, true
	case errors.Is(err, ErrConnectionString):
		return badConnectionString, true
	case errors.Is(err, ErrInvalidID):
		return badID, true
	case refusal == nil && errors.Is(err, ErrConflict):
		return nameTaken, true
	}
	return explainNoAnswer(err, refusal)
}

// facts are what the rules look at.
type facts struct {
	status       int
	code         int
	errorCode    string // lower case
	message      string // lower case
	registration string // terminal status of a registration, lower case
	device       bool   // a device asked; only for refusals at once
}

// explainLate explains how a registration ended that the service had accepted.
func explainLate(f facts) Explanation {
	if x, ok := explainFacts(f); ok {
		return x
	}
	return unknownStatus
}

func explainRefusal(e *Error) (Explanation, bool) {
	f := facts{status: e.StatusCode, code: e.Code,
		errorCode: strings.ToLower(e.ErrorCode), message: strings.ToLower(e.Message), device: e.Detail != ""}
	x, ok := explainFacts(f)
	if e.StatusCode == http.StatusUnauthorized && !f.isAboutChain() && skewed(e.ClockSkew) {
		x, ok = clockSkew(e.ClockSkew), true
	}
	if ok && e.Detail != "" {
		x.Why += "; seen from here: " + oneline.Clean(e.Detail, 600)
	}
	return x, ok
}

func explainFacts(f facts) (Explanation, bool) {
	for _, r := range rules {
		if r.matches(f) {
			return r.text, true
		}
	}
	return Explanation{}, false
}

// isAboutChain reports a message that names the cause so well that a clock is
// not it.
func (f facts) isAboutChain() bool {
	return strings.Contains(f.message, "ca certificate not found") || strings.Contains(f.message, "did not match chain")
}

func skewed(skew time.Duration) bool { return skew.Abs() >= maxClockSkew }

func clockSkew(skew time.Duration) Explanation {
	direction := "ahead of"
	if skew < 0 {
		direction = "behind"
	}
	return Explanation{
		What: fmt.Sprintf("the clock of this machine is %s %s the server's", skew.Abs().Round(time.Second), direction),
		Why:  "tokens and certificates are valid for a span of time, and the service tolerates five minutes of difference",
		Fix:  "set the clock (or start time synchronisation), then repeat the command",
	}
}

// rule explains one kind of refusal. Zero members match everything.
type rule struct {
	code         int
	status       int
	errorCode    string // lower case
	text         Explanation
	contains     string // lower case, in the message
	registration string
	device       bool
}

func (r rule) matches(f facts) bool {
	return (r.code == 0 || r.code == f.code) &&
		(r.status == 0 || r.status == f.status) &&
		(r.errorCode == "" || r.errorCode == f.errorCode) &&
		(r.contains == "" || strings.Contains(f.message, r.contains)) &&
		(r.registration == "" || r.registration == f.registration) &&
		(!r.device || f.device)
}
