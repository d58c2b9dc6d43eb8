package fault

import "time"

// Plane is an API surface of the emulator.
type Plane string

// The planes that rules can name. Any is every one of them.
const (
	Any     Plane = ""
	Service Plane = "service"
	Device  Plane = "device"
	ARM     Plane = "arm"
)

// Kind is what becomes of a request.
type Kind string

// The kinds. Normal answers as ever, if perhaps late, slowly or with another
// Retry-After.
const (
	Normal     Kind = ""
	Status     Kind = "status"
	Reset      Kind = "reset"
	Close      Kind = "close"
	DropAck    Kind = "drop-ack"
	CloseAfter Kind = "close-after"
	Truncate   Kind = "truncate"
	Assigning  Kind = "assigning"
	Throttle   Kind = "throttle"
)

// Forever is a Do.Polls without end.
const Forever = -1

// Texts of Do.RetryAfter that stand for something; see the package comment.
const (
	RetryAbsent  = "absent"
	RetryGarbage = "garbage"
	retryDate    = "date:"
	retryMillis  = "ms"
)

// Rule is one kind of fault. The zero value of each member of Match means "any",
// that of each member of Do "as ever".
type Rule struct {
	Match Match
	Do    Do
}

// Match says which requests a rule is about.
type Match struct {
	Plane Plane
	// Op and ID are globs: * is any text, ? any one character.
	Op, ID string
	// Nth, After and Times count the requests that Plane, Op and ID match, from
	// 1; for each id by itself if PerID is set.
	Nth, After, Times int
	PerID             bool
	// Percent is the part of the matched requests that is hit, above 0 to 100;
	// 0 means all.
	Percent float64
}

// Do says what becomes of a request.
type Do struct {
	Kind Kind
	// Status and Code are the refusal of Kind Status; Code 0 is Status*1000.
	Status, Code int
	// Committed refuses only after the request was carried out.
	Committed bool
	// Bytes is how much of the body Kind CloseAfter sends.
	Bytes int
	// Polls is how often an operation shows as assigning, or Forever.
	Polls int
	// Limit requests pass in each Window; 0 means one minute.
	Limit  int
	Window time.Duration
	// RetryAfter replaces the header of the answer: seconds, RetryAbsent,
	// RetryGarbage, `date:SECONDS`, or `Nms`; "" leaves it alone.
	RetryAfter string
	// Delay is waited for first, Slow is how long the body takes.
	Delay, Slow time.Duration
}

// RealThrottle returns the limits that the service documents: 1000 operations
// and 1000 registrations per minute, and 5 polls per 10 seconds for a device.
func RealThrottle() []Rule {
	return []Rule{
		{Match{Plane: Service}, Do{Kind: Throttle, Limit: 1000}},
		{Match{Plane: Device, Op: "register"}, Do{Kind: Throttle, Limit: 1000}},
		{Match{Plane: Device, Op: "poll", PerID: true}, Do{Kind: Throttle, Limit: 5, Window: 10 * time.Second}},
	}
}
