package provision

import (
	"context"
	"crypto/x509"
	"fmt"
	"log/slog"
	"strings"

	"github.com/dpskit/dpskit/pkg/dps/emulator/internal/refuse"
	"github.com/dpskit/dpskit/pkg/dps/emulator/internal/state"
	"github.com/dpskit/dpskit/pkg/dps/emulator/internal/wire"
)

// Rules of registrations that were accepted and then end without a hub.
const (
	RuleDisabled         refuse.Rule = "enrollment-disabled"
	RuleNoHub            refuse.Rule = "no-linked-hub"
	RuleCustomAllocation refuse.Rule = "custom-allocation"
	RuleGone             refuse.Rule = "enrollment-gone"
)

// refused is the negative end of a registration that the device learns from a
// poll. Code of the Refusal is that of the record, Message is what the service
// would put there.
type refused struct {
	refuse.Refusal

	status string // failed or disabled
}

func failed(code int, message string, rule refuse.Rule, expected, fix string) *refused {
	return &refused{
		Refusal: refuse.Refusal{Code: code, Message: message, Rule: rule, Expected: expected, Fix: fix},
		status:  wire.RegistrationFailed,
	}
}

func enrollmentDisabled(g grant) *refused {
	what := fmt.Sprintf("individual enrollment %q", g.enrollmentID)
	if g.groupID != "" {
		what = fmt.Sprintf("enrollment group %q", g.groupID)
	}
	r := failed(0, "", RuleDisabled, what+" enabled", "set provisioningStatus to enabled")
	r.status = wire.RegistrationDisabled
	return r
}

// fixNoHub is for everybody whom no hub takes.
const fixNoHub = "link the hub (enroll emulator --linked-hub HOST; one with weight=0 takes no devices), or change iotHubs of the enrollment; " +
	"static allocation needs one there"

func noHub(c wire.Common, linked []Hub) *refused {
	var names []string
	for _, h := range linked {
		name := h.Name
		if h.Weight <= 0 {
			name += " (weight=0)"
		}
		names = append(names, name)
	}
	wanted := "any of them"
	switch {
	case c.IotHubHostName != "":
		wanted = c.IotHubHostName
	case len(c.IotHubs) > 0:
		wanted = strings.Join(c.IotHubs, ", ")
	case c.AllocationPolicy == wire.AllocateStatic:
		wanted = "none"
	}
	return failed(codeNoHub, "No linked IoT hub is available for this enrollment.", RuleNoHub,
		fmt.Sprintf("a linked hub that takes devices: linked are [%s], the enrollment wants %s", strings.Join(names, ", "), wanted), fixNoHub)
}

// text is the errorMessage of the record. Unlike an error body it has no member
// info, so the explanation goes behind the words of the service. A disabled
// device gets none: the status says it.
func (r *refused) text() string {
	if r.Code == 0 {
		return ""
	}
	return fmt.Sprintf("%s [emulator: rule %s; expected: %s; to fix it: %s]", r.Message, r.Rule, r.Expected, r.Fix)
}

// log writes how a registration ended that the device was not refused for at
// once. Like refusals it is one record with the rule and the fix; request_id is
// that of the request to register. leaf is the device's certificate, if it has
// one.
func (s *Service) log(ctx context.Context, op state.Operation, r *refused, leaf *x509.Certificate) {
	if r == nil || s.Logger == nil {
		return
	}
	attrs := []slog.Attr{
		slog.String("plane", "device"),
		slog.String("request_id", op.RequestID),
		slog.String("registration_id", op.Result.RegistrationID),
		slog.String("operation_id", op.ID),
		slog.String("outcome", r.status),
	}
	if group := op.Result.GroupID; group != "" {
		attrs = append(attrs, slog.String("enrollment_group_id", group))
	} else {
		attrs = append(attrs, slog.String("enrollment_id", op.Result.RegistrationID))
	}
	if leaf != nil {
		r.About(leaf, 0)
	}
	s.Logger.LogAttrs(ctx, slog.LevelWarn, "registration refused", append(attrs, r.LogAttrs()...)...)
}
