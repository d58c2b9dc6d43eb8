package emulator

import (
	"errors"
	"fmt"

	"github.com/dpskit/dpskit/pkg/dps/emulator/internal/store"
)

// Reasons why an emulator does not start, reached with errors.Is. For options
// that make no sense there is [OptionError].
var (
	// ErrStart marks every error of [Start]: of its options, a listener or the
	// data folder, never of a service elsewhere.
	ErrStart = errors.New("start emulator")
	// ErrNotLoopback means that an address can be reached by others, which
	// needs Options.AllowRemote and a key of one's own.
	ErrNotLoopback = errors.New("not a loopback address")
	// ErrDataInUse: another process has the data folder. The error names it
	// where the system tells.
	ErrDataInUse = store.ErrLocked
	// ErrDataDamaged, ErrDataForeign and ErrDataNewer: a file of the data folder
	// cannot be trusted, is not one of an emulator, or is one of a newer
	// version. It was not changed.
	ErrDataDamaged = store.ErrCorrupt
	ErrDataForeign = store.ErrForeign
	ErrDataNewer   = store.ErrNewer
)

// OptionError says which of the [Options] makes no sense and what would. [Start]
// returns it before anything was touched.
type OptionError struct {
	// Option is the name of the field.
	Option string
	// Value is what it had, as text; "" if that is a secret.
	Value string
	// Err says what is wrong with it.
	Err error
}

func badOption(option string, value any, format string, args ...any) error {
	e := &OptionError{Option: option, Err: fmt.Errorf(format, args...)}
	if value != nil {
		e.Value = fmt.Sprint(value)
	}
	return e
}

func (e *OptionError) Error() string {
	if e.Value == "" {
		return fmt.Sprintf("check option %s: %v", e.Option, e.Err)
	}
	return fmt.Sprintf("check option %s %q: %v", e.Option, e.Value, e.Err)
}

// Unwrap returns what is wrong: ErrNotLoopback, for one.
func (e *OptionError) Unwrap() error { return e.Err }
