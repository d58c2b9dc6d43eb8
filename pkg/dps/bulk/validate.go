package bulk

import (
	"context"
	"errors"
	"fmt"
	"strings"
)

// maxFaults is how many faults are kept; a file of another kind would have one
// in each row.
const maxFaults = 1000

// Check is the outcome of [Validate].
type Check struct {
	// Rows is the number of rows, the faulty ones included.
	Rows int
	// Faulty is the number of rows with a fault.
	Faulty int
	// Faults are the first 1000 faults.
	Faults Faults
}

// Validate reads the whole file and finds what is wrong in it, without a
// service: in single rows, and ids that appear twice. The error is for a file
// that cannot be read at all; faults are in the result.
func Validate(ctx context.Context, source Source) (Check, error) {
	return validate(ctx, source, func(Row) {})
}

// validate shows each row without a fault to good.
func validate(ctx context.Context, source Source, good func(Row)) (Check, error) {
	var c Check
	seen := map[string]int{}
	for row, err := range source.Rows() {
		if ctx.Err() != nil {
			return c, context.Cause(ctx)
		}
		var faults Faults
		var end final
		switch {
		case errors.As(err, &end):
			c.add(end.Faults)
			return c, nil
		case errors.As(err, &faults):
			c.Rows++
			c.add(faults)
			continue
		case err != nil:
			return c, err
		}
		c.Rows++
		id := strings.ToLower(row.Enrollment.RegistrationID)
		if line, twice := seen[id]; twice {
			c.add(Faults{{Line: row.Line, Column: 1, Text: fmt.Sprintf("registrationId: %q is in line %d already", row.Enrollment.RegistrationID, line),
				Fix: "ids are compared without regard to case"}})
			continue
		}
		seen[id] = row.Line
		good(row)
	}
	return c, nil
}

func (c *Check) add(faults Faults) {
	c.Faulty++
	if room := maxFaults - len(c.Faults); room > 0 {
		c.Faults = append(c.Faults, faults[:min(room, len(faults))]...)
	}
}
