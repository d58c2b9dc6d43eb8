package provision

import (
	"cmp"
	"math/rand/v2"
	"net/http"
	"strconv"
	"sync/atomic"

	"github.com/dpskit/dpskit/pkg/dps/emulator/internal/refuse"
)

// defaultInFlight is the default of Service.MaxInFlight.
const defaultInFlight = 1024

// RuleSaturated refuses a registration because too many are being judged.
const RuleSaturated refuse.Rule = "too-many-registrations"

// admission counts the registrations that are being judged or written.
type admission struct{ inFlight atomic.Int64 }

// admit lets a registration in, which calls leave when it is done, or refuses
// it. Who is refused has cost next to nothing, and is told to come back at a
// time of its own, so that a crowd does not return as one.
func (s *Service) admit() (leave func(), refused *refuse.Refusal) {
	limit := int64(cmp.Or(s.MaxInFlight, defaultInFlight))
	if s.admission.inFlight.Add(1) <= limit {
		return func() { s.admission.inFlight.Add(-1) }, nil
	}
	s.admission.inFlight.Add(-1)
	return nil, TooMany(RuleSaturated, "Too many registrations at the same time.",
		"at most "+strconv.FormatInt(limit, 10)+" registrations at the same moment")
}

// TooMany is a 429 with a Retry-After of 1 to 5 seconds.
func TooMany(rule refuse.Rule, message, expected string) *refuse.Refusal {
	r := refusal(http.StatusTooManyRequests, 429000, rule, message)
	r.Header = http.Header{"Retry-After": {strconv.Itoa(1 + rand.IntN(5))}} //nolint:gosec // spreads load, keeps no secret
	r.Expected, r.Fix = expected, "wait as long as Retry-After says, and register again"
	return r
}
