package rollout

import (
	"cmp"
	"errors"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/dpskit/dpskit/pkg/dps"
	"github.com/dpskit/dpskit/pkg/dps/device"
)

// Summary is the outcome of a run.
type Summary struct {
	// Devices is the sum of the others.
	Devices int
	// Assigned were assigned now, Earlier by an earlier run.
	Assigned, Earlier int
	// Failed were refused or not answered; those that are disabled count.
	Failed  int
	Skipped int
	Pending int
	// Hubs counts the devices that were assigned now by hub.
	Hubs map[string]int
	// Reasons are why devices failed or were skipped, the most frequent first. Of
	// more than 100 kinds, the last ones count all others, by status.
	Reasons []Reason
	Took    time.Duration

	kinds map[kind]int // index in Reasons
}

// Reason is why some devices have no hub, and how many they are.
type Reason struct {
	Status Status
	// Code is the six-digit code of the service, else the HTTP status, else 0.
	Code int
	// Text says it in one line.
	Text  string
	Count int
	// IDs are of the first few in the order of the source.
	IDs []string
	// Index and Err are those of the first one.
	Index int
	Err   error

	examples []Outcome // of IDs
	others   bool      // those that are told apart no more
}

const (
	// maxExamples bounds Reason.IDs.
	maxExamples = 3
	// maxReasons bounds the kinds that are told apart; the others are counted
	// together, by status.
	maxReasons = 100
)

func newSummary(devices int) *Summary {
	return &Summary{Devices: devices, Hubs: map[string]int{}, kinds: map[kind]int{}}
}

// kind is what reasons have in common that are counted together.
type kind struct {
	status Status
	code   int
	text   string // as alike returns it
}

// othersText is that of the reasons beyond maxReasons, which are told apart no more.
const othersText = "other reasons"

// kindOf returns the kind of an outcome; the zero value if it needs no reason.
func kindOf(o Outcome) kind {
	if o.Status == Assigned || o.Status == Pending {
		return kind{}
	}
	code, text, _ := explain(o.Err)
	return kind{o.Status, code, alike(text, o.ID)}
}

// add counts an outcome, whose kind is k.
func (s *Summary) add(o Outcome, k kind) {
	switch o.Status {
	case Assigned:
		s.Assigned++
		s.Hubs[o.Result.AssignedHub]++
		return
	case Skipped:
		s.Skipped++
	case Pending:
		return // counted by close
	default:
		s.Failed++
	}
	if _, known := s.kinds[k]; !known && len(s.Reasons) >= maxReasons {
		k = kind{status: o.Status, text: othersText}
	}
	i, known := s.kinds[k]
	if !known {
		i = len(s.Reasons)
		s.kinds[k] = i
		s.Reasons = append(s.Reasons, Reason{Status: k.status, Code: k.code, others: k.text == othersText})
	}
	r := &s.Reasons[i]
	r.Count++
	at, _ := slices.BinarySearchFunc(r.examples, o, func(a, b Outcome) int { return a.Index - b.Index })
	r.examples = slices.Insert(r.examples, at, o)
	r.examples = r.examples[:min(len(r.examples), maxExamples)]
}

// close counts who was not reached, and sorts.
func (s *Summary) close() {
	s.Pending = s.Devices - s.Assigned - s.Earlier - s.Failed - s.Skipped
	for i := range s.Reasons {
		r := &s.Reasons[i]
		r.IDs = nil
		for _, o := range r.examples {
			r.IDs = append(r.IDs, o.ID)
		}
		r.Index, r.Err, r.examples = r.examples[0].Index, r.examples[0].Err, nil
		if _, r.Text, _ = explain(r.Err); r.others {
			r.Text = othersText
		}
	}
	slices.SortFunc(s.Reasons, func(a, b Reason) int {
		if a.others != b.others {
			if a.others {
				return 1
			}
			return -1
		}
		return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Index, b.Index))
	})
}

// varying is what differs from device to device in texts about the same cause:
// GUIDs, hexadecimal numbers such as those of operations, times, ports and
// positions.
var varying = regexp.MustCompile(`\b[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}\b|\b[0-9A-Fa-f]{8,}\b|` +
	`\b(?:[0-9]+(?:\.[0-9]+)?(?:h|ms|m|s))+\b|[0-9]+`)

// alike is a text without what differs from device to device, its id among it.
func alike(text, id string) string {
	return varying.ReplaceAllLiteralString(withoutID(text, id), "#")
}

// withoutID takes out an id where it stands by itself: a device may be called a.
func withoutID(text, id string) string {
	if id == "" {
		return text
	}
	var b strings.Builder
	for from := 0; ; {
		at := strings.Index(text[from:], id)
		if at < 0 {
			return b.String() + text[from:]
		}
		at += from
		end := at + len(id)
		b.WriteString(text[from:at])
		if (at > 0 && isWord(text[at-1])) || (end < len(text) && isWord(text[end])) {
			b.WriteString(id)
		} else {
			b.WriteByte('?')
		}
		from = end
	}
}

func isWord(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || c >= 0x80
}

// explain says in one line why a device has no hub.
func explain(err error) (code int, text, tracking string) {
	var late *device.RegistrationError
	var refusal *dps.Error
	switch {
	case err == nil:
		return 0, "", ""
	case errors.As(err, &late):
		if text = late.Message; text == "" {
			text = "the service says " + late.Status
		}
		if text == "the service says "+device.StatusDisabled {
			text = "the enrollment is disabled"
		}
		return late.Code, text, ""
	case errors.As(err, &refusal):
		if code = refusal.Code; code == 0 {
			code = refusal.StatusCode
		}
		if text = refusal.Message; text == "" {
			text = strings.TrimSpace(strconv.Itoa(refusal.StatusCode) + " " + http.StatusText(refusal.StatusCode))
		}
		return code, text, refusal.TrackingID
	}
	text = strings.TrimPrefix(err.Error(), ErrSkip.Error()+": ")
	return 0, strings.TrimPrefix(text, "create device client: "), ""
}
