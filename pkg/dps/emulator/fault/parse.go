package fault

import (
	"cmp"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// realThrottle is the word for RealThrottle.
const realThrottle = "real-throttle"

// Parse reads a rule in text form; see the package comment. One text can stand
// for several rules: real-throttle does.
func Parse(text string) ([]Rule, error) {
	if strings.TrimSpace(text) == realThrottle {
		return RealThrottle(), nil
	}
	var r Rule
	seen := map[string]bool{}
	for setting := range strings.SplitSeq(text, ",") {
		name, value, given := strings.Cut(strings.TrimSpace(setting), "=")
		if seen[name] {
			return nil, fmt.Errorf("parse fault %q: %s is given twice", text, name)
		}
		seen[name] = true
		if err := r.set(name, value, given); err != nil {
			return nil, fmt.Errorf("parse fault %q: %w", text, err)
		}
	}
	if err := r.Check(); err != nil {
		return nil, fmt.Errorf("parse fault %q: %w", text, err)
	}
	return []Rule{r}, nil
}

// words are the settings that have no value.
var words = map[string]func(*Rule) error{
	"per-id":    func(r *Rule) error { r.Match.PerID = true; return nil },
	"committed": func(r *Rule) error { r.Do.Committed = true; return nil },
	"reset":     func(r *Rule) error { return r.kind(Reset) },
	"close":     func(r *Rule) error { return r.kind(Close) },
	"drop-ack":  func(r *Rule) error { return r.kind(DropAck) },
	"truncate":  func(r *Rule) error { return r.kind(Truncate) },
}

// settings are those that have one.
var settings = map[string]func(*Rule, string) error{
	"plane": func(r *Rule, v string) error { r.Match.Plane = Plane(v); return nil },
	"op":    func(r *Rule, v string) error { r.Match.Op = v; return nil },
	"id":    func(r *Rule, v string) error { r.Match.ID = v; return nil },
	"nth":   func(r *Rule, v string) error { return count(&r.Match.Nth, v) },
	"after": func(r *Rule, v string) error { return count(&r.Match.After, v) },
	"times": func(r *Rule, v string) error { return count(&r.Match.Times, v) },
	"percent": func(r *Rule, v string) (err error) {
		r.Match.Percent, err = strconv.ParseFloat(v, 64)
		if err != nil || r.Match.Percent <= 0 {
			return fmt.Errorf("percent %q: want a number above 0, up to 100", v)
		}
		return nil
	},
	"status":      func(r *Rule, v string) error { return cmp.Or(r.kind(Status), count(&r.Do.Status, v)) },
	"code":        func(r *Rule, v string) error { return count(&r.Do.Code, v) },
	"close-after": func(r *Rule, v string) error { return cmp.Or(r.kind(CloseAfter), number(&r.Do.Bytes, v)) },
	"assigning": func(r *Rule, v string) error {
		if v == "forever" {
			r.Do.Polls = Forever
			return r.kind(Assigning)
		}
		return cmp.Or(r.kind(Assigning), count(&r.Do.Polls, v))
	},
	"throttle": func(r *Rule, v string) error {
		limit, window, periodic := strings.Cut(v, "/")
		if periodic {
			if err := duration(&r.Do.Window, window); err != nil {
				return err
			}
		}
		return cmp.Or(r.kind(Throttle), count(&r.Do.Limit, limit))
	},
	"retry-after": func(r *Rule, v string) error {
		if v == "" {
			return errors.New("retry-after: want a value")
		}
		r.Do.RetryAfter = v
		return nil
	},
	"delay": func(r *Rule, v string) error { return duration(&r.Do.Delay, v) },
	"slow":  func(r *Rule, v string) error { return duration(&r.Do.Slow, v) },
}

func (r *Rule) set(name, value string, given bool) error {
	if set, ok := words[name]; ok {
		if given {
			return fmt.Errorf("%s takes no value", name)
		}
		return set(r)
	}
	set, ok := settings[name]
	switch {
	case !ok:
		return fmt.Errorf("unknown setting %q", name)
	case !given:
		return fmt.Errorf("%s needs a value", name)
	}
	return set(r, value)
}

func (r *Rule) kind(k Kind) error {
	if r.Do.Kind != Normal {
		return fmt.Errorf("%s and %s exclude each other", r.Do.Kind, k)
	}
	r.Do.Kind = k
	return nil
}

func count(n *int, text string) error {
	if err := number(n, text); err != nil {
		return err
	}
	if *n == 0 {
		return fmt.Errorf("number %q: want more than 0", text)
	}
	return nil
}

func number(n *int, text string) error {
	v, err := strconv.ParseUint(text, 10, 31)
	if err != nil {
		return fmt.Errorf("number %q: want a whole number", text)
	}
	*n = int(v)
	return nil
}

func duration(d *time.Duration, text string) error {
	v, err := time.ParseDuration(text)
	if err != nil || v <= 0 {
		return fmt.Errorf("duration %q: want one such as 500ms or 2s", text)
	}
	*d = v
	return nil
}

// String returns the text form of r, in one order whatever the input was.
// Parse makes the same rule out of it.
func (r Rule) String() string {
	var parts []string
	add := func(given bool, format string, args ...any) {
		if given {
			parts = append(parts, fmt.Sprintf(format, args...))
		}
	}
	m, d := r.Match, r.Do
	add(m.Plane != Any, "plane=%s", m.Plane)
	add(m.Op != "", "op=%s", m.Op)
	add(m.ID != "", "id=%s", m.ID)
	add(m.Nth != 0, "nth=%d", m.Nth)
	add(m.After != 0, "after=%d", m.After)
	add(m.Times != 0, "times=%d", m.Times)
	add(m.Percent != 0, "percent=%s", strconv.FormatFloat(m.Percent, 'g', -1, 64))
	add(m.PerID, "per-id")
	add(d.Delay != 0, "delay=%v", d.Delay)
	switch d.Kind {
	case Normal:
	case Status:
		add(true, "status=%d", d.Status)
	case CloseAfter:
		add(true, "close-after=%d", d.Bytes)
	case Assigning:
		add(d.Polls == Forever, "assigning=forever")
		add(d.Polls != Forever, "assigning=%d", d.Polls)
	case Throttle:
		add(d.Window == 0, "throttle=%d", d.Limit)
		add(d.Window != 0, "throttle=%d/%v", d.Limit, d.Window)
	default:
		add(true, "%s", d.Kind)
	}
	add(d.Code != 0, "code=%d", d.Code)
	add(d.Committed, "committed")
	add(d.RetryAfter != "", "retry-after=%s", d.RetryAfter)
	add(d.Slow != 0, "slow=%v", d.Slow)
	return strings.Join(parts, ",")
}
