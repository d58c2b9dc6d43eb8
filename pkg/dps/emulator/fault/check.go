package fault

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Longest waits of a rule.
const (
	maxDelay  = time.Hour
	maxWindow = 24 * time.Hour
)

// Check reports what is wrong with r: an unknown plane or operation, a number
// out of range, settings that exclude each other.
func (r Rule) Check() error {
	if err := r.Match.check(); err != nil {
		return err
	}
	if err := r.Do.check(); err != nil {
		return err
	}
	if r.Do.Kind == Assigning && !r.Match.Names("poll") {
		return fmt.Errorf("assigning: op %q never is poll", r.Match.Op)
	}
	d := r.Do
	if r.Match.Op == Connect && (d.Kind == Truncate || d.Committed || d.Code != 0 || d.RetryAfter != "") {
		return fmt.Errorf("op %s: truncate, committed, code and retry-after have no place in its answer", Connect)
	}
	return nil
}

func (m Match) check() error {
	switch m.Plane {
	case Any, Service, Device, ARM:
	default:
		return fmt.Errorf("plane %q: want service, device or arm", m.Plane)
	}
	known := Operations(m.Plane)
	if !slices.ContainsFunc(known, m.Names) {
		return fmt.Errorf("op %q: matches none of %s", m.Op, strings.Join(known, ", "))
	}
	if m.Nth < 0 || m.After < 0 || m.Times < 0 {
		return errors.New("nth, after, times: want a number above 0")
	}
	if !(m.Percent >= 0 && m.Percent <= 100) { // NaN is refused, too
		return errors.New("percent: want a number above 0, up to 100")
	}
	for _, glob := range []string{m.Op, m.ID} {
		if strings.ContainsFunc(glob, func(r rune) bool { return r == ',' || r <= ' ' || r > '~' }) {
			return fmt.Errorf("glob %q: want ASCII without spaces and commas", glob)
		}
	}
	return nil
}

func (d Do) check() error {
	if err := d.checkKind(); err != nil {
		return err
	}
	switch {
	case d.Kind != Status && d.Status != 0:
		return fmt.Errorf("status: does not go with %s", d.Kind)
	case d.Kind != Status && d.Committed:
		return errors.New("committed: goes with status only")
	case d.Kind != Status && d.Kind != Throttle && d.Code != 0:
		return errors.New("code: goes with status or throttle only")
	case d.Code != 0 && (d.Code < 100000 || d.Code > 999999):
		return fmt.Errorf("code %d: want six digits", d.Code)
	case d.Kind != Throttle && (d.Limit != 0 || d.Window != 0):
		return errors.New("limit: goes with throttle only")
	case d.Delay < 0 || d.Delay > maxDelay || d.Slow < 0 || d.Slow > maxDelay:
		return fmt.Errorf("delay, slow: want a duration up to %v", maxDelay)
	case d == Do{}:
		return errors.New("it does nothing: want status=, reset, close, drop-ack, close-after=, truncate, assigning=, " +
			"throttle=, retry-after=, delay= or slow=")
	}
	return checkRetryAfter(d.RetryAfter)
}

func (d Do) checkKind() error {
	switch d.Kind {
	case Normal, Reset, Close, DropAck, Truncate:
	case Status:
		if d.Status < 400 || d.Status > 599 {
			return fmt.Errorf("status %d: want 400 to 599", d.Status)
		}
	case CloseAfter:
		if d.Bytes < 0 {
			return errors.New("close-after: want a number of bytes")
		}
	case Assigning:
		if d.Polls < 1 && d.Polls != Forever {
			return errors.New("assigning: want a number of polls, or forever")
		}
	case Throttle:
		if d.Limit < 1 || d.Window < 0 || d.Window > maxWindow {
			return fmt.Errorf("throttle: want requests and a period up to %v, such as 100/1m", maxWindow)
		}
	default:
		return fmt.Errorf("unknown fault %q", d.Kind)
	}
	return nil
}

func checkRetryAfter(text string) error {
	number := text
	switch {
	case text == "", text == RetryAbsent, text == RetryGarbage:
		return nil
	case strings.HasPrefix(text, retryDate):
		number = strings.TrimPrefix(text, retryDate)
	case strings.HasSuffix(text, retryMillis):
		number = strings.TrimSuffix(text, retryMillis)
	}
	if n, err := strconv.ParseInt(number, 10, 64); err != nil || n > 1e12 || n < -1e12 {
		return fmt.Errorf("retry-after %q: want seconds, Nms, date:SECONDS, absent or garbage", text)
	}
	return nil
}
