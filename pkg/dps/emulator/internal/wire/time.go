package wire

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

// Time is a date-time as the provisioning service writes it: UTC, `Z`, up to
// seven digits of a second with trailing zeros trimmed.
type Time struct{ time.Time }

// At returns t cut to the service's resolution of 100 ns.
func At(t time.Time) Time { return Time{t.UTC().Truncate(100 * time.Nanosecond)} }

// MarshalJSON writes the service's form.
func (t Time) MarshalJSON() ([]byte, error) {
	return json.Marshal(t.Text())
}

// Text is the form without quotes.
func (t Time) Text() string {
	text := t.UTC().Format("2006-01-02T15:04:05.0000000")
	return strings.TrimRight(strings.TrimRight(text, "0"), ".") + "Z"
}

// UnmarshalJSON reads any RFC 3339 date-time; null leaves t alone.
func (t *Time) UnmarshalJSON(data []byte) error {
	if string(data) == "null" {
		return nil
	}
	var text string
	if err := json.Unmarshal(data, &text); err != nil {
		return err
	}
	parsed, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		return fmt.Errorf("date-time %q is not RFC 3339", text)
	}
	t.Time = parsed.UTC()
	return nil
}

// HTTPDate is a date as the Azure Resource Manager plane writes it: RFC 1123
// with GMT.
type HTTPDate struct{ time.Time }

// MarshalJSON writes `"Tue, 27 Jun 2023 21:25:31 GMT"`.
func (d HTTPDate) MarshalJSON() ([]byte, error) {
	return json.Marshal(d.UTC().Format("Mon, 02 Jan 2006 15:04:05 GMT"))
}
