package main

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/dpskit/dpskit/cmd/internal/cliapp"
	"github.com/dpskit/dpskit/pkg/pki"
)

// maxDays keeps a date of expiry in the four digits of year that X.509 has.
const maxDays = 365 * 1000

// lastTime is the last moment that a certificate can name (RFC 5280, 4.1.2.5).
var lastTime = time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC)

func validityFlags() []cli.Flag {
	return []cli.Flag{
		&cli.IntFlag{
			Name: flagDays, Value: pki.DefaultDays, Category: categoryKey,
			Usage: "let it expire after `N` days, or with its issuer if that is earlier",
		},
		&cli.StringFlag{
			Name: flagNotBefore, Category: categoryKey,
			Usage: "let it be valid from `TIME` on: a date, or a duration from now such as -2h (default: 5 minutes ago)",
		},
		&cli.StringFlag{
			Name: flagNotAfter, Category: categoryKey,
			Usage: "let it expire at `TIME`: a date, or a duration from now such as 90d (instead of --" + flagDays + ")",
		},
	}
}

// readValidity reads the validity that the command line asks for. asked says
// whether it asks for an expiry at all.
func readValidity(c *cli.Context, now time.Time) (v pki.Validity, asked bool, err error) {
	if c.IsSet(flagDays) && c.IsSet(flagNotAfter) {
		return v, false, cliapp.Usagef("--%s and --%s exclude each other", flagDays, flagNotAfter)
	}
	v.Days = c.Int(flagDays)
	if v.Days < 1 || v.Days > maxDays {
		return v, false, cliapp.Usagef("invalid --%s %d: want 1 to %d", flagDays, v.Days, maxDays)
	}
	if v.NotBefore, err = readTime(c, flagNotBefore, now); err != nil {
		return v, false, err
	}
	if v.NotAfter, err = readTime(c, flagNotAfter, now); err != nil {
		return v, false, err
	}
	if !v.NotAfter.IsZero() {
		v.Days = 0
	}
	return v, c.IsSet(flagDays) || c.IsSet(flagNotAfter), checkOrder(v, now)
}

// checkOrder refuses an end that is not after the beginning. Days count from
// the beginning, so they cannot be wrong here.
func checkOrder(v pki.Validity, now time.Time) error {
	start := v.NotBefore
	if start.IsZero() {
		start = now.Add(-pki.Backdate)
	}
	if !v.NotAfter.IsZero() && !v.NotAfter.After(start) {
		return cliapp.WithHint(cliapp.Usagef("the certificate would expire (%s) before it is valid (%s)", formatTime(v.NotAfter), formatTime(start)),
			"--%s sets the beginning, and --%s the end", flagNotBefore, flagNotAfter)
	}
	return nil
}

func readTime(c *cli.Context, flag string, now time.Time) (time.Time, error) {
	text := c.String(flag)
	if text == "" {
		if c.IsSet(flag) {
			return time.Time{}, cliapp.Usagef("invalid --%s \"\": %s", flag, wantTime)
		}
		return time.Time{}, nil
	}
	t, err := parseTime(text, now)
	if err != nil {
		return time.Time{}, cliapp.Usagef("invalid --%s %q: %s", flag, text, err)
	}
	return t, nil
}

const wantTime = "want a date (2027-01-31, 2027-01-31T08:00:00Z) or a duration (90d, 36h, -10m)"

// parseTime reads a date or a duration from now, and returns whole seconds of
// UTC. A date without a time is the midnight at which it begins.
func parseTime(text string, now time.Time) (time.Time, error) {
	t, err := parseDate(text)
	if err != nil {
		d, err := parseDuration(text)
		if err != nil {
			return time.Time{}, err
		}
		t = now.Add(d)
	}
	t = t.UTC().Truncate(time.Second)
	if t.Year() < 1950 || t.After(lastTime) {
		return time.Time{}, fmt.Errorf("not between the years 1950 and 9999")
	}
	return t, nil
}

func parseDate(text string) (time.Time, error) {
	var err error
	for _, layout := range []string{time.RFC3339, time.DateOnly, time.DateTime} {
		var t time.Time
		if t, err = time.Parse(layout, text); err == nil {
			return t, nil
		}
	}
	return time.Time{}, err
}

// parseDuration reads a Go duration, with days (d) in front if need be: 7d,
// 1d12h, -90m.
func parseDuration(text string) (time.Duration, error) {
	body, negative := strings.CutPrefix(text, "-")
	var total time.Duration
	if days, rest, ok := strings.Cut(body, "d"); ok {
		n, err := strconv.ParseUint(days, 10, 32)
		if err != nil || n > math.MaxInt64/uint64(24*time.Hour) {
			return 0, fmt.Errorf("%s", wantTime)
		}
		total, body = time.Duration(n)*24*time.Hour, rest
	}
	if body != "" {
		d, err := time.ParseDuration(body)
		if err != nil || d < 0 || total+d < 0 {
			return 0, fmt.Errorf("%s", wantTime)
		}
		total += d
	} else if text == "" || text == "-" {
		return 0, fmt.Errorf("%s", wantTime)
	}
	if negative {
		total = -total
	}
	return total, nil
}

// formatTime writes a time the way every text of certgen does.
func formatTime(t time.Time) string {
	return t.UTC().Format("2006-01-02 15:04:05 UTC")
}

// remaining says in words how far away an expiry is, rounded to the nearest
// whole unit. A time.Duration ends after 292 years; certificates do not.
func remaining(notAfter, now time.Time) string {
	d := notAfter.Sub(now)
	switch {
	case d <= 0:
		return "expired"
	case d < 2*time.Hour:
		return fmt.Sprintf("in %d minutes", int(d.Round(time.Minute)/time.Minute))
	case d < 48*time.Hour:
		return fmt.Sprintf("in %d hours", int(d.Round(time.Hour)/time.Hour))
	}
	const day = 24 * 60 * 60
	return fmt.Sprintf("in %d days", (notAfter.Unix()-now.Unix()+day/2)/day)
}
