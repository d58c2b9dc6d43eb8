package emulator_test

import (
	"net/http"
	"testing"
)

func TestRegisterThroughGroup(t *testing.T) {
	w := newWorld(t)
	p := newPKI(t)
	w.prove("root", p.root)
	w.group("fleet", p.intermediate.Certificate())

	a := w.assigned("dev-1", device(t, p.intermediate, "dev-1"))
	for path, want := range map[string]string{
		"status":      "assigned",
		"deviceId":    "dev-1",
		"assignedHub": "dpskit-emulator-hub.azure-devices.net",
		"substatus":   "initialAssignment",
	} {
		if got := a.str("registrationState", path); got != want {
			t.Errorf("registrationState.%s = %q, want %q", path, got, want)
		}
	}
	if got := a.str("registrationState", "x509", "enrollmentGroupId"); got != "fleet" {
		t.Errorf("enrollmentGroupId = %q, want fleet", got)
	}
	a = w.service(http.MethodGet, "/registrations/dev-1", nil, nil)
	w.want(a, http.StatusOK, 0)
	if got := a.str("status"); got != "assigned" {
		t.Errorf("status on the service plane = %q, want assigned", got)
	}
}
