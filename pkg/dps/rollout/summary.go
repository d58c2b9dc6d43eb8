package rollout

import (
	"cmp"
	"errors"
	"net/http"
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
	// Reasons are why devices failed or were skipped, the most frequent first.
	Reasons []Reason
	Took    time.Duration
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
}

const (
	// maxExamples bounds Reason.IDs.
	maxExamples = 3
	// maxReasons bounds the kinds that are told apart.
	maxReasons = 100
)

func newSummary(devices int) *Summary {
	return &Summary{Devices: devices, Hubs: map[string]int{}}
}

func (s *Summary) add(o Outcome) {
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
	code, text, _ := explain(o.Err)
	i := slices.IndexFunc(s.Reasons, func(r Reason) bool {
		return r.Status == o.Status && r.Code == code && alike(r.Text, r.examples[0].ID) == alike(text, o.ID)
	})
	if i < 0 && len(s.Reasons) < maxReasons {
		s.Reasons = append(s.Reasons, Reason{Status: o.Status, Code: code})
		i = len(s.Reasons) - 1
	} else if i < 0 {
		i = maxReasons - 1
	}
	r := &s.Reasons[i]
	r.Count++
	at, _ := slices.BinarySearchFunc(r.examples, o, func(a, b Outcome) int { return a.Index - b.Index })
	if r.examples = slices.Insert(r.examples, at, o); at == 0 {
		_, r.Text, _ = explain(o.Err)
	}
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
	}
	slices.SortFunc(s.Reasons, func(a, b Reason) int { return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Index, b.Index)) })
}

// alike is a text without what differs from device to device: its id, and
// numbers such as ports and positions.
func alike(text, id string) string {
	text = strings.ReplaceAll(text, id, "?")
	var b strings.Builder
	for i, r := range text {
		switch {
		case r < '0' || r > '9':
			b.WriteRune(r)
		case i == 0 || text[i-1] < '0' || text[i-1] > '9':
			b.WriteByte('#')
		}
	}
	return b.String()
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
