package dps

import (
	"fmt"
	"io"
	"log/slog"
)

// redacted is what every rendering of a [Secret] shows.
const redacted = "REDACTED"

// Secret is text that must not be shown: a shared access key, a device key.
// Formatting it with any verb, logging it and encoding it as JSON or text
// yield REDACTED; only [Secret.Reveal] returns the text.
//
// The guard works through methods, which package fmt cannot call on an
// unexported field of a struct, nor encoding/json on the key of a map. Keep a
// Secret in an exported field, or capture it in a closure as the clients of this
// module do, and never use one as a key.
type Secret string

// Reveal returns the text itself. Call it only where the text is used.
func (s Secret) Reveal() string { return string(s) }

// IsZero reports whether there is no text.
func (s Secret) IsZero() bool { return s == "" }

// String returns REDACTED, also for the empty secret, so that output does not
// tell whether a secret was given.
func (Secret) String() string { return redacted }

// Format implements [fmt.Formatter]: every verb and flag prints REDACTED.
func (Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redacted) }

// LogValue implements [slog.LogValuer].
func (Secret) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalJSON returns "REDACTED". Code that speaks to a service encodes
// [Secret.Reveal] instead.
func (Secret) MarshalJSON() ([]byte, error) { return []byte(`"` + redacted + `"`), nil }

// MarshalText returns REDACTED, for XML and others.
func (Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }
