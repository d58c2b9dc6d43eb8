package provision

import (
	"context"
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
// poll. Code and Message of the Refusal are those of the record.
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

func noHub(c wire.Common, linked []Hub) *refused {
	var names []string
	for _, h := range linked {
		if h.Weight > 0 {
			names = append(names, h.Name)
		}
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
		fmt.Sprintf("a linked hub that takes devices: linked are [%s], the enrollment wants %s", strings.Join(names, ", "), wanted),
		"link the hub, or change iotHubs of the enrollment; static allocation needs exactly one")
}

// log writes how a registration ended that the device was not refused for at
// once. Like refusals it is one record with the rule and the fix.
func (s *Service) log(ctx context.Context, op state.Operation, r *refused) {
	if r == nil || s.Logger == nil {
		return
	}
	attrs := []slog.Attr{
		slog.String("plane", "device"),
		slog.String("registration_id", op.Result.RegistrationID),
		slog.String("operation_id", op.ID),
		slog.String("rule", string(r.Rule)),
		slog.String("outcome", r.status),
	}
	if r.Code != 0 {
		attrs = append(attrs, slog.Int("code", r.Code), slog.String("answer", r.Message))
	}
	attrs = append(attrs, slog.String("expected", r.Expected), slog.String("fix", r.Fix))
	s.Logger.LogAttrs(ctx, slog.LevelWarn, "registration refused", attrs...)
}
