package bulk

import "github.com/dpskit/dpskit/pkg/dps"

// Outcome is what became of a row.
type Outcome string

// The outcomes.
const (
	// Pending: not reached before the import ended.
	Pending Outcome = "pending"
	// Created: it was not there before.
	Created Outcome = "created"
	// Updated: it was there and was changed to what the row says.
	Updated Outcome = "updated"
	// Unchanged: it was there, as the row says.
	Unchanged Outcome = "unchanged"
	// Skipped: it was there and was left as it is.
	Skipped Outcome = "skipped"
	// Failed: see the error of the result.
	Failed Outcome = "failed"
)

// Result is what became of one row.
type Result struct {
	// Line of the file where the row begins.
	Line    int
	ID      string
	Outcome Outcome
	// Earlier is true if an earlier import did it.
	Earlier bool
	// Err says why it failed; it wraps *dps.Error if the service refused it.
	Err error
}

// Report is the outcome of an import.
type Report struct {
	// Results has one element for each row, in the order of the file.
	Results []Result
	// Keys are the symmetric keys, if they were asked for, by the index of the
	// row; missing for rows that attest otherwise or are not there.
	Keys map[int]Keys
}

// Keys are the symmetric keys of one device.
type Keys struct{ Primary, Secondary dps.Secret }

// Count returns the number of rows with each outcome, and how many of all were
// done by an earlier import.
func (r *Report) Count() (count map[Outcome]int, earlier int) {
	count = map[Outcome]int{}
	for _, result := range r.Results {
		count[result.Outcome]++
		if result.Earlier {
			earlier++
		}
	}
	return count, earlier
}
