package fleet

import (
	"fmt"
	"time"

	"github.com/dpskit/dpskit/pkg/pki"
)

// lifetime is the validity that a run was asked for. Days count from the run that makes a device, so a later run that
// asks for as many makes a part of the same fleet.
type lifetime struct {
	Days      int       `json:"days,omitempty"` // 0 when the end is given
	NotBefore time.Time `json:"notBefore,omitzero"`
	NotAfter  time.Time `json:"notAfter,omitzero"`
	AsOf      time.Time `json:"asOf"` // when the run began
}

func newLifetime(v pki.Validity, now time.Time) *lifetime {
	l := &lifetime{
		Days: v.Days, NotBefore: v.NotBefore.UTC().Truncate(time.Second), NotAfter: v.NotAfter.UTC().Truncate(time.Second),
		AsOf: now.UTC().Truncate(time.Second),
	}
	if l.Days == 0 && v.NotAfter.IsZero() {
		l.Days = pki.DefaultDays
	}
	return l
}

// difference says in words how another lifetime differs, or nothing. What does not know its lifetime, nil, differs
// from none.
func (l *lifetime) difference(other *lifetime) string {
	switch {
	case l == nil || other == nil:
	case l.Days != other.Days || !l.same(l.NotAfter, other.NotAfter, other):
		return fmt.Sprintf("expires %s, not %s", other.end(), l.end())
	case !l.same(l.NotBefore, other.NotBefore, other):
		return fmt.Sprintf("is valid %s, not %s", other.begin(), l.begin())
	}
	return ""
}

// lifetimeSlack is what may go by between reading "in 90 days" and the beginning of a run.
const lifetimeSlack = 2 * time.Minute

// same reports whether two times are one date, or as far away from the run that asked for them: a caller may have had
// "in 90 days" in mind.
func (l *lifetime) same(mine, theirs time.Time, other *lifetime) bool {
	if mine.IsZero() || theirs.IsZero() {
		return mine.IsZero() && theirs.IsZero()
	}
	off := mine.Sub(l.AsOf) - theirs.Sub(other.AsOf)
	return mine.Equal(theirs) || off.Abs() <= lifetimeSlack
}

func (l *lifetime) end() string {
	if l.Days > 0 {
		return fmt.Sprintf("after %d days", l.Days)
	}
	return "at " + l.NotAfter.Format(time.RFC3339)
}

func (l *lifetime) begin() string {
	if l.NotBefore.IsZero() {
		return "at once"
	}
	return "from " + l.NotBefore.Format(time.RFC3339) + " on"
}
