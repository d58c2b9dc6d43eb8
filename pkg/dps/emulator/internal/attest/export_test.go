package attest

import (
	"crypto/x509"
	"time"

	"github.com/dpskit/dpskit/pkg/dps/emulator/internal/refuse"
)

// Limits that tests hold decisions against.
const (
	MaxSteps       = maxSteps
	MaxSignatures  = maxSignatures
	MaxComparisons = maxComparisons
)

// Work is what a decision has cost.
type Work = work

// Judge is Chain, and says how much work it was.
func Judge(sent []*x509.Certificate, registrationID string, trust Trust, now time.Time) (Match, *refuse.Refusal, Work) {
	return judge(sent, registrationID, trust, now)
}

// FindServerPath is Chain for certificates of servers, which public vectors
// have, and without a registration ID, which they do not have.
func FindServerPath(sent []*x509.Certificate, trust Trust, now time.Time) (Match, *refuse.Refusal, Work) {
	return findPath(sent, trust, now, x509.ExtKeyUsageServerAuth)
}
